"""What every chaos test stands on: a process that can be killed, a recorder outside it, seeded moments.

    process = Process([sys.executable, "-m", "rejoinder.feedback"], folder, "feedback", settings)
    process.start(); …; process.kill(); process.start()      # the same port again; start waits for health

A kill with SIGKILL leaves the page cache to the kernel: it shows what is acknowledged before it was written, not what
was written before it was on disk. The log's own tests look at fsync.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rejoinder.cli.supervisor import PAUSES_S, Plan, Supervisor, free_ports


def wait_until(true: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Waits on a condition, not on time. Raises TimeoutError naming what did not come."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {timeout_s} s")
        time.sleep(0.005)


def spooled(folder: Path, pattern: str = "*.spool") -> int:
    """Bytes of spools that no log has yet. A segment that goes while one looks has been taken over."""
    total = 0
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def is_serving(port: int) -> bool:
    """A process that stands still for a while is waited for; one that is gone says so at once."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20.0)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


class Process:
    """A service of ours in a process group of its own. owns: the group, a ready file and a log file in `folder`.

    environment: settings as `SERVER__GRACE_S` → text, without the service's prefix. The first start takes a free port,
    later ones the same, so that clients find it again. first: what the new process runs before its command.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        service: str,
        environment: Mapping[str, str],
        first: Callable[[], None] | None = None,
    ) -> None:
        self._command = list(command)
        self._first = first
        self._service, self._given = service, dict(environment)
        self.ready = folder / f"{service}.ready"
        self.log_path = folder / f"{service}.log"
        prefix = f"REJOINDER_{service.upper()}__"
        self._environment = {f"{prefix}{name}": value for name, value in environment.items()}
        self._environment[f"{prefix}SERVER__READY_FILE"] = str(self.ready)
        self._port_name = f"{prefix}SERVER__PORT"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.starts = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def another(self, folder: Path, **environment: str) -> Process:
        """A second replica, not started: the same but for these settings."""
        return Process(self._command, folder, self._service, self._given | environment, self._first)

    def start(self, timeout_s: float = 60.0) -> None:
        """Returns when health says SERVING. Raises RuntimeError with the log's end when the process ends before."""
        deadline = time.monotonic() + timeout_s
        while not self._started(deadline):
            # Another program may have been given our port meanwhile: it is wanted again, so wait for it.
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._command} did not serve within {timeout_s} s: {self.log_end()}")
        self.starts += 1

    def _started(self, deadline: float) -> bool:
        self.ready.unlink(missing_ok=True)
        env = {**os.environ, **self._environment, self._port_name: str(self.port)}
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=env, stderr=log, stdout=log, start_new_session=True, preexec_fn=self._first
            )
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                if self._process.returncode == 2 and "PORT_BUSY" in self.log_end():
                    return False
                raise RuntimeError(f"{self._command} ended with {self._process.returncode}: {self.log_end()}")
            if self.ready.exists():
                self.port = json.loads(self.ready.read_text())["port"]
                if is_serving(self.port):
                    return True
            time.sleep(0.01)
        return False

    def log_end(self) -> str:
        return self.log_path.read_text("utf-8", "replace")[-2000:] if self.log_path.exists() else ""

    def kill(self) -> None:
        """SIGKILL to the whole group; returns when the process is gone."""
        self._signal(signal.SIGKILL)

    def terminate(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; returns the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        assert self._process is not None
        return self._process.wait(timeout_s)

    def told_until_ended(self) -> int:
        """SIGTERM again and again until the process is gone, its interpreter's last steps included; the exit code."""
        assert self._process is not None
        wait_until(lambda: self._process.poll() is not None or os.kill(self.pid, signal.SIGTERM), "its end", 30.0)
        return self._process.returncode

    def close(self) -> None:
        """Leaves nothing behind, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)
        self._process.wait(30)


class Recorder:
    """What callers were told, on disk before the next call: one acknowledged id per line, fsynced. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._path = path
        self._lock = threading.Lock()
        self.count = 0

    def acknowledged(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        with self._lock:
            self._file.write("".join(f"{id_}\n" for id_ in ids).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
            self.count += len(ids)

    def read(self) -> list[str]:
        return self._path.read_text().splitlines()

    def close(self) -> None:
        self._file.close()


class Traffic:
    """Callers that go on by themselves until told to stop. owns: their threads.

    caller: called again and again with the caller's number and a flag that says whether to stop.
    """

    def __init__(self, callers: int, caller: Callable[[int, threading.Event], None]) -> None:
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(caller, number), name=f"caller-{number}", daemon=True)
            for number in range(callers)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def check(self) -> None:
        """Raises what a caller met that its own retries did not mend."""
        if self._failures:
            raise self._failures[0]

    def _run(self, caller: Callable[[int, threading.Event], None], number: int) -> None:
        try:
            while not self._stop.is_set():
                caller(number, self._stop)
        except BaseException as error:
            self._failures.append(error)


class Killer:
    """Kills a process at seeded moments and starts it again; after each start traffic must go on by itself.

    moments: seconds of serving before each kill, drawn from the seed. progress: a count that grows with traffic.
    """

    def __init__(self, process: Process, progress: Callable[[], int], traffic: Traffic, seed: int) -> None:
        self._process = process
        self._progress = progress
        self._traffic = traffic
        self._rng = random.Random(seed)

    def run(self, kills: int, shortest_s: float = 0.05, longest_s: float = 0.3) -> Iterator[float]:
        """Yields the moment of each kill, after traffic has gone on behind it."""
        for _ in range(kills):
            moment = self._rng.uniform(shortest_s, longest_s)
            time.sleep(moment)
            self._process.kill()
            before = self._progress()
            self._process.start()
            wait_until(lambda before=before: self._gone_on(before), "traffic after a restart")
            yield moment

    def _gone_on(self, before: int) -> bool:
        self._traffic.check()
        return self._progress() > before


class Tended:
    """Processes under the supervisor of `rejoinder up`: whoever dies comes back by itself. owns: children, a thread."""

    def __init__(self, folder: Path, plans: Sequence[Plan]) -> None:
        # Its pauses grow for a process that does not last; these are killed on purpose.
        self._supervisor = Supervisor(folder, lambda name, what: None, pauses_s=PAUSES_S[:1])
        ports = free_ports(len(plans))
        self.addresses = {plan.name: f"127.0.0.1:{port}" for plan, port in zip(plans, ports, strict=True)}
        self._supervisor.start(plans, ports)
        self._children = {child.name: child for child in self._supervisor.children}
        self._failure: Exception | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="supervisor", daemon=True)
        self._thread.start()

    def serves(self, name: str) -> bool:
        """Raises what tending met: a child that cannot start again."""
        if self._failure is not None:
            raise self._failure
        return self._children[name].ready

    def kill(self, name: str) -> None:
        """SIGKILL to the whole group of a process that lives; returns when it is gone."""
        child = self._children[name]
        pid = child.pid
        assert pid is not None
        os.killpg(pid, signal.SIGKILL)
        wait_until(lambda: child.pid != pid, f"the end of {name}")

    def close(self) -> None:
        """Stops all as `rejoinder up` does: SIGTERM, and a drain."""
        self._ending.set()
        self._thread.join(10)
        self._supervisor.stop()

    def _tend(self) -> None:
        while self._failure is None and not self._ending.wait(0.02):
            try:
                self._supervisor.tend()
            except Exception as error:
                self._failure = error


def kill_in_turn(
    tended: Tended, names: Sequence[str], rounds: int, progress: Callable[[str], int], traffic: Traffic, seed: int
) -> int:
    """Kills each process once a round at a seeded moment of its own traffic; how often in all.

    progress: a count that grows with a process's traffic. Each must have gone on behind its last kill before the next,
    and at the end: nobody but the supervisor and the callers does anything for that.
    """
    rng = random.Random(seed)
    killed_at = {name: progress(name) for name in names}

    def goes_on(name: str) -> bool:
        traffic.check()
        return tended.serves(name) and progress(name) > killed_at[name]

    for _ in range(rounds):
        for name in rng.sample(list(names), len(names)):
            wait_until(lambda name=name: goes_on(name), f"traffic through {name}")
            time.sleep(rng.uniform(0.02, 0.3))
            tended.kill(name)
            killed_at[name] = progress(name)
    for name in names:
        wait_until(lambda name=name: goes_on(name), f"traffic through {name}")
    return rounds * len(names)
