"""The `kafka` theme of every process that opens the log on Apache Kafka: `stream.kafka.settings` as settings of a
process. `KafkaSettings(**theme.model_dump())` is the other; a test holds names and defaults together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rejoinder.runtime.settings import Theme

_DAY = 86_400.0


class BrokersTheme(Theme):
    """Which brokers, under what name, and how long to wait for them."""

    bootstrap: str = "127.0.0.1:9092"
    """`host:port` of some brokers, comma between them; the others are learnt from these."""
    sasl: Literal["", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    """SASL mechanism; empty for none (loopback, or mTLS names the process)."""
    user: str = ""
    """SASL user of this process."""
    password_file: Path | None = None
    """File with the password alone."""
    tls: bool = False
    """True speaks TLS: without it users' words cross the network in clear text, SCRAM or not."""
    ca_file: Path | None = None
    """PEM roots of the brokers' certificates; unset: the system's."""
    cert_file: Path | None = None
    """PEM chain of this process, for brokers that name callers by certificate (mTLS)."""
    key_file: Path | None = None
    """PEM key of cert_file."""
    request_s: float = Field(default=10.0, gt=0)
    """Longest wait in seconds for brokers at start, and for an answer about offsets, topics or groups."""
    metadata_s: float = Field(default=30.0, gt=0)
    """Seconds between two looks for added partitions, and for topics that were made anew."""
    session_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds after which a silent member's partitions go to others; brokers bound it from below (6 s by default)."""
    poll_interval_s: float = Field(default=60.0, gt=0)
    """Seconds after which a member that lives but does not poll loses them too."""


class OwnTopicsTheme(Theme):
    """How one tenant's own topics are kept."""

    partitions: int | None = Field(default=None, ge=1, le=1000)
    """Partitions of each when it is made; unset: as many as the shared ones."""
    retention_s: float | None = Field(default=None, gt=0)
    """Seconds that records are kept; unset: as long as on the shared ones."""
    closed: bool = False
    """True sends the tenant's events to the shared topics again. What lies on its own is read on, so it stays named."""
    generation: int = Field(default=1, ge=1)
    """One more each time that the tenant's topics were deleted and made anew: the ledger keeps what it has of the ones
    before, and reads these from their first record. Until it is told so, it stops with LOG_REPLACED."""


class KafkaTheme(BrokersTheme):
    prefix: str = "rejoinder"
    """Topics are called `<prefix>.<name>.v1`; keeps several installations on one cluster apart."""
    make_topics: bool = True
    """False never makes a missing topic: for processes without the right to, and clusters where somebody else does."""
    partitions: int = Field(default=12, ge=1, le=1000)
    """Partitions of a new topic; one that has more is taken as it is, one that has fewer is refused."""
    replication: int = Field(default=3, ge=1)
    """Copies of each record; 3 survives the loss of a broker while another is down."""
    min_insync: int = Field(default=2, ge=1)
    """Copies that must have a record before it is acknowledged."""
    retention_s: float = Field(default=30 * _DAY, gt=0)
    """Seconds that records are kept, of topics that are not compacted."""
    segment_s: float = Field(default=_DAY, gt=0)
    """Seconds of records in one file: brokers drop whole files, so a record may live so much longer than retention_s.
    Shorter ends an erased user's raw copy sooner and makes more files."""
    max_record_bytes: int = Field(default=8 << 20, ge=1024)
    """Largest record; bounds what one caller can make every replica and reader hold."""
    tenants: dict[str, OwnTopicsTheme] = Field(default_factory=dict)
    """Tenants with topics of their own, `<prefix>.tenant.<tenant>.<name>.v1`, by name; the others share theirs. To be
    the same for every process that writes or reads events: where a tenant's topics are there, one that was not told of
    them does not start."""
    delivery_s: float = Field(default=30.0, gt=0)
    """Seconds from append to acknowledgement, then LOG_UNAVAILABLE; above a fail-over, below callers' waits."""
    queue_records: int = Field(default=20_000, ge=1)
    """Records that may wait for brokers before QUEUE_FULL; bounds memory while they are away."""
    queue_bytes: int = Field(default=64 << 20, ge=1)
    """Bytes that may wait for them."""
    linger_s: float = Field(default=0.005, ge=0)
    """Seconds that a record waits for others to share a request with: latency against CPU."""
    batch_bytes: int = Field(default=256 << 10, ge=1)
    """Bytes of one partition's share of a request."""
    recent_ids: int = Field(default=50_000, ge=1)
    """Ids remembered to answer `duplicate` and `conflict`, about 400 bytes each. A hint: the ledger decides."""
    transaction_s: float = Field(default=8.5, gt=0)
    """Seconds after which the step of a writer that stopped is undone; readers wait for it until then."""

    @property
    def longest_s(self) -> float:
        """Seconds that any topic keeps its records at most, of those that are not compacted."""
        return max([self.retention_s, *(own.retention_s or 0.0 for own in self.tenants.values())])


class KafkaGuestTheme(KafkaTheme):
    """Of a process that takes the topics as they are. A class of its own: a default value of the field would be lost as
    soon as another setting of the theme is given."""

    make_topics: bool = False
    """True lets this process make missing topics too; by default only the feedback service does."""
