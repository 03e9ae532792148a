"""The projects that bench/hpo.py optimises."""
