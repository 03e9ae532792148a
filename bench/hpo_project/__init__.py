"""What bench/hpo.py and bench/hpo_quality.py optimise."""
