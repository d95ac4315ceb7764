"""Alembic's entry. The caller hands over an open connection inside a transaction, as `Database` does."""

from alembic import context

from backend.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()
