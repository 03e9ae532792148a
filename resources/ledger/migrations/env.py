"""Alembic comes through here: it is handed the connection, and the transaction, of whoever opens the ledger."""

from alembic import context

from resources.ledger.tables import VERSION_TABLE


def migrate() -> None:
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


# What Alembic calls this file when it runs it. Imported as a module of the package, it does nothing.
if __name__ == "env_py":
    migrate()
