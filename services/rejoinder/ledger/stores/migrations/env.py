"""What Alembic runs, on the connection and in the transaction that migrate.py gives it."""

from __future__ import annotations

from alembic import context
from rejoinder.ledger.stores.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
