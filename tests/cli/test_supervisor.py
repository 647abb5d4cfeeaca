"""cli/supervisor: dead processes come back on their port, mistakes do not, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.cli.supervisor import HEALTHY_S, PAUSES_S, Child, Plan, Supervisor, addresses, free_ports
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import FailedPrecondition

from tests.chaos.harness import wait_until

#: A process that writes its ready file and sleeps, or ends as its settings say.
PROGRAM = """
import json, os, signal, sys, yaml
settings = yaml.safe_load(open(sys.argv[2]))
if "exit" in settings:
    print("settings: port is no port", file=sys.stderr)
    sys.exit(settings["exit"])
with open(settings["server"]["ready_file"], "w") as ready:
    json.dump({"pid": os.getpid(), "port": settings["server"]["port"]}, ready)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    signal.pause()
"""


@pytest.fixture
def said() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    (tmp_path / "sleeper.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = Supervisor(tmp_path / "run", lambda name, what: said.append((name, what)))
    yield made
    made.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_process_comes_back_on_its_port(supervisor: Supervisor, said: list[tuple[str, str]]) -> None:
    supervisor.start([Plan("one", "sleeper")], free_ports(1))
    (child,) = supervisor.children
    port, pid = child.port, child.pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not (child.ready and child.pid != pid):
        assert time.monotonic() < deadline
        supervisor.tend()
        time.sleep(0.01)
    assert child.port == port
    assert [what for _, what in said][1:] == ["died", "started again (2)"]


def test_the_pause_grows_while_a_process_does_not_last_and_begins_anew_after_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleeper.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    clock = ManualClock()
    supervisor = Supervisor(tmp_path / "run", lambda name, what: None, clock=clock)
    try:
        supervisor.start([Plan("one", "sleeper")], free_ports(1))
        (child,) = supervisor.children
        pauses = []
        for lived in (0.0, HEALTHY_S - 0.1, HEALTHY_S, 0.0):
            supervisor.tend()
            clock.advance(lived)
            pauses.append(pause_after_a_kill(supervisor, child, clock))
        assert pauses == [*PAUSES_S[:2], *PAUSES_S[:2]]
    finally:
        supervisor.stop()


def pause_after_a_kill(supervisor: Supervisor, child: Child, clock: ManualClock) -> float:
    """Seconds by the clock until it is started again; on return it serves."""
    starts, pid = child.starts, child.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: child.pid is None, "the end")
    supervisor.tend()
    tenths = 0
    while child.starts == starts:
        clock.advance(0.1001)
        tenths += 1
        supervisor.tend()
    wait_until(lambda: child.ready, "its successor")
    return tenths / 10


def test_a_process_with_wrong_settings_is_not_started_again(supervisor: Supervisor) -> None:
    with pytest.raises(FailedPrecondition, match="port is no port"):
        supervisor.start([Plan("one", "sleeper", {"exit": 2})], free_ports(1))
    assert supervisor.children == []


def test_stopping_leaves_no_process_and_no_address_behind(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([Plan("one", "sleeper"), Plan("two", "sleeper")], free_ports(2))
    pids = [child.pid for child in supervisor.children]
    assert (tmp_path / "run" / "addresses.json").exists()
    supervisor.stop()
    assert not any(alive(pid) for pid in pids)
    assert not (tmp_path / "run" / "addresses.json").exists()


def test_replicas_of_a_service_share_one_target(supervisor: Supervisor, tmp_path: Path) -> None:
    plans = [Plan("one", "sleeper"), Plan("one-2", "sleeper", service="one"), Plan("two", "sleeper")]
    ports = free_ports(3)
    supervisor.start(plans, ports)
    assert json.loads((tmp_path / "run" / "addresses.json").read_text()) == {
        "one": f"ipv4:127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}",
        "two": f"127.0.0.1:{ports[2]}",
    }


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_free_port_is_given_to_nobody_else_and_taken_by_whoever_names_it() -> None:
    (port,) = free_ports(1)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        # As the kernel looks for a port for somebody who asks for any.
        other.bind(("127.0.0.1", port))
    for host in ("127.0.0.1", "0.0.0.0"):
        socket.create_server((host, port)).close()


def test_addresses_are_those_of_whoever_runs_for_the_folder(tmp_path: Path) -> None:
    """What a killed `up` left behind is nobody's; a service of which one replica listens is there."""
    assert addresses(tmp_path) == {}
    (tmp_path / "run").mkdir()
    assert addresses(tmp_path) == {}
    (dead,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as one:
        live = one.getsockname()[1]
        found = {
            "feedback": f"127.0.0.1:{live}",
            "ledger": f"127.0.0.1:{dead}",
            "policy": f"ipv4:127.0.0.1:{dead},127.0.0.1:{live}",
        }
        (tmp_path / "run" / "addresses.json").write_text(json.dumps(found))
        assert addresses(tmp_path) == {name: found[name] for name in ("feedback", "policy")}
    assert addresses(tmp_path) == {}


@pytest.mark.parametrize("text", ["", '{"ledger": "127.0', "\x00"])
def test_addresses_that_were_cut_short_are_nobodys(text: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "addresses.json").write_text(text)
    assert addresses(tmp_path) == {}
