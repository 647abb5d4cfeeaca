"""What can be turned on the log on Apache Kafka. Times in seconds, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rejoinder.core.errors import BadSettings, InvalidArgument
from rejoinder.core.ids import check_name
from rejoinder.stream.topics import OWNABLE, OwnTopics, full_name, own_name

_DAY = 86_400.0
#: Characters of a topic's name, the brokers' bound.
_NAME_CHARS = 249
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class KafkaSettings:
    """Every process that opens the same log is given the same topics section; the rest is its own."""

    #: `host:port` of some brokers, comma between them; the others are learnt from these.
    bootstrap: str = "127.0.0.1:9092"
    #: Topics are called `<prefix>.<name>.v1`; keeps several installations on one cluster apart.
    prefix: str = "rejoinder"

    # -- Topics: made where they are missing, refused where they stand with other settings.
    #: False never makes a topic: for clusters where somebody else does, and for processes without the right to.
    make_topics: bool = True
    #: Partitions of a new topic; one that has more is taken as it is.
    partitions: int = 12
    #: Copies of each record. 3 survives the loss of a broker while another is down for maintenance.
    replication: int = 3
    #: Copies that must have a record before it is acknowledged. 2 of 3: an acknowledged record survives one lost disk.
    min_insync: int = 2
    #: How long records of topics that are not compacted are kept.
    retention_s: float = 30 * _DAY
    #: Brokers drop whole segments, once the newest record of one is too old: a record lives up to this much longer than
    #: retention_s (brokers' own default: 7 days). Shorter means more files: one a partition and segment_s.
    segment_s: float = _DAY
    #: Largest record; bounds what one caller can make every replica and reader hold.
    max_record_bytes: int = 8 << 20
    #: Tenants with topics of their own, `<prefix>.tenant.<tenant>.<name>.v1`; all others share theirs. Every process
    #: that writes or reads events is told of all of them (NOTES.md).
    tenants: Mapping[str, OwnTopics] = field(default_factory=dict)

    # -- Who we are, and how the wire is protected.
    #: SASL mechanism, SCRAM-SHA-256 or SCRAM-SHA-512; "" for none (loopback, or mTLS names the process).
    sasl: str = ""
    user: str = ""
    #: File with the password alone, so that it stands in no environment and no process list.
    password_file: Path | None = None
    #: True speaks TLS. Without it SCRAM keeps the password secret, but not the users' words.
    tls: bool = False
    #: PEM roots of the brokers' certificates; unset: the system's.
    ca_file: Path | None = None
    #: PEM chain and key of this process, for brokers that name their callers by certificate (mTLS).
    cert_file: Path | None = None
    key_file: Path | None = None

    # -- How long, how much.
    #: Longest wait for brokers at start, and for an answer about offsets, topics or groups.
    request_s: float = 10.0
    #: From `append` to acknowledgement; then LogUnavailable. Above the fail-over of a partition's leader (some
    #: seconds), below what callers wait.
    delivery_s: float = 30.0
    #: Records and bytes that may wait for brokers before QueueFull: bounds memory while they are away.
    queue_records: int = 20_000
    queue_bytes: int = 64 << 20
    #: How long a record waits for others to share a request with: latency against CPU.
    linger_s: float = 0.005
    #: Bytes of one partition's share of a request.
    batch_bytes: int = 256 << 10
    #: Ids that this process remembers, to answer `duplicate` and `conflict`; about 400 bytes each. A hint: the ledger
    #: decides.
    recent_ids: int = 50_000
    #: How often topics are looked at for added partitions and moved leaders.
    metadata_s: float = 30.0

    # -- Members of groups, and steps.
    #: A member that was not heard of for so long loses its partitions: protects readers from a dead process. Brokers
    #: bound it (group.min.session.timeout.ms, 6 s).
    session_timeout_s: float = 10.0
    #: A member that did not poll for so long loses them too: from a process that lives but hangs. Above any step.
    poll_interval_s: float = 60.0
    #: A writer that stopped inside a transaction is undone after so long: until then readers of those partitions wait
    #: for it. With the brokers' look once a second (NOTES.md) and the markers' way, readers wait ten seconds at most.
    #: The worker's step limit lies below.
    transaction_s: float = 8.5

    def __post_init__(self) -> None:
        if not self.bootstrap:
            raise BadSettings("kafka.bootstrap must name a broker", field="bootstrap")
        if not 1 <= self.partitions <= 1_000:
            raise BadSettings("kafka.partitions must be from 1 to 1000", field="partitions")
        if ".tenant." in f".{self.prefix}.":
            raise BadSettings("kafka.prefix must not have the part tenant: topics of tenants have it", field="prefix")
        for tenant, own in self.tenants.items():
            self._check_own(tenant, own)
        if not 1 <= self.min_insync <= self.replication:
            raise BadSettings("kafka.min_insync must be from 1 to kafka.replication", field="min_insync")
        if self.sasl and self.sasl not in MECHANISMS:
            raise BadSettings(f"kafka.sasl must be empty or one of {', '.join(MECHANISMS)}", field="sasl")
        if bool(self.sasl) != bool(self.user) or bool(self.sasl) != (self.password_file is not None):
            raise BadSettings("kafka.sasl, kafka.user and kafka.password_file go together", field="sasl")
        if (self.cert_file is None) != (self.key_file is None):
            raise BadSettings("kafka.cert_file and kafka.key_file go together", field="cert_file")
        if (self.ca_file or self.cert_file) and not self.tls:
            raise BadSettings("kafka.ca_file and kafka.cert_file need kafka.tls", field="tls")
        if self.session_timeout_s > self.poll_interval_s:
            raise BadSettings("kafka.poll_interval_s must be at least session_timeout_s", field="poll_interval_s")
        positive = (
            *("request_s", "delivery_s", "queue_records", "queue_bytes", "batch_bytes", "recent_ids", "metadata_s"),
            *("session_timeout_s", "transaction_s", "retention_s", "segment_s", "max_record_bytes"),
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise BadSettings(f"kafka.{name} must be above zero", field=name)
        if self.linger_s < 0:
            raise BadSettings("kafka.linger_s must not be negative", field="linger_s")

    def _check_own(self, tenant: str, own: OwnTopics) -> None:
        where = "kafka.tenants"
        try:
            check_name("tenant", tenant)
        except InvalidArgument as error:
            raise BadSettings(f"{where}: {error.message}", field="tenants") from None
        longest = max(len(full_name(self.prefix, own_name(kind, tenant))) for kind in OWNABLE)
        if not tenant or longest > _NAME_CHARS:
            said = (
                "an empty name" if not tenant else f"a topic's name of {longest} characters, of {_NAME_CHARS} at most"
            )
            raise BadSettings(f"{where}: {said}", field="tenants")
        if own.partitions is not None and not 1 <= own.partitions <= 1_000:
            raise BadSettings(f"{where}: partitions must be from 1 to 1000", field="tenants")
        if own.retention_s is not None and own.retention_s <= 0:
            raise BadSettings(f"{where}: retention_s must be above zero", field="tenants")
        if own.generation < 1:
            raise BadSettings(f"{where}: generation must be 1 or more", field="tenants")
