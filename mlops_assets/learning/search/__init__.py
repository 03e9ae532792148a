"""What to try next: Optuna's samplers and pruners over one search space, asked and told one trial at a time."""
