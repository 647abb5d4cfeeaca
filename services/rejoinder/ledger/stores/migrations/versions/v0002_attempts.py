"""An attempt has one event whatever the day: `attempts` holds what a day's partition cannot.

Filled from the interactions, so no owner may write meanwhile (`ALONE`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from rejoinder.ledger.stores.texts import Name

revision = "0002"
down_revision = "0001"
ALONE = True
SHARES = 8


def upgrade() -> None:
    partitioned = op.get_context().dialect.name == "postgresql"
    options: dict[str, Any] = {"postgresql_partition_by": "HASH (tenant, interaction_id)"} if partitioned else {}
    op.create_table(
        "attempts",
        sa.Column("tenant", Name, primary_key=True),
        sa.Column("interaction_id", Name, primary_key=True),
        sa.Column("attempt_id", Name, primary_key=True),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        **options,
    )
    for share in range(SHARES if partitioned else 0):
        op.execute(
            f"CREATE TABLE attempts_h{share:02} PARTITION OF attempts"
            f" FOR VALUES WITH (MODULUS {SHARES}, REMAINDER {share})"
        )
    op.create_index("attempts_accepted", "attempts", ["accepted_at"])
    op.execute(
        "INSERT INTO attempts (tenant, interaction_id, attempt_id, accepted_at)"
        " SELECT tenant, interaction_id, attempt_id, accepted_at FROM interactions"
    )
    if not partitioned:
        op.drop_index("interactions_attempt", "interactions")
        op.create_index("interactions_attempt", "interactions", ["tenant", "interaction_id", "attempt_id"])
    op.execute("INSERT INTO meta (name, value) VALUES ('compatible', 2), ('floor', 0)")
    op.execute("UPDATE meta SET value = 2 WHERE name = 'schema_version'")
