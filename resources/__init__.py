"""The outside world: artifacts, datasets, compute, code versions and the event log, as plain classes."""
