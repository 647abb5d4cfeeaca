"""`rejoinder up`: every process on loopback with embedded models, until somebody stops it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import click

from rejoinder.cli.datafolder import LOOKS, data_option, erasure_key, ledger_settings
from rejoinder.cli.supervisor import Plan, Supervisor, free_ports
from rejoinder.core.ending import when_told_to_end
from rejoinder.core.keyfile import kept_key
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.embedded import folder_of
from rejoinder.registry.store import open_store

#: The first is started before all others, and they are stopped in the other order; the ports people find them on when
#: none is asked for.
PORTS = {
    "feedback": 50051,
    "ledger": 50055,
    "signals": 50056,
    "reward": 50053,
    "rerank": 50054,
    "policy": 50052,
    "rollouts": 50057,
}
#: The OpenAI gateway and the console: health here, pages and API on a port of their own. Replicas lie behind both.
WEB = {"gateway": 50058, "console": 50059}
HTTP_PORTS = {"gateway": 8080, "console": 8090}
#: What observe mode needs: the application keeps its own serving.
OBSERVE = ("feedback", "ledger", "signals")


@click.command()
@data_option
@click.option("--policy", default="assist", show_default=True, help="The line of versions to serve.")
@click.option("--observe", is_flag=True, help="Only feedback, ledger and signals: your application serves by itself.")
@click.option(
    "--policies", type=click.IntRange(1, 16), default=1, show_default=True, help="Replicas of the policy service."
)
@click.option("--gateway/--no-gateway", default=True, show_default=True, help="The OpenAI API over HTTP.")
@click.option("--console/--no-console", default=True, show_default=True, help="Pages for people.")
@click.option("--free-ports", "any_ports", is_flag=True, help="Take free ports instead of the usual ones.")
def command(
    data: Path, policy: str, observe: bool, policies: int, gateway: bool, console: bool, any_ports: bool
) -> None:
    """Run the services on this machine. Ctrl-C stops them in order; what was acknowledged is on disk."""
    names = OBSERVE if observe else (*processes(policies), *(("gateway",) if gateway else ()))
    names += ("console",) if console else ()
    pages = [name for name in HTTP_PORTS if name in names]
    usual = [*map(_usual, names), *(HTTP_PORTS[name] for name in pages)]
    found = free_ports(len(usual)) if any_ports else usual
    ports = dict(zip((*names, *map(http_of, pages)), found, strict=True))
    stopping = threading.Event()
    when_told_to_end(stopping.set)
    supervisor = Supervisor(data / "run", lambda name, what: click.echo(f"{name}: {what}", err=True))
    supervisor.start(plans(data, policy, names, ports), [ports[name] for name in names])
    try:
        if "gateway" in names:
            click.echo(f"the OpenAI API: http://127.0.0.1:{ports[http_of('gateway')]}/v1")
        if "console" in names:
            click.echo(f"the console: http://127.0.0.1:{ports[http_of('console')]}/")
        click.echo(f"up; addresses stand in {data / 'run' / 'addresses.json'}")
        while not stopping.wait(0.1):
            supervisor.tend()
    finally:
        supervisor.stop()


def processes(policies: int = 1) -> tuple[str, ...]:
    """Names of all processes in the order of `PORTS`: `policy`, `policy-2`, … are replicas of one service."""
    more = [f"policy-{number}" for number in range(2, policies + 1)]
    at = tuple(PORTS).index("rollouts")
    return (*tuple(PORTS)[:at], *more, *tuple(PORTS)[at:])


def http_of(name: str) -> str:
    """Under which name the HTTP port of a process stands among the ports."""
    return f"{name} over HTTP"


def _service(name: str) -> str:
    """Whose replica a process is."""
    return name.partition("-")[0]


def _usual(name: str) -> int:
    """The port of a process when none is asked for; further replicas lie behind all others."""
    service, _, number = name.partition("-")
    return max(WEB.values()) + int(number) - 1 if number else {**PORTS, **WEB}[service]


def _target(ports: dict[str, int], names: list[str]) -> str:
    """One gRPC target for the replicas of a service: calls are spread over them."""
    at = ",".join(f"127.0.0.1:{ports[name]}" for name in names)
    return at if len(names) == 1 else f"ipv4:{at}"


def plans(data: Path, policy: str, names: tuple[str, ...], ports: dict[str, int]) -> list[Plan]:
    """The processes with settings that fit together; makes keys and registry where they are missing.

    ports: of each name, and of `http_of` those that speak HTTP.
    """
    erasure_key(data)
    settings: dict[str, dict[str, Any]] = {}
    owner = f"127.0.0.1:{ports['feedback']}"
    log = str(data / "log.db")
    settings["feedback"] = {"log": {"path": log}}
    settings["ledger"] = ledger_settings(data, owner)
    settings["signals"] = {
        "source": {"owner": owner, "ledger": f"127.0.0.1:{ports['ledger']}"},
        "read": {"model": str(folder_of("signals"))},
    }
    if "policy" in names:
        record = {"feedback": owner}
        reward, encoder = {"folder": str(folder_of("reward"))}, {"folder": str(folder_of("rerank"))}
        settings["reward"] = {"model": reward}
        settings["rerank"] = {
            "encoder": encoder,
            "reward": reward,
            "record": record | {"spool": str(data / "spool" / "rerank")},
        }
        from rejoinder.registry.bootstrap import bootstrap

        registry = str(data / "registry")
        store = open_store(registry)
        bootstrap(store, Artefacts(store, data / "registry" / "artefacts"), policy, folder_of("policy"))
        replicas = [name for name in names if _service(name) == "policy"]
        for name in replicas:
            settings[name] = {
                "model": {"policy": policy, "registry": registry},
                "arms": {"log_file": log},
                "record": record | {"spool": str(data / "spool" / name)},
            }
        settings["rollouts"] = {
            "policy": {
                "name": policy,
                "registry": registry,
                "replicas": [f"127.0.0.1:{ports[name]}" for name in replicas],
            },
            "source": {"log_file": log, "owner": owner, "ledger": f"127.0.0.1:{ports['ledger']}"},
            "engine": {"memory": str(data / "rollouts.db")},
        }
        if "gateway" in names:
            key = data / "feedback.key"
            kept_key(key)
            settings["gateway"] = {
                "http": {"port": ports[http_of("gateway")]},
                "upstream": {"model": policy, "policy": {"address": _target(ports, replicas)}},
                "record": record,
                "rerank": {"address": f"127.0.0.1:{ports['rerank']}"},
                "browser": {"key_file": str(key)},
            }
    if "console" in names:
        serves = "policy" in names
        settings["console"] = {
            "http": {"port": ports[http_of("console")]},
            "feedback": {"address": owner},
            "ledger": {"address": f"127.0.0.1:{ports['ledger']}"},
            "rollouts": {"address": f"127.0.0.1:{ports['rollouts']}" if serves else ""},
            "policy": {"name": policy, "registry": str(data / "registry"), "rounds": str(data / "rounds")},
            "looks": {"file": str(data / LOOKS), "key_file": str(data / "key")},
        }
    return [Plan(name, f"rejoinder.{_service(name)}", settings[name], _service(name)) for name in names]
