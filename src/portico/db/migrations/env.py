"""Alembic's entry: it is handed a connection and migrates over it."""

from alembic import context

from portico.db.dialect import turn

connection = context.config.attributes["connection"]
with turn(connection):
    context.configure(connection=connection, transaction_per_migration=False, version_table="portico_migrations")
    with context.begin_transaction():
        context.run_migrations()
