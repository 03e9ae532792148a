"""The database itself refuses to change or delete what was deployed, whoever asks."""

from alembic import op

revision = "0002"
down_revision = "0001"

REFUSAL = "deployments are only ever added: undo one with a new one (mlops rollback)"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION mlops_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER mlops_deployments_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mlops_deployments "
            "FOR EACH STATEMENT EXECUTE FUNCTION mlops_refuse_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER mlops_deployments_no_{change.lower()} BEFORE {change} ON mlops_deployments "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back to an older version: restore a backup instead")
