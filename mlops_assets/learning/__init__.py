"""Pure machine learning: one run of a pipeline. No Dagster, no Ray."""
