"""Where scenarios take place: three brokers and a PostgreSQL for a whole run, and our own processes for each scenario.

with Site(folder) as site, site.town() as town:
    with town.traffic(5_000) as traffic: …; traffic.reach(0.5); site.cluster.kill(2)
    return town.outcome(kills=1)
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from kafka.errors import KafkaError
from rejoinder.ledger.stores.dialect import Postgres
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.topics import full_name, of_kinds

from tests.brokers import Cluster
from tests.chaos.harness import Process, Recorder, wait_until
from tests.chaos.scenarios.callers import Flow
from tests.chaos.scenarios.count import Count, counted, unsignalled
from tests.chaos.scenarios.row import Outcome
from tests.chaos.scenarios.worker import GROUP
from tests.postgresql import Server
from tests.system.kafka.world import admin_of, opened

FEEDBACK = (sys.executable, "-m", "rejoinder.feedback")
LEDGER = (sys.executable, "-m", "rejoinder.ledger")
#: What processes are told of `KafkaSettings`; the rest stays as the product has it.
TOLD = ("bootstrap", "prefix", "partitions", "replication", "min_insync", "delivery_s", "metadata_s", "transaction_s")


class Site:
    """owns: the brokers, the database server unless one that runs is given, everything under `folder`. A scenario that
    needs other brokers starts its own with `brokers`."""

    def __init__(self, folder: Path, postgres: Server | None = None) -> None:
        self.folder = folder
        self.postgres = postgres or Server()
        self._starts_postgres = postgres is None
        self._cluster: Cluster | None = None
        self._closing = ExitStack()

    def __enter__(self) -> Site:
        if self._starts_postgres:
            self._closing.callback(self.postgres.stop)
            self.postgres.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.close()

    @property
    def cluster(self) -> Cluster:
        """Three brokers; the first scenario that asks starts them."""
        if self._cluster is None:
            self._cluster = self._closing.enter_context(Cluster(self.scratch("brokers"), nodes=3))
            self._cluster.start()
        return self._cluster

    def scratch(self, name: str) -> Path:
        """A new folder."""
        path = self.folder / f"{name}-{uuid.uuid4().hex[:8]}"
        path.mkdir()
        return path

    def heal(self) -> None:
        """Whatever a scenario left down is up again for the next."""
        if self._cluster is not None:
            for node in self._cluster.nodes:
                if not self._cluster.runs(node):
                    self._cluster.start(node)
                self._cluster.resume(node)
        if not self.postgres.runs():
            self.postgres.restart()

    @contextmanager
    def town(self, address: str = "", **changed: Any) -> Iterator[Town]:
        """A log under a prefix of its own, a database of its own, and our processes on them. changed: `KafkaSettings`
        and what `Town` takes. address: of other brokers."""
        mine = {name: changed.pop(name) for name in ("feedback", "ledger") if name in changed}
        fixed = {"partitions": 6, "metadata_s": 2.0, "delivery_s": 20.0}
        settings = KafkaSettings(
            bootstrap=address or self.cluster.address, prefix=f"t{uuid.uuid4().hex[:10]}", **{**fixed, **changed}
        )
        town = Town(self.scratch("town"), settings, self.postgres.database(), **mine)
        try:
            town.start()
            yield town
        except BaseException:
            for process in (*town._processes, *town.workers):
                print(f"-- {process.log_path}: {process.log_end()[-800:]}", flush=True)
            raise
        finally:
            town.close()


class Town:
    """owns: the feedback processes, the ledger process, workers it was asked for, the recorder of what was told.

    feedback: the command of each; ledger: settings of the ledger beside the usual.
    """

    def __init__(
        self,
        folder: Path,
        settings: KafkaSettings,
        database: Postgres,
        feedback: Sequence[Sequence[str]] = (FEEDBACK,),
        ledger: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.database = database
        self.workers: list[WorkerProcess] = []
        self._processes: list[Process] = []
        (folder / "key").write_text(secrets.token_hex(16))
        self.feedbacks = [self.process(f"feedback{n}", "feedback", each) for n, each in enumerate(feedback)]
        assert database.password_file is not None
        store = {
            "STORE__URL": database.url,
            "STORE__PASSWORD_FILE": str(database.password_file),
            "ERASURE__KEY_FILE": str(folder / "key"),
            "LOOKS__FILE": str(folder / "looks.jsonl"),
            **(ledger or {}),
        }
        self.ledger = self.process("ledger", "ledger", LEDGER, store)
        self.recorder = Recorder(folder / "acknowledged")

    @property
    def feedback(self) -> Process:
        return self.feedbacks[0]

    def process(
        self,
        name: str,
        service: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        theme: str = "LOG__KAFKA",
        kind: str = "LOG__KIND",
    ) -> Process:
        """One of ours, not started. theme, kind: how its settings call this log, "" where it knows none."""
        folder = self.folder / name
        folder.mkdir()
        if not theme:
            self._processes.append(Process(command, folder, service, environment or {}))
            return self._processes[-1]
        told = {f"{theme}__{field.upper()}": str(getattr(self.settings, field)) for field in TOLD}
        if self.settings.tenants:
            own = {tenant: asdict(how) for tenant, how in self.settings.tenants.items()}
            told[f"{theme}__TENANTS"] = json.dumps(own)
        self._processes.append(Process(command, folder, service, {kind: "kafka", **told, **(environment or {})}))
        return self._processes[-1]

    def start(self) -> None:
        # Feedback makes the topics.
        for process in (*self.feedbacks, self.ledger):
            process.start()

    def worker(self, slot: str, mode: str = "right") -> WorkerProcess:
        """A running worker that makes signals of feedback; see worker.py."""
        made = WorkerProcess(self.folder, self.settings, slot, mode)
        self.workers.append(made)
        return made

    def traffic(self, events: int, **options: Any) -> Flow:
        """Callers outside, until `events` are acknowledged and the block is left."""
        return Flow([process.port for process in self.feedbacks], self.recorder, events, **options)

    @contextmanager
    def log(self) -> Iterator[KafkaLog]:
        """The log as a reader of its own sees it."""
        with opened(self.settings, appends=False) as log:
            yield log

    def leader(self, topic: str = "feedback", without: int = 0) -> int:
        """The node that leads the first partition, as others than `without` say; -1 while none does or none answers."""
        rows = self._described(topic, without)
        return rows[0]["leader_id"] if rows else -1

    def known_leader(self, topic: str = "feedback", without: int = 0) -> int:
        """The same, once there is one: another than `without`."""
        found = -1

        def known() -> bool:
            nonlocal found
            found = self.leader(topic, without)
            return found not in (-1, without)

        wait_until(known, "a leader", 90.0)
        return found

    def led_by(self, node: int, without: int = 0, topic: str = "feedback", known: bool = False) -> list[int]:
        """Partitions that a node leads. Those without a known leader are everybody's; known: nobody's, for a proof."""
        rows = self._described(topic, without) or [{"leader_id": -1}]
        leaders = {node} if known else {node, -1}
        return [part for part, row in enumerate(rows) if row["leader_id"] in leaders]

    def in_sync(self, topic: str = "feedback", without: int = 0) -> set[int]:
        """Nodes in sync in every partition; none while no broker answers."""
        rows = self._described(topic, without)
        return set.intersection(*(set(row["isr_nodes"]) for row in rows)) if rows else set()

    def _described(self, topic: str, without: int) -> list[Mapping[str, Any]]:
        """The topic's partitions in order. without: a broker that is not asked: it may take calls and answer none."""
        addresses = self.settings.bootstrap.split(",")
        asked = ",".join(address for node, address in enumerate(addresses, 1) if node != without)
        try:
            with admin_of(asked) as admin:
                (row,) = admin.describe_topics([f"{self.settings.prefix}.{topic}.v1"])
        except KafkaError:
            return []
        return sorted(row["partitions"], key=lambda each: each["partition_index"])

    def wait_in_sync(self, nodes: set[int], without: int = 0, timeout_s: float = 120.0) -> None:
        """Until exactly these hold every record of feedback."""
        wait_until(lambda: self.in_sync(without=without) == nodes, f"nodes {sorted(nodes)} in sync", timeout_s)

    def count(self, signals: bool = False, settle_s: float = 20.0) -> Count:
        """What the ledger holds once it has read all that lies on the log, against what callers were told.

        signals: every stored feedback event must have exactly one signal, in log and ledger. Where there are workers
        their group has read everything then, and what is missing `settle_s` later does not come.
        """
        with self.log() as log:
            if signals and self.workers:
                wait_until(lambda: self._positions() == self._ends(log), "the workers' end of the log")
            if signals:
                with suppress(TimeoutError):
                    wait_until(lambda: unsignalled(log) == 0, "a signal for each", settle_s)
            return counted(log, self.database, self.recorder.read(), signals)

    def working(self) -> bool:
        """Whether the workers' group has done its first step."""
        return any(self._positions().values())

    def _ends(self, log: KafkaLog) -> dict[tuple[str, int], int]:
        """Of feedback, whosever, where anything lies; topics as the brokers call them."""
        ends = {topic: log.end_offsets(topic) for topic in of_kinds(log.topics, ("feedback",))}
        prefix = self.settings.prefix
        return {(full_name(prefix, t), part): end for t, found in ends.items() for part, end in found.items() if end}

    def _positions(self) -> dict[tuple[str, int], int]:
        """Of the workers' group, as the brokers have them, where it has read anything."""
        name = f"{self.settings.prefix}.{GROUP}"
        try:
            with admin_of(self.settings.bootstrap) as admin:
                found = admin.list_group_offsets({name: None})[name]
        except KafkaError:
            return {}
        return {(where.topic, where.partition): at.offset for where, at in found.items() if at.offset > 0}

    def outcome(self, signals: bool = False, settle_s: float = 20.0, **evidence: Any) -> Outcome:
        """The count as a row."""
        found = self.count(signals, settle_s)
        return Outcome(
            acknowledged=found.acknowledged,
            stored=found.stored,
            lost=found.lost,
            duplicated=found.duplicated,
            unacked_stored=found.unacked_stored,
            evidence={
                **evidence,
                "copies_on_the_log": found.copies,
                **({"tenants": found.tenants} if len(found.tenants) > 1 else {}),
            },
        )

    def close(self) -> None:
        for process in (*self.workers, *self._processes):
            process.close()
        self.recorder.close()


class WorkerProcess:
    """A `stream.consumer.Worker` in a process of its own. owns: the process.

    It says on a line of standard output when it stands inside a transaction, and how it ended (worker.py).
    """

    def __init__(self, folder: Path, settings: KafkaSettings, slot: str, mode: str) -> None:
        fields = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
        script = str(Path(__file__).with_name("worker.py"))
        self.log_path = folder / f"worker-{slot}-{uuid.uuid4().hex[:6]}.log"
        self._log = self.log_path.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, script, repr(fields), slot, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def says(self, line: str) -> None:
        """Waits for its next line and holds it against `line`."""
        assert self._process.stdout is not None
        found = self._process.stdout.readline().strip()
        assert found == line, f"a worker said {found!r} where {line!r} was due: {self.log_end()}"

    def log_end(self) -> str:
        return self.log_path.read_text("utf-8", "replace")[-1500:]

    def tell(self) -> None:
        """Lets a worker that stands inside a transaction go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("on\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self, timeout_s: float = 60.0) -> str:
        """What it said last: `stopped` or the reason of the error that ended it."""
        assert self._process.stdout is not None
        self._process.wait(timeout_s)
        lines = self._process.stdout.read().split()
        return lines[-1] if lines else ""

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        if self.lives:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                pipe.close()
