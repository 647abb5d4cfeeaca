"""The ledger's tables. Times are integers in microseconds since the epoch (UTC); JSON is canonical text.

Every event table holds identity and what queries ask for as columns, the caller's other fields as canonical JSON in
`facts`, and words in columns of their own (`messages`, `response`, `ranking`, `words`, `sealed`): what erasure removes
and what no digest of a log line may hold. `topic`, `part`, `pos`, `record_at` say where a row came from: operational,
outside the ledger's digest, as other partition counts must give the same ledger.

The tables are made by migrations/, which also say what PostgreSQL does beyond this: `DAILY` are partitioned by day of
`accepted_at`, which their primary key there has to hold too; `HASHED` by what they are asked for. An id and an attempt
are unique over all days by `seen` and `attempts`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

from rejoinder.ledger.stores.texts import Name, Words

#: What this program needs: the number of the last migration that it builds on (migrations/, NOTES.md).
SCHEMA_VERSION = 3
#: The least number of a program that may work on these tables.
COMPATIBLE = 2
#: The migration that made these tables, as Alembic calls it.
REVISION = f"{SCHEMA_VERSION:04}"

metadata = MetaData()

#: A number that is given once and never again.
NUMBER = BigInteger().with_variant(Integer, "sqlite")


def _place() -> list[Column]:
    return [
        Column("topic", Name, nullable=False),
        Column("part", Integer, nullable=False),
        Column("pos", BigInteger, nullable=False),
        Column("record_at", BigInteger, nullable=False),
    ]


def _identity() -> list[Column]:
    return [
        Column("tenant", Name, primary_key=True),
        Column("event_id", Name, primary_key=True),
        Column("body_digest", Name, nullable=False),
        Column("accepted_at", BigInteger, nullable=False),
        Column("principal", Name, nullable=False, default=""),
        Column("user_id", Name, nullable=False, default=""),
        # Erasure subject of the user; "" without one.
        Column("subject", Name, nullable=False, default=""),
        # occurred_at clamped to accepted_at: what "latest" means.
        Column("at", BigInteger, nullable=False),
        Column("facts", Words, nullable=False),
        *_place(),
    ]


interactions = Table(
    "interactions",
    metadata,
    *_identity(),
    Column("interaction_id", Name, nullable=False),
    Column("attempt_id", Name, nullable=False),
    Column("conversation_id", Name, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("status", Name, nullable=False),
    Column("consent", Name, nullable=False),
    Column("source", Name, nullable=False),
    Column("policy", Name, nullable=False),
    Column("version", Name, nullable=False),
    Column("arm", Name, nullable=False),
    Column("holdout", Boolean, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("parent_interaction_id", Name, nullable=False),
    # Of the answer, and of the last assistant message in the history it was asked with.
    Column("answer_digest", Name, nullable=False),
    Column("history_digest", Name, nullable=False),
    Column("messages", Words),
    Column("response", Words),
    Column("ranking", Words),
    Column("sealed", Words),
    # Joined: the answer this one follows, how it was found, and whether an earlier turn had another version.
    Column("parent", Name, nullable=False, default=""),
    Column("parent_how", Name, nullable=False, default="root"),
    Column("crossed", Boolean, nullable=False, default=False),
    Index("interactions_attempt", "tenant", "interaction_id", "attempt_id"),
    Index("interactions_conversation", "tenant", "conversation_id", "turn"),
    Index("interactions_answer", "tenant", "answer_digest", "at"),
    Index("interactions_subject", "subject", "accepted_at"),
    Index("interactions_accepted", "accepted_at"),
)

feedback = Table(
    "feedback",
    metadata,
    *_identity(),
    Column("interaction_id", Name, nullable=False),
    Column("attempt_id", Name, nullable=False),
    Column("conversation_id", Name, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("answer_digest", Name, nullable=False),
    Column("kind", Name, nullable=False),
    # What a later one of the same kind replaces; NULL where each is kept.
    Column("repeat_key", Name),
    Column("consent", Name, nullable=False),
    Column("source", Name, nullable=False),
    Column("words", Words),
    Column("sealed", Words),
    # joined | unlinked | foreign (dead-lettered FOREIGN_TARGET); parked and orphaned are states of unlinked, by time.
    Column("state", Name, nullable=False, default="unlinked"),
    # interaction | turn | digest; "" while unlinked.
    Column("how", Name, nullable=False, default=""),
    # Why it is unlinked, or `ambiguous_attempt` for one that is joined to an answer but to no attempt of it.
    Column("cause", Name, nullable=False, default=""),
    Column("target_interaction", Name, nullable=False, default=""),
    Column("target_attempt", Name, nullable=False, default=""),
    Index("feedback_interaction", "tenant", "interaction_id"),
    Index("feedback_turn", "tenant", "conversation_id", "turn"),
    Index("feedback_answer", "tenant", "answer_digest", "at"),
    Index("feedback_target", "tenant", "target_interaction", "target_attempt"),
    Index("feedback_subject", "subject", "accepted_at"),
    Index("feedback_state", "state", "tenant", "principal", "accepted_at"),
)

signals = Table(
    "signals",
    metadata,
    *_identity(),
    Column("source_event_id", Name, nullable=False),
    Column("interaction_id", Name, nullable=False),
    Column("attempt_id", Name, nullable=False),
    Column("polarity", Name, nullable=False),
    Column("strength", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("extractor", Name, nullable=False),
    Column("extractor_version", Name, nullable=False),
    Index("signals_source", "tenant", "source_event_id"),
    Index("signals_interaction", "tenant", "interaction_id", "attempt_id"),
    Index("signals_subject", "subject", "accepted_at"),
)

rounds = Table(
    "rounds",
    metadata,
    *_identity(),
    Column("policy", Name, nullable=False),
    Column("number", Integer, nullable=False),
    Column("stage", Name, nullable=False),
    Column("digest", Name, nullable=False),
    Column("version", Name, nullable=False),
    Index("rounds_number", "policy", "number"),
    Index("rounds_version", "version"),
)

#: Dead letters that other processes wrote to the log; the ledger's own verdicts are `set_aside`.
dead_letters = Table(
    "dead_letters",
    metadata,
    *_identity(),
    Column("reason", Name, nullable=False),
    Column("source_topic", Name, nullable=False),
    Column("source_part", Integer, nullable=False),
    Column("source_pos", BigInteger, nullable=False),
    Column("value", LargeBinary),
    Index("dead_letters_subject", "subject", "accepted_at"),
)

#: Deduplication: which record of an id is the event. Rows go when `expires` has passed.
seen = Table(
    "seen",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("event_id", Name, primary_key=True),
    Column("body_digest", Name, nullable=False),
    Column("topic", Name, nullable=False),
    Column("part", Integer, nullable=False),
    Column("pos", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("seen_expires", "expires"),
)

#: Which event holds an attempt of an interaction: one, whatever the day.
attempts = Table(
    "attempts",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("interaction_id", Name, primary_key=True),
    Column("attempt_id", Name, primary_key=True),
    Column("accepted_at", BigInteger, nullable=False),
    Index("attempts_accepted", "accepted_at"),
)

#: Records that were read and are not the event of their id, or no event at all: duplicates and dead letters.
set_aside = Table(
    "set_aside",
    metadata,
    Column("topic", Name, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("pos", BigInteger, primary_key=True),
    # duplicate | conflict | dead_lettered | expired: the parity counter it stands in.
    Column("counted", Name, nullable=False),
    # ErrorReason name of a dead letter; "" for a duplicate.
    Column("reason", Name, nullable=False),
    Column("tenant", Name, nullable=False),
    Column("event_id", Name, nullable=False),
    Column("body_digest", Name, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("record_at", BigInteger, nullable=False),
    # Erasure subject of the record's user, "" when it has none or could not be read.
    Column("subject", Name, nullable=False),
    # Interaction and attempt of an interaction, so that the next in line is found when the stored one goes.
    Column("attempt_key", Name, nullable=False),
    # True where the record is the event of its id, but its attempt was recorded under another id before.
    Column("shadowed", Boolean, nullable=False, default=False),
    Column("other_topic", Name, nullable=False, default=""),
    Column("other_part", Integer, nullable=False, default=0),
    Column("other_pos", BigInteger, nullable=False, default=0),
    Column("value", LargeBinary),
    Index("set_aside_event", "tenant", "event_id"),
    Index("set_aside_attempt", "tenant", "attempt_key"),
    Index("set_aside_subject", "subject"),
)

erasures = Table(
    "erasures",
    metadata,
    Column("ticket", Name, primary_key=True),
    Column("subject", Name, nullable=False),
    Column("erased_at", BigInteger, nullable=False),
    Column("grace", BigInteger, nullable=False),
    *_place(),
    Index("erasures_subject", "subject"),
)

#: Where records were dropped for an erasure: places only, so that parity and windows can count them.
erased_records = Table(
    "erased_records",
    metadata,
    Column("topic", Name, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("pos", BigInteger, primary_key=True),
)

#: Feedback in the order in which it was joined, for those who read evidence; joined anew, it gets a new number. No part
#: of the digest: a rebuilt ledger numbers anew and its readers start again, which makes the same signals.
joined = Table(
    "joined",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("tenant", Name, nullable=False),
    Column("event_id", Name, nullable=False),
    Index("joined_event", "tenant", "event_id", unique=True),
    # A number is never given twice, or a reader would miss what got it second.
    sqlite_autoincrement=True,
)

#: Up to which number a reader of evidence has published what it concluded.
readers = Table(
    "readers",
    metadata,
    Column("reader", Name, primary_key=True),
    Column("number", NUMBER, nullable=False),
)

#: HMACs of the interactions, conversations and events that an erasure took, and whose it was: a record that names one
#: and no user goes with it.
tombstones = Table(
    "tombstones",
    metadata,
    Column("mark", Name, primary_key=True),
    Column("subject", Name, primary_key=True),
    Index("tombstones_subject", "subject"),
)

#: What each store did about a ticket.
erasure_stores = Table(
    "erasure_stores",
    metadata,
    Column("ticket", Name, primary_key=True),
    Column("store", Name, primary_key=True),
    Column("state", Name, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
)

windows = Table(
    "windows",
    metadata,
    Column("loop", Name, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("policy", Name, nullable=False),
    Column("digest", Name, nullable=False),
    Column("cut", Words, nullable=False),
    Column("counts", Words, nullable=False),
    Column("as_of", BigInteger, nullable=False),
)

#: A window's rows: the salted digest stays for ever, ids and salt go when a user is erased.
window_rows = Table(
    "window_rows",
    metadata,
    Column("loop", Name, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("row_digest", Name, primary_key=True),
    Column("tenant", Name),
    Column("evidence_id", Name),
    Column("salt", Name),
    Column("supersedes", Name),
    # The ticket that emptied this row.
    Column("redacted_by", Name),
    Index("window_rows_evidence", "loop", "tenant", "evidence_id"),
    Index("window_rows_redacted", "redacted_by"),
)

parity = Table(
    "parity",
    metadata,
    Column("topic", Name, primary_key=True),
    Column("part", Integer, primary_key=True),
    *[
        Column(name, BigInteger, nullable=False, default=0)
        for name in ("read", "stored", "duplicate", "conflict", "dead_lettered", "erased", "expired")
    ],
)

positions = Table(
    "positions",
    metadata,
    Column("topic", Name, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("topic_id", Name, nullable=False),
    # Of the first record that was read, and the next to read.
    Column("first", BigInteger, nullable=False),
    Column("next", BigInteger, nullable=False),
    # Log time of the last record read.
    Column("record_at", BigInteger, nullable=False),
)

#: schema_version; compatible: the least number of a program that may work on these tables; commits (raised by every
#: writing transaction); floor: events accepted before it (microseconds) were dropped by retention.
meta = Table("meta", metadata, Column("name", Name, primary_key=True), Column("value", BigInteger, nullable=False))

#: Where Alembic notes the last step.
revision = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))

#: The event table of each topic.
EVENTS = {
    "interactions": interactions,
    "feedback": feedback,
    "signals": signals,
    "rounds": rounds,
    "deadletters": dead_letters,
}
#: Microseconds of a day (UTC).
DAY = 86_400_000_000
#: Partitioned by day of `accepted_at` in PostgreSQL. Rounds are few, and what they made is asked for long after.
DAILY = (interactions, feedback, signals, dead_letters)
#: What users said or are called, which no statistics of a database may copy. The one query that asks by a user asks by
#: an answer's digest too, which has an index.
UNSAMPLED = frozenset({"user_id", "facts", "messages", "response", "ranking", "words", "sealed", "value"})
#: Partitioned by hash there, so that their indexes stay small.
HASHED = (seen, attempts)
