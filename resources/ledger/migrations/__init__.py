"""The ledger's schema over time, as Alembic has it: a file per version, run when a ledger is opened."""
