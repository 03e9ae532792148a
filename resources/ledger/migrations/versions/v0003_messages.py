"""Messages that wait to be sent, and those that were: told at most once each."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "mlops_messages",
        sa.Column("message_id", sa.String(64), primary_key=True),
        sa.Column("project", sa.String(128), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("subproject", sa.String(128), nullable=False),
        sa.Column("stage", sa.String(128)),
        sa.Column("occurrence", sa.String(512), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claim", sa.String(36)),
        sa.Column("claimed_at", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text),
    )
    op.create_index("mlops_messages_to_send", "mlops_messages", ["project", "state", "next_at"])
    op.create_index("mlops_messages_of", "mlops_messages", ["project", "subproject", "at"])
    op.create_index("mlops_messages_about", "mlops_messages", ["occurrence"])
    op.create_index("mlops_messages_claimed", "mlops_messages", ["claim"])


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back to an older version: restore a backup instead")
