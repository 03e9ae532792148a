"""The ledger's tables, as the newest version of the schema has them."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

# The database may be the one that Dagster keeps its events in, with versions of its own.
VERSION_TABLE = "mlops_ledger_version"
# Every version that this program can take further, oldest first; the last one is what it works with.
VERSIONS = ("0001", "0002", "0003")


class Moment(sa.TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zones, and gets what it sorts rightly."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()

deployments = sa.Table(
    "mlops_deployments",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deployment_id", sa.String(36)),
    sa.Column("project", sa.String(128)),
    sa.Column("subproject", sa.String(128)),
    sa.Column("stage", sa.String(128)),
    sa.Column("action", sa.String(16)),
    sa.Column("replaces", sa.Integer),
    sa.Column("restores", sa.Integer),
    sa.Column("run_id", sa.String(64)),
    sa.Column("model_uri", sa.Text),
    sa.Column("model_digest", sa.String(64)),
    sa.Column("model_bytes", sa.BigInteger),
    sa.Column("code_version", sa.String(64)),
    sa.Column("revision", sa.Text),
    sa.Column("data_version", sa.String(64)),
    sa.Column("code", sa.JSON),
    sa.Column("configuration", sa.JSON),
    sa.Column("metrics", sa.JSON),
    sa.Column("strategy", sa.JSON),
    sa.Column("evidence", sa.JSON),
    sa.Column("why", sa.Text),
    sa.Column("by", sa.Text),
    sa.Column("at", Moment),
    sa.Column("dagster_run_id", sa.String(64)),
)

messages = sa.Table(
    "mlops_messages",
    metadata,
    sa.Column("message_id", sa.String(64), primary_key=True),
    sa.Column("project", sa.String(128)),
    sa.Column("target", sa.Text),
    sa.Column("event", sa.String(32)),
    sa.Column("subproject", sa.String(128)),
    sa.Column("stage", sa.String(128)),
    sa.Column("occurrence", sa.String(512)),
    sa.Column("text", sa.Text),
    sa.Column("data", sa.JSON),
    sa.Column("at", Moment),
    sa.Column("state", sa.String(16)),
    sa.Column("attempts", sa.Integer),
    sa.Column("next_at", Moment),
    sa.Column("claim", sa.String(36)),
    sa.Column("claimed_at", Moment),
    sa.Column("sent_at", Moment),
    sa.Column("reason", sa.Text),
)
