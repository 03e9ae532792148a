"""HPO runs: many at once on one cluster, every run tracked, each ended with a summary and a choice."""
