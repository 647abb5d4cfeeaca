"""Apache Kafka as the tests run it: real brokers on loopback, started, killed and cleaned up by whoever owns them.

    with Cluster(folder, nodes=3) as cluster:
        cluster.start(); …; cluster.kill(2); cluster.start(2)      # the same ports and folders again

The jars come from Maven Central once, into `build/kafka-<version>/` of the checkout, with a class-data archive that
halves a broker's start; `java` and `mvn` must be on the PATH. `shared()` is one broker for a whole test session, or the
brokers that the environment variable KAFKA_BOOTSTRAP names (they must allow sessions of one second:
`group.min.session.timeout.ms`, and everything else in `PROPERTIES` that a test waits for).

A kill with SIGKILL leaves the page cache to the kernel: one killed broker says nothing about a power cut.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from rejoinder.cli.supervisor import free_ports

from loadtests.processes import ends_with_us

VERSION = "4.3.1"
ROOT = Path(__file__).parent.parent / "build" / f"kafka-{VERSION}"

#: 4.4.0 names a dependency that Maven Central does not have; without an slf4j binding Kafka logs nothing at all.
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>dev.rejoinder</groupId><artifactId>brokers</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""
#: Longest download of the jars (some 120 MB).
_FETCH_S = 600.0
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"

#: What every node gets. The waits of a production broker are shortened where a test would sit through them.
PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    # As brokers come: our clients must make no topic by merely asking for it.
    "auto.create.topics.enable": "true",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "group.initial.rebalance.delay.ms": "0",
    # A member that says nothing is dead after a second or two.
    "group.min.session.timeout.ms": "500",
    # A killed writer's transaction is looked for every second, not every ten: NOTES.md of stream says why that matters.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # A killed broker may register again after three seconds, not after nine.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.backoff.ms": "100",
    "log.segment.delete.delay.ms": "100",
    "log.initial.task.delay.ms": "100",
    # What is too old goes within a second, not within five minutes.
    "log.retention.check.interval.ms": "500",
}


class Missing(RuntimeError):
    """What a machine lacks to run brokers, in one line."""


def shared() -> str:
    """The address of the session's brokers; the first call starts one, the interpreter's end stops it."""
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        return given
    if not _SHARED:
        folder = Path(tempfile.mkdtemp(prefix="rejoinder-kafka-"))
        # Nobody kills it: its own controller must not take it for dead on a machine that stands still for a while.
        cluster = Cluster(folder, properties={"broker.session.timeout.ms": "18000"})
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        atexit.register(cluster.close)
        cluster.start()
        _SHARED.append(cluster)
    return _SHARED[0].address


def files() -> Path | None:
    """The folder in which the session's own broker keeps its files; None where brokers were given."""
    shared()
    return _SHARED[0].folder if _SHARED else None


#: The session's own broker, once it was asked for.
_SHARED: list[Cluster] = []


class Cluster:
    """Nodes of one cluster, each broker and controller. owns: their processes and everything under `folder`.

    listeners: further ones, name → protocol (`SSL`, `SASL_PLAINTEXT`, `SASL_SSL`), each with a port of its own;
    properties: added to or instead of PROPERTIES. hosts: nodes with another address than loopback's; within: nodes
    whose process is started by way of a command (`ip netns exec NAME`). Everything is ended by `close`, also when a
    start failed.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        hosts: Mapping[int, str] | None = None,
        within: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        self._folder = folder
        self._hosts = {node: (hosts or {}).get(node, "127.0.0.1") for node in range(1, nodes + 1)}
        self._within = dict(within or {})
        self._properties = dict(properties or {})
        self._protocols = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        names = [*self._protocols, "CONTROLLER"]
        ports = free_ports(nodes * len(names))
        self._ports = {
            node: dict(zip(names, ports[(node - 1) * len(names) :], strict=False)) for node in range(1, nodes + 1)
        }
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def nodes(self) -> Sequence[int]:
        return tuple(self._ports)

    @property
    def address(self) -> str:
        return self.at("PLAINTEXT")

    def at(self, listener: str) -> str:
        """Bootstrap servers of a listener."""
        return ",".join(f"{self._hosts[node]}:{ports[listener]}" for node, ports in self._ports.items())

    def log_of(self, node: int) -> Path:
        return self._folder / f"node-{node}.log"

    def pid(self, node: int) -> int:
        return self._processes[node].pid

    def runs(self, node: int) -> bool:
        """Whether its process is there (a broker whose disk is full ends by itself)."""
        return node in self._processes and self._processes[node].poll() is None

    def start(self, *nodes: int, timeout_s: float = 90.0) -> None:
        """Starts some nodes (all by default) and returns when their ports answer. Raises with the log's end."""
        wanted = nodes or self.nodes
        for node in wanted:
            self._launch(node)
        deadline = time.monotonic() + timeout_s
        for node in wanted:
            while not self._answers(node):
                if self._processes[node].poll() is not None or time.monotonic() > deadline:
                    tail = self.log_of(node).read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"broker {node} did not start: {tail}")
                time.sleep(0.02)

    def kill(self, node: int) -> None:
        """SIGKILL, and waits until the process is gone."""
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def stop(self, node: int) -> None:
        """SIGTERM: the broker hands over what it leads and closes its files; SIGKILL after 20 s."""
        process = self._processes.pop(node)
        process.terminate()
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self, node: int) -> None:
        self._processes[node].send_signal(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        self._processes[node].send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kills what runs. Folders belong to whoever gave them."""
        for node in list(self._processes):
            with suppress(ProcessLookupError):
                self.resume(node)
            self.kill(node)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _launch(self, node: int) -> None:
        installed()
        data = self._folder / f"node-{node}"
        config = self._folder / f"node-{node}.properties"
        if not data.exists():
            shutil.copytree(formatted(node), data)
        config.write_text("".join(f"{name}={value}\n" for name, value in self._config(node, data).items()))
        with self.log_of(node).open("ab") as log:
            self._processes[node] = subprocess.Popen(
                [*self._within.get(node, ()), *_java("-Xmx320m", *_archive(), "kafka.Kafka", str(config))],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ends_with_us(signal.SIGKILL),
            )

    def _config(self, node: int, data: Path) -> dict[str, str]:
        ports, count, host = self._ports[node], len(self._ports), self._hosts[node]
        copies = str(min(3, count))
        enough = str(min(2, count))
        return {
            **PROPERTIES,
            "node.id": str(node),
            "log.dirs": str(data),
            "listeners": ",".join(f"{name}://{host}:{port}" for name, port in ports.items()),
            "advertised.listeners": ",".join(f"{name}://{host}:{ports[name]}" for name in self._protocols),
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in {**self._protocols, "CONTROLLER": "PLAINTEXT"}.items()
            ),
            "controller.quorum.voters": ",".join(
                f"{other}@{self._hosts[other]}:{named['CONTROLLER']}" for other, named in self._ports.items()
            ),
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": enough,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": enough,
            "min.insync.replicas": enough,
            **self._properties,
        }

    def _answers(self, node: int) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((self._hosts[node], self._ports[node]["PLAINTEXT"])) == 0


def installed() -> Path:
    """The folder of the jars, filled once per checkout. Raises Missing."""
    lib = ROOT / "lib"
    if not lib.exists():
        for program in ("java", "mvn"):
            if shutil.which(program) is None:
                raise Missing(
                    f"tests with Apache Kafka need `{program}` on the PATH, or KAFKA_BOOTSTRAP with an address"
                )
        _once(lib, _download)
    return lib


def _download(into: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pom.xml").write_text(_POM)
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}")
        command = ["mvn", "-B", "-q", *goal]
        try:
            ran = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=_FETCH_S,
                preexec_fn=ends_with_us(signal.SIGKILL),
            )
        except subprocess.TimeoutExpired:
            raise Missing(f"Apache Kafka {VERSION} did not come from Maven Central within {_FETCH_S:.0f} s") from None
    if ran.returncode:
        raise Missing(f"Apache Kafka {VERSION} could not be fetched from Maven Central: {ran.stdout[-300:].strip()}")


def formatted(node: int) -> Path:
    """A formatted, empty data folder of a node; formatting costs a JVM, so it is done once per checkout."""
    return _once(ROOT / f"formatted-{node}", lambda into: _format(into, node))


def _format(into: Path, node: int) -> None:
    config = into.with_suffix(".properties")
    lines = {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": f"{node}@127.0.0.1:1",
        "listeners": "PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": into,
    }
    config.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    command = _java("-Xmx128m", "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(config))
    subprocess.run(command, check=True, capture_output=True, timeout=120.0, preexec_fn=ends_with_us(signal.SIGKILL))
    config.unlink()


def _archive() -> list[str]:
    """Options for the archive of loaded classes, which a broker of its own writes once."""
    return [f"-XX:SharedArchiveFile={_once(ROOT / 'classes.jsa', _write_archive)}"]


def _write_archive(into: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        data = Path(folder) / "node-1"
        shutil.copytree(formatted(1), data)
        config = Path(folder) / "node-1.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in cluster._config(1, data).items()))
        options = ("-Xmx320m", f"-XX:ArchiveClassesAtExit={into}", "kafka.Kafka", str(config))
        process = subprocess.Popen(
            _java(*options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=ends_with_us(signal.SIGKILL),
        )
        try:
            deadline = time.monotonic() + 90.0
            while not cluster._answers(1) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            process.terminate()
            process.wait(60.0)
        finally:
            process.kill()
            process.wait()


def _java(*options: str) -> list[str]:
    """Kafka is set up for throughput; a test wants it started: one tier of the compiler."""
    quiet = ("-Dorg.slf4j.simpleLogger.logFile=System.out", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=off")
    return ["java", "-XX:TieredStopAtLevel=1", *quiet, "-cp", f"{ROOT / 'lib'}/*", *options]


def _once(path: Path, make: Callable[[Path], None]) -> Path:
    """The path, made by one process of those that want it; a half-made one is never seen."""
    if path.exists():
        return path
    ROOT.mkdir(parents=True, exist_ok=True)
    with _alone(ROOT / f"{path.name}.lock"):
        if not path.exists():
            made = path.with_name(f"{path.name}.new")
            shutil.rmtree(made, ignore_errors=True)
            make(made)
            made.rename(path)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
