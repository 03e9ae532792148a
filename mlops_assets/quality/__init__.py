"""Pure verdicts: expectations on data, gates on models. No Dagster, no Ray."""
