"""Alembic's entry: runs the steps on the connection that `samkit.annotate.database` hands over."""

from alembic import context

from samkit.annotate.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=False,
)
context.run_migrations()
