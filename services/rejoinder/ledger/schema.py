"""The ledger's tables. Times are integers in microseconds since the epoch (UTC); JSON is canonical text.

Every event table holds identity and what queries ask for as columns, the caller's other fields as canonical JSON in
`facts`, and words in columns of their own (`messages`, `response`, `ranking`, `words`, `sealed`): what erasure removes
and what no digest of a log line may hold. `topic`, `part`, `pos`, `record_at` say where a row came from: operational,
outside the ledger's digest, as other partition counts must give the same ledger.
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
    Text,
)

#: Raised by one with every change of the tables; a ledger file of another version is rebuilt from the log.
SCHEMA_VERSION = 1

metadata = MetaData()


def _place() -> list[Column]:
    return [
        Column("topic", String, nullable=False),
        Column("part", Integer, nullable=False),
        Column("pos", BigInteger, nullable=False),
        Column("record_at", BigInteger, nullable=False),
    ]


def _identity() -> list[Column]:
    return [
        Column("tenant", String, primary_key=True),
        Column("event_id", String, primary_key=True),
        Column("body_digest", String, nullable=False),
        Column("accepted_at", BigInteger, nullable=False),
        Column("principal", String, nullable=False, default=""),
        Column("user_id", String, nullable=False, default=""),
        # Erasure subject of the user; "" without one.
        Column("subject", String, nullable=False, default=""),
        # occurred_at clamped to accepted_at: what "latest" means.
        Column("at", BigInteger, nullable=False),
        Column("facts", Text, nullable=False),
        *_place(),
    ]


interactions = Table(
    "interactions",
    metadata,
    *_identity(),
    Column("interaction_id", String, nullable=False),
    Column("attempt_id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("consent", String, nullable=False),
    Column("source", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("version", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("holdout", Boolean, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("parent_interaction_id", String, nullable=False),
    # Of the answer, and of the last assistant message in the history it was asked with.
    Column("answer_digest", String, nullable=False),
    Column("history_digest", String, nullable=False),
    Column("messages", Text),
    Column("response", Text),
    Column("ranking", Text),
    Column("sealed", Text),
    # Joined: the answer this one follows, how it was found, and whether an earlier turn had another version.
    Column("parent", String, nullable=False, default=""),
    Column("parent_how", String, nullable=False, default="root"),
    Column("crossed", Boolean, nullable=False, default=False),
    Index("interactions_attempt", "tenant", "interaction_id", "attempt_id", unique=True),
    Index("interactions_conversation", "tenant", "conversation_id", "turn"),
    Index("interactions_answer", "tenant", "answer_digest", "at"),
    Index("interactions_subject", "subject", "accepted_at"),
    Index("interactions_accepted", "accepted_at"),
)

feedback = Table(
    "feedback",
    metadata,
    *_identity(),
    Column("interaction_id", String, nullable=False),
    Column("attempt_id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("answer_digest", String, nullable=False),
    Column("kind", String, nullable=False),
    # What a later one of the same kind replaces; NULL where each is kept.
    Column("repeat_key", String),
    Column("consent", String, nullable=False),
    Column("source", String, nullable=False),
    Column("words", Text),
    Column("sealed", Text),
    # joined | unlinked | foreign (dead-lettered FOREIGN_TARGET); parked and orphaned are states of unlinked, by time.
    Column("state", String, nullable=False, default="unlinked"),
    # interaction | turn | digest; "" while unlinked.
    Column("how", String, nullable=False, default=""),
    # Why it is unlinked, or `ambiguous_attempt` for one that is joined to an answer but to no attempt of it.
    Column("cause", String, nullable=False, default=""),
    Column("target_interaction", String, nullable=False, default=""),
    Column("target_attempt", String, nullable=False, default=""),
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
    Column("source_event_id", String, nullable=False),
    Column("interaction_id", String, nullable=False),
    Column("attempt_id", String, nullable=False),
    Column("polarity", String, nullable=False),
    Column("strength", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("extractor", String, nullable=False),
    Column("extractor_version", String, nullable=False),
    Index("signals_source", "tenant", "source_event_id"),
    Index("signals_interaction", "tenant", "interaction_id", "attempt_id"),
    Index("signals_subject", "subject", "accepted_at"),
)

rounds = Table(
    "rounds",
    metadata,
    *_identity(),
    Column("policy", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("stage", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("version", String, nullable=False),
    Index("rounds_number", "policy", "number"),
    Index("rounds_version", "version"),
)

#: Dead letters that other processes wrote to the log; the ledger's own verdicts are `set_aside`.
dead_letters = Table(
    "dead_letters",
    metadata,
    *_identity(),
    Column("reason", String, nullable=False),
    Column("source_topic", String, nullable=False),
    Column("source_part", Integer, nullable=False),
    Column("source_pos", BigInteger, nullable=False),
    Column("value", LargeBinary),
    Index("dead_letters_subject", "subject", "accepted_at"),
)

#: Deduplication: which record of an id is the event. Rows go when `expires` has passed.
seen = Table(
    "seen",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("event_id", String, primary_key=True),
    Column("body_digest", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("part", Integer, nullable=False),
    Column("pos", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("seen_expires", "expires"),
)

#: Records that were read and are not the event of their id, or no event at all: duplicates and dead letters.
set_aside = Table(
    "set_aside",
    metadata,
    Column("topic", String, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("pos", BigInteger, primary_key=True),
    # duplicate | conflict | dead_lettered | expired: the parity counter it stands in.
    Column("counted", String, nullable=False),
    # ErrorReason name of a dead letter; "" for a duplicate.
    Column("reason", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("body_digest", String, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("record_at", BigInteger, nullable=False),
    # Erasure subject of the record's user, "" when it has none or could not be read.
    Column("subject", String, nullable=False),
    # Interaction and attempt of an interaction, so that the next in line is found when the stored one goes.
    Column("attempt_key", String, nullable=False),
    # True where the record is the event of its id, but its attempt was recorded under another id before.
    Column("shadowed", Boolean, nullable=False, default=False),
    Column("other_topic", String, nullable=False, default=""),
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
    Column("ticket", String, primary_key=True),
    Column("subject", String, nullable=False),
    Column("erased_at", BigInteger, nullable=False),
    Column("grace", BigInteger, nullable=False),
    *_place(),
    Index("erasures_subject", "subject"),
)

#: Where records were dropped for an erasure: places only, so that parity and windows can count them.
erased_records = Table(
    "erased_records",
    metadata,
    Column("topic", String, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("pos", BigInteger, primary_key=True),
)

#: Feedback in the order in which it was joined, for those who read evidence; joined anew, it gets a new number. No part
#: of the digest: a rebuilt ledger numbers anew and its readers start again, which makes the same signals.
joined = Table(
    "joined",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("event_id", String, nullable=False),
    Index("joined_event", "tenant", "event_id", unique=True),
    # A number is never given twice, or a reader would miss what got it second.
    sqlite_autoincrement=True,
)

#: Up to which number a reader of evidence has published what it concluded.
readers = Table(
    "readers",
    metadata,
    Column("reader", String, primary_key=True),
    Column("number", Integer, nullable=False),
)

#: HMACs of the interactions, conversations and events that an erasure took, and whose it was: a record that names one
#: and no user goes with it.
tombstones = Table(
    "tombstones",
    metadata,
    Column("mark", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Index("tombstones_subject", "subject"),
)

#: What each store did about a ticket.
erasure_stores = Table(
    "erasure_stores",
    metadata,
    Column("ticket", String, primary_key=True),
    Column("store", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
)

windows = Table(
    "windows",
    metadata,
    Column("loop", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("policy", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("cut", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("as_of", BigInteger, nullable=False),
)

#: A window's rows: the salted digest stays for ever, ids and salt go when a user is erased.
window_rows = Table(
    "window_rows",
    metadata,
    Column("loop", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("row_digest", String, primary_key=True),
    Column("tenant", String),
    Column("evidence_id", String),
    Column("salt", String),
    Column("supersedes", String),
    # The ticket that emptied this row.
    Column("redacted_by", String),
    Index("window_rows_evidence", "loop", "tenant", "evidence_id"),
    Index("window_rows_redacted", "redacted_by"),
)

parity = Table(
    "parity",
    metadata,
    Column("topic", String, primary_key=True),
    Column("part", Integer, primary_key=True),
    *[
        Column(name, BigInteger, nullable=False, default=0)
        for name in ("read", "stored", "duplicate", "conflict", "dead_lettered", "erased", "expired")
    ],
)

positions = Table(
    "positions",
    metadata,
    Column("topic", String, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("topic_id", String, nullable=False),
    # Of the first record that was read, and the next to read.
    Column("first", BigInteger, nullable=False),
    Column("next", BigInteger, nullable=False),
    # Log time of the last record read.
    Column("record_at", BigInteger, nullable=False),
)

#: schema_version, commits (raised by every writing transaction).
meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", BigInteger, nullable=False))

#: The event table of each topic.
EVENTS = {
    "interactions": interactions,
    "feedback": feedback,
    "signals": signals,
    "rounds": rounds,
    "deadletters": dead_letters,
}
