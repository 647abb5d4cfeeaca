"""What users said is not sampled: ANALYZE copies values of every column into the database's own catalogue, and what was
copied there outlives the rows (NOTES.md).

Only adds: programs of before work on, but for the partitions that they make.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
UNSAMPLED = {
    "interactions": ("user_id", "facts", "messages", "response", "ranking", "sealed"),
    "feedback": ("user_id", "facts", "words", "sealed"),
    "signals": ("user_id", "facts"),
    "dead_letters": ("user_id", "facts", "value"),
    "set_aside": ("value",),
}


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table, columns in UNSAMPLED.items():
            off = ", ".join(f"ALTER COLUMN {column} SET STATISTICS 0" for column in columns)
            # The partitions that are there take it over.
            op.execute(f"ALTER TABLE {table} {off}")
    op.execute("UPDATE meta SET value = 3 WHERE name = 'schema_version'")
