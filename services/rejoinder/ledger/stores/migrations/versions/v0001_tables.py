"""The tables as version 1 had them.

A SQLite file of before the migrations is exactly this, and is stamped rather than made again. In PostgreSQL the event
tables are partitioned by day of `accepted_at`, which their primary key must then hold; a unique key over all days is
`seen`, whose own partitions go by what it is unique in.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from rejoinder.ledger.stores.texts import Name, Words

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
#: Hash partitions of `seen`: an index that is written at random places stays an eighth as large.
SHARES = 8


def upgrade() -> None:
    _table(
        "interactions",
        *_identity(),
        _column("interaction_id", Name),
        _column("attempt_id", Name),
        _column("conversation_id", Name),
        _column("turn", sa.Integer),
        _column("status", Name),
        _column("consent", Name),
        _column("source", Name),
        _column("policy", Name),
        _column("version", Name),
        _column("arm", Name),
        _column("holdout", sa.Boolean),
        _column("forced", sa.Boolean),
        _column("parent_interaction_id", Name),
        _column("answer_digest", Name),
        _column("history_digest", Name),
        _column("messages", Words, nullable=True),
        _column("response", Words, nullable=True),
        _column("ranking", Words, nullable=True),
        _column("sealed", Words, nullable=True),
        _column("parent", Name),
        _column("parent_how", Name),
        _column("crossed", sa.Boolean),
        keys=("tenant", "event_id"),
        day="accepted_at",
    )
    _table(
        "feedback",
        *_identity(),
        _column("interaction_id", Name),
        _column("attempt_id", Name),
        _column("conversation_id", Name),
        _column("turn", sa.Integer),
        _column("answer_digest", Name),
        _column("kind", Name),
        _column("repeat_key", Name, nullable=True),
        _column("consent", Name),
        _column("source", Name),
        _column("words", Words, nullable=True),
        _column("sealed", Words, nullable=True),
        _column("state", Name),
        _column("how", Name),
        _column("cause", Name),
        _column("target_interaction", Name),
        _column("target_attempt", Name),
        keys=("tenant", "event_id"),
        day="accepted_at",
    )
    _table(
        "signals",
        *_identity(),
        _column("source_event_id", Name),
        _column("interaction_id", Name),
        _column("attempt_id", Name),
        _column("polarity", Name),
        _column("strength", sa.Float),
        _column("confidence", sa.Float),
        _column("extractor", Name),
        _column("extractor_version", Name),
        keys=("tenant", "event_id"),
        day="accepted_at",
    )
    _table(
        "rounds",
        *_identity(),
        _column("policy", Name),
        _column("number", sa.Integer),
        _column("stage", Name),
        _column("digest", Name),
        _column("version", Name),
        keys=("tenant", "event_id"),
    )
    _table(
        "dead_letters",
        *_identity(),
        _column("reason", Name),
        _column("source_topic", Name),
        _column("source_part", sa.Integer),
        _column("source_pos", sa.BigInteger),
        _column("value", sa.LargeBinary, nullable=True),
        keys=("tenant", "event_id"),
        day="accepted_at",
    )
    _table(
        "seen",
        _column("tenant", Name, primary_key=True),
        _column("event_id", Name, primary_key=True),
        _column("body_digest", Name),
        _column("topic", Name),
        _column("part", sa.Integer),
        _column("pos", sa.BigInteger),
        _column("expires", sa.BigInteger),
        hashed=("tenant", "event_id"),
    )
    _table(
        "set_aside",
        _column("topic", Name, primary_key=True),
        _column("part", sa.Integer, primary_key=True),
        _column("pos", sa.BigInteger, primary_key=True),
        _column("counted", Name),
        _column("reason", Name),
        _column("tenant", Name),
        _column("event_id", Name),
        _column("body_digest", Name),
        _column("accepted_at", sa.BigInteger),
        _column("record_at", sa.BigInteger),
        _column("subject", Name),
        _column("attempt_key", Name),
        _column("shadowed", sa.Boolean),
        _column("other_topic", Name),
        _column("other_part", sa.Integer),
        _column("other_pos", sa.BigInteger),
        _column("value", sa.LargeBinary, nullable=True),
    )
    _table(
        "erasures",
        _column("ticket", Name, primary_key=True),
        _column("subject", Name),
        _column("erased_at", sa.BigInteger),
        _column("grace", sa.BigInteger),
        *_place(),
    )
    _table(
        "erased_records",
        _column("topic", Name, primary_key=True),
        _column("part", sa.Integer, primary_key=True),
        _column("pos", sa.BigInteger, primary_key=True),
    )
    _table(
        "joined",
        _column("number", NUMBER, primary_key=True),
        _column("tenant", Name),
        _column("event_id", Name),
    )
    _table(
        "readers",
        _column("reader", Name, primary_key=True),
        _column("number", NUMBER),
    )
    _table(
        "tombstones",
        _column("mark", Name, primary_key=True),
        _column("subject", Name, primary_key=True),
    )
    _table(
        "erasure_stores",
        _column("ticket", Name, primary_key=True),
        _column("store", Name, primary_key=True),
        _column("state", Name),
        _column("removed", sa.Integer),
        _column("at", sa.BigInteger),
    )
    _table(
        "windows",
        _column("loop", Name, primary_key=True),
        _column("number", sa.Integer, primary_key=True),
        _column("policy", Name),
        _column("digest", Name),
        _column("cut", Words),
        _column("counts", Words),
        _column("as_of", sa.BigInteger),
    )
    _table(
        "window_rows",
        _column("loop", Name, primary_key=True),
        _column("number", sa.Integer, primary_key=True),
        _column("row_digest", Name, primary_key=True),
        _column("tenant", Name, nullable=True),
        _column("evidence_id", Name, nullable=True),
        _column("salt", Name, nullable=True),
        _column("supersedes", Name, nullable=True),
        _column("redacted_by", Name, nullable=True),
    )
    _table(
        "parity",
        _column("topic", Name, primary_key=True),
        _column("part", sa.Integer, primary_key=True),
        _column("read", sa.BigInteger),
        _column("stored", sa.BigInteger),
        _column("duplicate", sa.BigInteger),
        _column("conflict", sa.BigInteger),
        _column("dead_lettered", sa.BigInteger),
        _column("erased", sa.BigInteger),
        _column("expired", sa.BigInteger),
    )
    _table(
        "positions",
        _column("topic", Name, primary_key=True),
        _column("part", sa.Integer, primary_key=True),
        _column("topic_id", Name),
        _column("first", sa.BigInteger),
        _column("next", sa.BigInteger),
        _column("record_at", sa.BigInteger),
    )
    _table(
        "meta",
        _column("name", Name, primary_key=True),
        _column("value", sa.BigInteger),
    )
    # A unique index of a partitioned table would have to hold the day.
    unique = (
        {"joined_event"} if op.get_context().dialect.name == "postgresql" else {"joined_event", "interactions_attempt"}
    )
    for name, table, columns in INDEXES:
        op.create_index(name, table, list(columns), unique=name in unique)
    meta = sa.table("meta", sa.column("name"), sa.column("value"))
    op.bulk_insert(meta, [{"name": "schema_version", "value": 1}, {"name": "commits", "value": 0}])


INDEXES = (
    ("interactions_accepted", "interactions", ("accepted_at",)),
    ("interactions_answer", "interactions", ("tenant", "answer_digest", "at")),
    ("interactions_attempt", "interactions", ("tenant", "interaction_id", "attempt_id")),
    ("interactions_conversation", "interactions", ("tenant", "conversation_id", "turn")),
    ("interactions_subject", "interactions", ("subject", "accepted_at")),
    ("feedback_answer", "feedback", ("tenant", "answer_digest", "at")),
    ("feedback_interaction", "feedback", ("tenant", "interaction_id")),
    ("feedback_state", "feedback", ("state", "tenant", "principal", "accepted_at")),
    ("feedback_subject", "feedback", ("subject", "accepted_at")),
    ("feedback_target", "feedback", ("tenant", "target_interaction", "target_attempt")),
    ("feedback_turn", "feedback", ("tenant", "conversation_id", "turn")),
    ("signals_interaction", "signals", ("tenant", "interaction_id", "attempt_id")),
    ("signals_source", "signals", ("tenant", "source_event_id")),
    ("signals_subject", "signals", ("subject", "accepted_at")),
    ("rounds_number", "rounds", ("policy", "number")),
    ("rounds_version", "rounds", ("version",)),
    ("dead_letters_subject", "dead_letters", ("subject", "accepted_at")),
    ("seen_expires", "seen", ("expires",)),
    ("set_aside_attempt", "set_aside", ("tenant", "attempt_key")),
    ("set_aside_event", "set_aside", ("tenant", "event_id")),
    ("set_aside_subject", "set_aside", ("subject",)),
    ("erasures_subject", "erasures", ("subject",)),
    ("joined_event", "joined", ("tenant", "event_id")),
    ("tombstones_subject", "tombstones", ("subject",)),
    ("window_rows_evidence", "window_rows", ("loop", "tenant", "evidence_id")),
    ("window_rows_redacted", "window_rows", ("redacted_by",)),
)


def _column(name: str, kind: Any, nullable: bool = False, **more: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, **more)


def _place() -> list[sa.Column[Any]]:
    return [
        _column("topic", Name),
        _column("part", sa.Integer),
        _column("pos", sa.BigInteger),
        _column("record_at", sa.BigInteger),
    ]


def _identity() -> list[sa.Column[Any]]:
    return [
        _column("tenant", Name),
        _column("event_id", Name),
        _column("body_digest", Name),
        _column("accepted_at", sa.BigInteger),
        _column("principal", Name),
        _column("user_id", Name),
        _column("subject", Name),
        _column("at", sa.BigInteger),
        _column("facts", Words),
        *_place(),
    ]


def _table(
    name: str,
    *columns: sa.Column[Any],
    keys: tuple[str, ...] = (),
    day: str = "",
    hashed: tuple[str, ...] = (),
) -> None:
    """keys: the primary key, where no column says so. day: partitioned by it; hashed: by these."""
    partitioned = op.get_context().dialect.name == "postgresql"
    rules: list[Any] = []
    if keys:
        rules.append(sa.PrimaryKeyConstraint(*keys, *([day] if day and partitioned else [])))
    by = f"RANGE ({day})" if day else f"HASH ({', '.join(hashed)})" if hashed else None
    options: dict[str, Any] = {"postgresql_partition_by": by} if by else {}
    op.create_table(name, *columns, *rules, sqlite_autoincrement=name == "joined", **options)
    if partitioned and day:
        op.execute(f"CREATE TABLE {name}_other PARTITION OF {name} DEFAULT")
    if partitioned and hashed:
        for share in range(SHARES):
            op.execute(
                f"CREATE TABLE {name}_h{share:02} PARTITION OF {name}"
                f" FOR VALUES WITH (MODULUS {SHARES}, REMAINDER {share})"
            )
