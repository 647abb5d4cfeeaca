"""What can be turned on the observer: what is read, how its records are understood, where they go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from rejoinder.core.errors import BadSettings
from rejoinder.core.keyfile import read_key
from rejoinder.core.types import Consent
from rejoinder.gateway.settings import HttpTheme
from rejoinder.observe.events import ImportAs
from rejoinder.observe.fieldmap import FieldMap
from rejoinder.observe.formats import FORMATS, fields
from rejoinder.observe.formatted import Formatted
from rejoinder.observe.mapped import Mapper, Reads
from rejoinder.observe.turns import Order
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.kafkatheme import BrokersTheme, KafkaGuestTheme
from rejoinder.runtime.settings import ServerSettings, Theme

#: The source of turns that are posted to /v1/turns itself.
TURNS = "turns"
#: What a source may be called.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


class TopicTheme(Theme):
    topic: str = Field(min_length=1)
    """The topic's name on the brokers; it is neither made nor altered."""
    id: str = ""
    """The topic's id as `--check` prints it: another one is LOG_REPLACED, also where brokers forgot the positions."""
    map: dict[str, Any]
    """The field map (see README.md of this room)."""


class PostTheme(Theme):
    name: str = Field(pattern=NAME)
    """Its address is /v1/turns/NAME, and its own ids are unique under it: one for each application."""
    map: dict[str, Any] | None = None
    """The field map of its turns; unset: that of `http.map`."""


class PostsTheme(HttpTheme):
    port: int | None = Field(default=None, ge=0, le=65535)  # type: ignore[assignment]
    """HTTP port for turns and reactions that applications post; 0 takes a free one and says which in the log, unset
    opens none. Callers: those of `server.auth`, role app."""
    map: dict[str, Any] = Field(default_factory=lambda: {"preset": "openai", "no_train": "no_train"})
    """The field map of a posted turn (see README.md of this room); `form: turns` needs a log to read again."""
    sources: tuple[PostTheme, ...] = ()
    """Applications with an address of their own beside /v1/turns."""
    spans: str = Field(default=TURNS, pattern=NAME)
    """What spans sent to /v1/traces are taken for: an answer that is also posted, under the same id, to the source of
    this name is the same answer."""
    max_bytes: int = Field(default=16 << 20, ge=1024)
    """Body of a request, unpacked; more is refused with 413."""
    max_items: int = Field(default=1000, ge=1, le=10_000)
    """Turns or reactions of a request; more are refused. Spans come as their exporter batches them."""


class FollowTheme(Theme):
    name: str = Field(default="files", pattern=NAME)
    """What dead letters and the ids of lines without one of their own are called by."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Files, or patterns (`logs/*.jsonl`): JSON Lines. What a rotation puts beside them is followed too."""
    format: str = "auto"
    """The format of `rejoinder import` that its lines have; auto looks at each."""
    map: dict[str, Any] | None = None
    """A field map instead (see README.md of this room)."""


class FilesTheme(Theme):
    follow: tuple[FollowTheme, ...] = ()
    """What is followed."""
    state: Path = Path("rejoinder-data/observe")
    """Folder for the positions: beside the files, it is all that this process remembers of them."""
    look_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks at which files there are."""
    max_line_bytes: int = Field(default=16 << 20, ge=1024)
    """A longer line is put aside unread: bounds the memory of one."""
    most: int = Field(default=500, ge=1)
    """Files that are followed at once, each held open; with more the process ends."""


class ReadTheme(Theme):
    group: str = "rejoinder-observe"
    """Consumer group on those brokers; its committed positions are all that this process remembers."""
    member: str = "observe-0"
    """This process's name in the group, one per replica: back under it within the session, nothing moves."""
    start: str = "earliest"
    """earliest, latest or a time (ISO 8601, in quotes): where a group without a position in a topic begins, and no
    other; a partition that is added later is read from its first record."""
    poll_s: float = Field(default=0.5, gt=0)
    """Longest wait for records: bounds how late a stop is noticed."""
    batch: int = Field(default=500, ge=1, le=1000)
    """Records of one turn; bounds what a kill makes the next process read again."""
    look_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks at the ends of the topics: how old the lag is that is exported."""


class IntoTheme(CallerTheme):
    feedback: str = "127.0.0.1:50051"
    """Address of the feedback service. A token of role internal lets a record's own time be when it was accepted."""
    tenant: str = "default"
    """Whose data these are."""
    policy: str = "observed"
    """The line of versions that the models named in the records belong to."""
    train: bool = True
    """False counts what is read, but lets it enter no window and no pair."""
    log: Literal["owner", "kafka"] = "owner"
    """Who takes dead letters: the owner of the SQLite log (the feedback service), or Kafka."""
    kafka: KafkaGuestTheme = KafkaGuestTheme()
    """Our own log on Apache Kafka; its topics are the feedback service's to make."""
    backoff_max_s: float = Field(default=5.0, gt=0)
    """Longest pause in seconds while the service is away or busy; nothing is skipped meanwhile."""


class OrderTheme(Theme):
    settle_s: float = Field(default=10.0, ge=0)
    """For `form: turns`: how much later, by the log's own time, a conversation's message may come than one that was
    said after it. Answers whose history is not known to be whole wait for so long."""
    context_s: float = Field(default=3600.0, gt=0)
    """For `form: turns`: how far back a history reaches; so much of the topics is read again at a start."""
    max_turns: int = Field(default=200, ge=2, le=10_000)
    """For `form: turns`: messages of one history: bounds what one conversation id for everybody would cost."""
    max_bytes: int = Field(default=256 << 20, ge=1 << 20)
    """For `form: turns`: characters that are kept, each message taken for 1,000 more; above it the oldest are
    settled or forgotten early, and counted (`observe_hurried_total`)."""


class FaultsTheme(Theme):
    unmapped: Literal["dead_letter", "stop"] = "dead_letter"
    """What becomes of a record that cannot be mapped: put aside with its reason, or the process ends before it."""
    poison_limit: int = Field(default=100, ge=1)
    """So many in a row and the map, or the topic, is held to be wrong: the process ends before the last of them."""
    key_file: Path | None = None
    """The deployment's key (erasure.key_file of the ledger), by which an erasure finds a dead letter of its user.
    Without it, or without a user that the map finds, dead letters say where and why, and hold no bytes."""


class ObserveSettings(Theme):
    server: ServerSettings = ServerSettings(port=50070)
    """The chassis; it answers health and metrics, nothing else."""
    brokers: BrokersTheme = BrokersTheme()
    topics: list[TopicTheme] = Field(default_factory=list)
    """The topics that are read, each with its map."""
    http: PostsTheme = PostsTheme()
    """Turns that applications post."""
    files: FilesTheme = FilesTheme()
    """Files that applications write."""
    read: ReadTheme = ReadTheme()
    into: IntoTheme = IntoTheme()
    order: OrderTheme = OrderTheme()
    faults: FaultsTheme = FaultsTheme()

    @model_validator(mode="after")
    def _something(self) -> ObserveSettings:
        if not self.topics and self.http.port is None and not self.files.follow:
            raise ValueError("nothing is read: set topics, http.port or files.follow")
        return self

    def target(self, name: str) -> ImportAs:
        """Whose events they become. name: of what they are read from, in which the caller's own ids are unique."""
        consent = Consent.UNSPECIFIED if self.into.train else Consent.NO_TRAIN
        return ImportAs(self.into.tenant, self.into.policy, f"observe:{name}", consent)

    def mappers(self) -> dict[str, Mapper]:
        """Topic → how its records are understood. Raises BadSettings that names the field of a bad map."""
        out: dict[str, Mapper] = {}
        for number, theme in enumerate(self.topics):
            if theme.topic in out:
                raise BadSettings(f"topics.{number}: {theme.topic} is named twice", field=f"topics.{number}.topic")
            out[theme.topic] = Mapper(FieldMap(theme.map, f"topics.{number}.map"), self.target(theme.topic))
        return out

    def posted(self) -> dict[str, Mapper]:
        """Source → how a turn that is posted to it is understood. Raises BadSettings likewise."""
        themes = {"http.map": PostTheme(name=TURNS)}
        themes |= {f"http.sources.{number}.map": theme for number, theme in enumerate(self.http.sources)}
        out: dict[str, Mapper] = {}
        for where, theme in themes.items():
            of = FieldMap(self.http.map if theme.map is None else theme.map, where)
            if of.form == "turns":
                raise BadSettings(f"{where}.form: turns needs a log that can be read again", field=f"{where}.form")
            if theme.name in out:
                raise BadSettings(f"{where}: {theme.name} is named twice", field=where)
            out[theme.name] = Mapper(of, self.target(theme.name))
        return out

    def followed(self) -> dict[str, Reads]:
        """Source → how the lines of its files are understood. Raises BadSettings likewise."""
        out: dict[str, Reads] = {}
        for number, theme in enumerate(self.files.follow):
            where = f"files.follow.{number}"
            if theme.name in out:
                raise BadSettings(f"{where}: {theme.name} is named twice", field=f"{where}.name")
            if theme.map is None:
                if theme.format not in ("auto", *FORMATS):
                    known = ", ".join(("auto", *FORMATS))
                    raise BadSettings(f"{where}.format must be one of {known}", field=f"{where}.format")
                out[theme.name] = Formatted(theme.format, self._imported)
                continue
            of = FieldMap(theme.map, f"{where}.map")
            if of.form == "turns":
                raise BadSettings(f"{where}.map.form: turns needs a topic, or an import", field=f"{where}.map.form")
            out[theme.name] = Mapper(of, self.target(theme.name))
        return out

    def _imported(self, format_name: str) -> ImportAs:
        return replace(self.target(""), source=f"import:{format_name}")

    def start(self) -> str | float:
        """ "earliest", "latest" or seconds since the epoch. Raises BadSettings."""
        if self.read.start in ("earliest", "latest"):
            return self.read.start
        moment = fields.moment(self.read.start)
        if moment is None:
            raise BadSettings("read.start must be earliest, latest or a time (ISO 8601)", field="read.start")
        return moment

    def keeping(self) -> Order:
        return Order(**self.order.model_dump())

    def key(self) -> bytes | None:
        """Raises BadSettings for a key file that is named and cannot be read."""
        if self.faults.key_file is None:
            return None
        return read_key(self.faults.key_file, "faults.key_file")
