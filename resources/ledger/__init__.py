"""The serving ledger: which model serves where, since when and why, as rows that are only ever added to."""
