"""cli/up: the processes of a deployment, their replicas, and settings that fit together."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.cli import up
from rejoinder.cli.supervisor import Plan
from rejoinder.cli.up import OBSERVE, PORTS, WEB, http_of, plans, processes


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Plan]:
    """A deployment of two policy replicas; where the embedded models lie is another test's matter."""
    monkeypatch.setattr(up, "folder_of", lambda name: tmp_path / "models" / name)
    monkeypatch.setattr("rejoinder.registry.bootstrap.bootstrap", lambda *given: None)
    names = (*processes(2), "gateway", "console")
    ports = {name: 40_000 + number for number, name in enumerate((*names, *map(http_of, WEB)))}
    return {plan.name: plan for plan in plans(tmp_path, "assist", names, ports)}


def test_replicas_start_after_the_first_and_before_whoever_calls_them() -> None:
    assert processes() == tuple(PORTS)
    assert processes(3) == (
        "feedback",
        "ledger",
        "signals",
        "reward",
        "rerank",
        "policy",
        "policy-2",
        "policy-3",
        "rollouts",
    )


def test_the_usual_ports_of_all_processes_are_different() -> None:
    names = (*processes(16), *WEB)
    assert len({up._usual(name) for name in names}) == len(names)
    assert up._usual("policy") == PORTS["policy"]


def test_a_replica_runs_the_service_with_a_spool_of_its_own(planned: dict[str, Plan]) -> None:
    first, second = planned["policy"], planned["policy-2"]
    assert (first.module, second.module) == ("rejoinder.policy", "rejoinder.policy")
    assert (first.service, second.service) == ("policy", "policy")
    spools = [plan.settings["record"].pop("spool") for plan in (first, second)]
    assert spools[0] != spools[1], "two owners of one spool would ship each other's answers"
    assert first.settings == second.settings


def test_the_rollout_engine_knows_every_replica(planned: dict[str, Plan]) -> None:
    """A version is shown to nobody until each of them has loaded it."""
    names = list(planned)
    assert planned["rollouts"].settings["policy"]["replicas"] == [
        f"127.0.0.1:{40_000 + names.index(name)}" for name in ("policy", "policy-2")
    ]


def test_the_gateway_stands_before_every_replica_and_signs_with_a_secret_of_its_own(
    planned: dict[str, Plan], tmp_path: Path
) -> None:
    found = planned["gateway"]
    names = list(planned)
    at = [f"127.0.0.1:{40_000 + names.index(name)}" for name in ("policy", "policy-2")]
    assert found.settings["upstream"]["policy"]["address"] == f"ipv4:{','.join(at)}"
    assert found.settings["http"]["port"] == 40_000 + len(names)
    key = Path(found.settings["browser"]["key_file"])
    assert key.read_bytes() != (tmp_path / "key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600


def test_observe_mode_runs_no_serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "folder_of", lambda name: tmp_path / name)
    found = plans(tmp_path, "assist", OBSERVE, {name: PORTS[name] for name in OBSERVE})
    assert [plan.name for plan in found] == list(OBSERVE)


def test_console_ledger_and_commands_write_to_one_record_under_one_key(
    planned: dict[str, Plan], tmp_path: Path
) -> None:
    console, ledger = planned["console"].settings["looks"], planned["ledger"].settings
    assert console["file"] == ledger["looks"]["file"] == str(tmp_path / "looks.jsonl")
    assert console["key_file"] == ledger["erasure"]["key_file"]
