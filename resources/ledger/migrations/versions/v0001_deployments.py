"""Deployments: who serves in which stage, and by whose decision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # Spelled out, not taken from tables.py: that one changes with later versions, this one does not.
    op.create_table(
        "mlops_deployments",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deployment_id", sa.String(36), nullable=False),
        sa.Column("project", sa.String(128), nullable=False),
        sa.Column("subproject", sa.String(128), nullable=False),
        sa.Column("stage", sa.String(128), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("replaces", sa.Integer, nullable=False),
        sa.Column("restores", sa.Integer),
        sa.Column("run_id", sa.String(64)),
        sa.Column("model_uri", sa.Text),
        sa.Column("model_digest", sa.String(64)),
        sa.Column("model_bytes", sa.BigInteger),
        sa.Column("code_version", sa.String(64)),
        sa.Column("revision", sa.Text),
        sa.Column("data_version", sa.String(64)),
        sa.Column("code", sa.JSON, nullable=False),
        sa.Column("configuration", sa.JSON, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("strategy", sa.JSON, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dagster_run_id", sa.String(64)),
        sa.UniqueConstraint("deployment_id", name="mlops_deployments_once"),
        # Of two who decide on the same grounds, one is first.
        sa.UniqueConstraint("project", "subproject", "stage", "replaces", name="mlops_deployments_one_successor"),
        sa.CheckConstraint("replaces >= 0 AND replaces < sequence", name="mlops_deployments_replaces_earlier"),
        sa.CheckConstraint(
            "(run_id IS NULL) = (action = 'undeploy') AND (run_id IS NULL) = (model_digest IS NULL)",
            name="mlops_deployments_has_a_model",
        ),
    )
    op.create_index(
        "mlops_deployments_latest", "mlops_deployments", ["project", "stage", "subproject", "sequence"], unique=True
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back to an older version: restore a backup instead")
