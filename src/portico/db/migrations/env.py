"""Alembic's entry: it is handed a connection and migrates over it. Whose turn it is, and the commit, it leaves to the
caller."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=False,
    version_table="portico_migrations",
)
with context.begin_transaction():
    context.run_migrations()
