"""The processes of a laptop: the first is started before all others, each again when it dies, and they are stopped in
the other order.

Each gets a settings file of its own under `<data>/run`, a port that stays its own for life, and a ready file. A process
that dies is started again with a pause that grows while it does not last; one that ends with a person's mistake (exit
status 2) is not.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rejoinder.core.clock import Clock, SystemClock
from rejoinder.core.errors import FailedPrecondition, PortBusy
from rejoinder.runtime.files import put_whole

#: Exit status of a process whose settings are wrong: starting it again would change nothing.
MISTAKE = 2
#: Under `<data>/run`: where each service is found while they run.
ADDRESSES = "addresses.json"
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
#: Where free ports are looked for: above the well-known ones, below a Kubernetes node's.
LOWEST_PORT, HIGHEST_PORT = 12_000, 30_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Whoever has served for so long and dies has begun anew: its next pause is the shortest.
HEALTHY_S = 30.0


@dataclass(frozen=True)
class Plan:
    """One process. settings: as its YAML file has them, `server.port` and `server.ready_file` filled in here.

    service: what it is a replica of, where its own name is another.
    """

    name: str
    module: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    service: str = ""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different.

    Below those that the kernel gives to outgoing connections: while a process is away one of these could take its
    port, and the process would not come back. Where there is no such room, whatever the kernel gives.
    """
    room = range(LOWEST_PORT, min(_first_ephemeral(), HIGHEST_PORT))
    candidates = [*random.SystemRandom().sample(room, len(room)), *[0] * count]
    with ExitStack() as stack:
        found: list[int] = []
        for port in candidates:
            each = stack.enter_context(socket.socket())
            try:
                each.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(each.getsockname()[1])
            if len(found) == count:
                break
        return found


def _first_ephemeral() -> int:
    try:
        return int(EPHEMERAL.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return HIGHEST_PORT


def addresses(data: Path) -> dict[str, str]:
    """Service → gRPC target in the `rejoinder up` that runs for a data folder; empty when none does.

    One that was killed leaves its file behind: a service that nobody listens for is left out.
    """
    try:
        found = json.loads((data / "run" / ADDRESSES).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {
        name: target for name, target in found.items() if any(map(_listens, target.removeprefix("ipv4:").split(",")))
    }


def address_of(data: Path, service: str, given: str | None) -> str | None:
    """Where a command finds a service: where the person says, else in the `rejoinder up` that runs; None: nowhere."""
    return given or addresses(data).get(service)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


class Child:
    """One process and its successors. owns: the process group, its files under `folder`.

    starts: all of them. Times are readings of a monotonic clock.
    """

    def __init__(self, plan: Plan, port: int, folder: Path, grace_s: float, pauses_s: Sequence[float]) -> None:
        self.name = plan.name
        self.service = plan.service or plan.name
        self.port = port
        self.starts = 0
        self._ready = folder / f"{plan.name}.ready"
        self._settings = folder / f"{plan.name}.yaml"
        self._log = folder / f"{plan.name}.log"
        self._module = plan.module
        self._grace_s = grace_s
        self._pauses_s = pauses_s
        self._process: subprocess.Popen[bytes] | None = None
        self._again_at: float | None = None
        self._pauses = 0
        self._serves_since: float | None = None
        server = {**plan.settings.get("server", {}), "port": port, "ready_file": str(self._ready)}
        self._settings.write_text(yaml.safe_dump({**plan.settings, "server": server}, sort_keys=True))

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def ready(self) -> bool:
        """Whether the process that runs now has said that it serves."""
        try:
            return json.loads(self._ready.read_text())["pid"] == self.pid
        except (OSError, ValueError, KeyError):
            return False

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", self._module, "--settings", str(self._settings)]
        # Threads of model runtimes must not spin: six processes share a laptop's cores.
        environment = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"} | dict(os.environ)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        self.starts += 1

    def tend(self, now: float) -> str:
        """Starts it again when it died; answers what happened: "" | died | started. Raises FailedPrecondition."""
        if self._process is None:
            return ""
        if self._process.poll() is None:
            if self._serves_since is None and self.ready:
                self._serves_since = now
            return ""
        if self._process.returncode == MISTAKE and not self._port_lost():
            raise FailedPrecondition(f"{self.name} cannot start: {self.last_line()}", process=self.name)
        if self._again_at is None:
            lasted = 0.0 if self._serves_since is None else now - self._serves_since
            self._pauses = 0 if lasted >= HEALTHY_S else self._pauses
            self._again_at = now + self._pauses_s[min(self._pauses, len(self._pauses_s) - 1)]
            self._pauses += 1
            self._serves_since = None
            return "died"
        if now < self._again_at:
            return ""
        self._again_at = None
        self.start()
        return "started"

    def _port_lost(self) -> bool:
        """Whether another program took the port between a death and this start: it is waited for."""
        return self.starts > 1 and f"[{PortBusy.reason}]" in self.last_line()

    def stop(self) -> None:
        """SIGTERM, the grace, then SIGKILL for the whole group."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(self._grace_s)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._ready.unlink(missing_ok=True)

    def last_line(self) -> str:
        """The last line the process wrote: our services' own words hold nobody else's."""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "it said nothing"


class Supervisor:
    """owns: the children. told: hears (process, what happened). pauses_s: before the first start anew, the second, …"""

    def __init__(
        self,
        folder: Path,
        told: Callable[[str, str], None],
        grace_s: float = 10.0,
        clock: Clock | None = None,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._folder = folder
        self._told = told
        self._grace_s = grace_s
        self._clock = clock or SystemClock()
        self._pauses_s = pauses_s
        self.children: list[Child] = []
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, plans: Sequence[Plan], ports: Sequence[int], timeout_s: float = 120.0) -> None:
        """Starts the first process, and once it serves all others: they wait for each other by themselves. Raises
        FailedPrecondition; what was started is stopped."""
        children = [
            Child(plan, port, self._folder, self._grace_s, self._pauses_s)
            for plan, port in zip(plans, ports, strict=True)
        ]
        try:
            for together in (children[:1], children[1:]):
                for child in together:
                    self.children.append(child)
                    child.start()
                self._wait(together, self._clock.monotonic() + timeout_s)
        except BaseException:
            self.stop()
            raise
        found: dict[str, list[str]] = {}
        for child in self.children:
            found.setdefault(child.service, []).append(f"127.0.0.1:{child.port}")
        # Several addresses in one target: gRPC spreads the calls over them.
        targets = {name: at[0] if len(at) == 1 else f"ipv4:{','.join(at)}" for name, at in found.items()}
        put_whole(self._folder / ADDRESSES, json.dumps(targets, indent=1) + "\n")

    def _wait(self, together: Sequence[Child], deadline: float) -> None:
        """Until each serves; whoever dies meanwhile, or ends with a mistake, is not waited for first."""
        waiting = list(together)
        while waiting:
            for child in together:
                if child.tend(self._clock.monotonic()) == "died":
                    self._told(child.name, f"died at its start: {child.last_line()}")
            for child in [each for each in waiting if each.ready]:
                self._told(child.name, f"serves on 127.0.0.1:{child.port}")
                waiting.remove(child)
            if waiting and self._clock.monotonic() > deadline:
                late = waiting[0]
                raise FailedPrecondition(f"{late.name} does not serve: {late.last_line()}", process=late.name)
            if waiting:
                time.sleep(0.02)

    def tend(self) -> None:
        """One look at every child: those that died are started again after a pause."""
        for child in self.children:
            happened = child.tend(self._clock.monotonic())
            if happened:
                self._told(child.name, "died" if happened == "died" else f"started again ({child.starts})")

    def stop(self) -> None:
        """Stops the children, the last started first."""
        for child in reversed(self.children):
            child.stop()
            self._told(child.name, "stopped")
        self.children = []
        (self._folder / ADDRESSES).unlink(missing_ok=True)
