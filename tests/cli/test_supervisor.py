"""cli/supervisor: dead processes come back on their port, mistakes do not, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.cli.supervisor import EPHEMERAL, HEALTHY_S, PAUSES_S, Child, Plan, Supervisor, addresses, free_ports
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import FailedPrecondition

from tests.chaos.harness import wait_until

#: A process that writes its ready file and sleeps, or ends as its settings say.
PROGRAM = """
import json, os, signal, socket, sys, yaml
settings = yaml.safe_load(open(sys.argv[2]))
if "exit" in settings:
    print("settings: port is no port", file=sys.stderr)
    sys.exit(settings["exit"])
if "after" in settings and not os.path.exists(settings["after"]):
    print("sleeper: began before what it comes after", file=sys.stderr)
    sys.exit(2)
if "waits" in settings:
    while not os.path.exists(settings["waits"]):
        signal.sigtimedwait([], 0.01)
if "listens" in settings:
    try:
        server = socket.create_server(("127.0.0.1", settings["server"]["port"]))
    except OSError:
        print("sleeper: the port is taken [PORT_BUSY]", file=sys.stderr)
        sys.exit(2)
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

    def is_back() -> bool:
        supervisor.tend()
        return child.ready and child.pid != pid

    wait_until(is_back, "its successor")
    assert child.port == port
    assert [what for _, what in said][1:] == ["died", "started again (2)"]


def test_the_first_serves_before_all_others_begin_which_need_not_wait_for_each_other(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    ready = {name: str(tmp_path / "run" / f"{name}.ready") for name in ("one", "three")}
    plans = [
        Plan("one", "sleeper"),
        Plan("two", "sleeper", {"after": ready["one"], "waits": ready["three"]}),
        Plan("three", "sleeper", {"after": ready["one"]}),
    ]
    supervisor.start(plans, free_ports(3))
    assert all(child.ready for child in supervisor.children)


def test_a_mistake_of_one_is_told_though_another_is_not_there_yet(supervisor: Supervisor, tmp_path: Path) -> None:
    never = {"waits": str(tmp_path / "never")}
    plans = [Plan("one", "sleeper"), Plan("two", "sleeper", never), Plan("three", "sleeper", {"exit": 2})]
    with pytest.raises(FailedPrecondition, match="three cannot start"):
        supervisor.start(plans, free_ports(3))


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


def test_a_process_whose_port_another_took_while_it_was_away_comes_back_when_it_is_free(
    supervisor: Supervisor, said: list[tuple[str, str]], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    supervisor.start([Plan("one", "sleeper", {"listens": True})], [port])
    (child,) = supervisor.children
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.pid is None, "the end")
    with socket.create_server(("127.0.0.1", port)):
        wait_until(
            lambda: supervisor.tend() or child.starts == 3, "two starts, the first of which found the port taken"
        )
    wait_until(lambda: supervisor.tend() or child.ready, "its successor")
    assert "PORT_BUSY" in (tmp_path / "run" / "one.log").read_text()


def test_free_ports_are_all_different_and_none_that_an_outgoing_connection_could_take() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    assert max(found) < int(EPHEMERAL.read_text().split()[0])


def test_where_every_port_is_given_to_outgoing_connections_there_are_free_ones_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr("rejoinder.cli.supervisor.EPHEMERAL", tmp_path / "range")
    found = free_ports(20)
    assert len(set(found)) == 20
    assert min(found) > 0


def test_a_port_in_use_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("rejoinder.cli.supervisor.LOWEST_PORT", port)
        monkeypatch.setattr("rejoinder.cli.supervisor.HIGHEST_PORT", port + 1)
        monkeypatch.setattr("rejoinder.cli.supervisor.EPHEMERAL", Path("/nowhere"))
        assert free_ports(1) != [port]


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
