"""The servers that take turns: the bare upstream, the gateway before it with its log, LiteLLM, and a bare hop."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rejoinder.cli.supervisor import free_ports

from loadtests.gateway.upstream import MODEL
from loadtests.processes import ROOT, Measured, python_of

#: What its manual offers for speed (`docs/proxy/server_tuning`, `docs/proxy/cli`): a worker a core, or one, or Granian.
SETTINGS: Sequence[Sequence[str]] = (
    ("--num_workers", "1"),
    # A worker that a busy machine keeps waiting is alive all the same.
    ("--num_workers", "2", "--timeout_worker_healthcheck", "60"),
    ("--run_granian", "--num_workers", "2"),
)


#: Seconds until LiteLLM serves: each of its workers imports it anew.
_START_S = 240.0


@dataclass(frozen=True)
class Side:
    """processes: whose CPU time counts, by name; the port of the first is asked."""

    name: str
    processes: Sequence[Measured]

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.processes[0].port}"


def bare(stack: ExitStack, folder: Path, answer_s: float) -> Side:
    command = ("-m", "loadtests.gateway.upstream", str(answer_s))
    return Side("bare", (stack.enter_context(Measured("upstream", folder, command)),))


def hop(stack: ExitStack, folder: Path, upstream: Side) -> Side:
    command = ("-m", "loadtests.gateway.hop", f"http://{upstream.target}/v1")
    return Side("hop", (stack.enter_context(Measured("hop", folder, command)),))


def ours(stack: ExitStack, folder: Path, upstream: Side, also: Mapping[str, str] | None = None) -> Side:
    """The gateway as it is deployed, with its defaults: every answer is on disk before its caller has its end, and goes
    to the feedback process, which is measured beside it. also: other settings than those."""
    feedback = {
        "REJOINDER_FEEDBACK__LOG__PATH": str(folder / "log.db"),
        "REJOINDER_FEEDBACK__SERVER__PORT": "0",
    }
    ready = "REJOINDER_FEEDBACK__SERVER__READY_FILE"
    log = stack.enter_context(Measured("feedback", folder, ("-m", "rejoinder.feedback"), feedback, ready))
    (port,) = free_ports(1)
    settings = {
        "SERVER__PORT": "0",
        "HTTP__PORT": str(port),
        "UPSTREAM__KIND": "openai",
        "UPSTREAM__OPENAI__URL": f"http://{upstream.target}/v1",
        "UPSTREAM__OPENAI__STABLE": MODEL,
        "RECORD__FEEDBACK": f"127.0.0.1:{log.port}",
        "RECORD__SPOOL": str(folder / "spool"),
        **(also or {}),
    }
    environment = {f"REJOINDER_GATEWAY__{name}": value for name, value in settings.items()}
    ready = "REJOINDER_GATEWAY__SERVER__READY_FILE"
    gateway = stack.enter_context(Measured("gateway", folder, ("-m", "rejoinder.gateway"), environment, ready))
    gateway.port = port
    return Side("ours", (gateway, log))


def proxy(stack: ExitStack, folder: Path, upstream: Side, options: Sequence[str]) -> Side:
    """LiteLLM's proxy, which logs nothing: no callback, no database, no key to look up."""
    config = folder / "litellm.yaml"
    model = {"model": f"openai/{MODEL}", "api_base": f"http://{upstream.target}/v1", "api_key": "none"}
    said = {
        "model_list": [{"model_name": "assist", "litellm_params": model}],
        "litellm_settings": {"callbacks": [], "num_retries": 0, "telemetry": False},
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},
    }
    # JSON is YAML.
    config.write_text(json.dumps(said), "utf-8")
    program = ROOT / "loadtests" / "gateway" / "litellm_proxy.py"
    ready = folder / "litellm.said"
    command = (str(program), str(config), str(ready), *options)
    started = Measured(
        "litellm", folder, command, {"PYTHONPATH": ""}, python=python_of("litellm"), ready=ready, start_s=_START_S
    )
    return Side("litellm", (stack.enter_context(started),))


def litellm_version() -> str:
    command = (str(python_of("litellm")), "-c", "import importlib.metadata as m; print(m.version('litellm'))")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
