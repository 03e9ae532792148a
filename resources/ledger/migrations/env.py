"""Alembic comes through here: it is handed the connection, and the transaction, of whoever opens the ledger."""

from alembic import context

from resources.ledger.tables import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
