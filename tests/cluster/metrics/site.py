"""Every process of an installation on loopback.

`rejoinder up`'s own plans, a second line of versions that the operator rolls out, an observer, and a gateway before a
server of the OpenAI kind. Versions are tiny models of chance: what is measured here is who was served, not the words.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli import up
from rejoinder.cli.supervisor import Child, Plan, Supervisor, free_ports
from rejoinder.clients import Connection
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.arms import ArmsTable
from rejoinder.core.arms import Version as Arm
from rejoinder.core.codec import encode
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.bootstrap import bootstrap
from rejoinder.registry.served import ServedPointer, current
from rejoinder.registry.store import FolderStore
from rejoinder.stream.port import NewRecord

from tests.chaos.harness import wait_until
from tests.system.gateway.upstream import Upstream, serving
from tests.tinypolicy import tiny_policy

#: The engine's line of versions, and the operator's.
POLICY, SECOND = "assist", "second"
#: Never enough people to end a rollout by a verdict: it stays out until the test is over.
ENDLESS = 1_000_000
PLAN: dict[str, Any] = {
    "steps": [{"weight": 0.5, "duration_s": 3600.0, "deadline_s": 7200.0}],
    "maturity_s": 1.0,
    "min_units": ENDLESS,
    "shadow_s": 1.0,
    "shadow_share": 1.0,
    "shadow_min_pairs": 5,
    "vetoes": [{"name": "refusals", "min_units": 5}],
}
ROLLOUT: dict[str, Any] = {
    "target": {"policy": SECOND},
    "lease": "45s",
    "steps": [{"weight": 50, "duration": "1h", "deadline": "2h"}],
    "analysis": {"maturity": "1s", "minUnits": ENDLESS, "vetoes": [{"name": "refusals", "baseRate": "0.05"}]},
}
#: What differs from `rejoinder up`: small limits that traffic of some seconds meets, and looks that come soon.
CHANGES: dict[str, dict[str, Any]] = {
    "feedback": {
        "limits": {"max_text_bytes": 400},
        "redact": {"kinds": ["email"]},
        "quota": {"user": {"events_per_s": 1, "burst_s": 5}},
    },
    "reward": {"server": {"rate": {"address_per_s": 10, "burst_s": 1}}},
    "policy": {"engine": {"threads": 1, "max_batch": 2}, "arms": {"registry_poll_s": 0.2, "holdout_share": 0}},
    "rollouts": {"engine": {"poll_s": 0.2}, "policy": {"holdout_share": 0}, "plan": PLAN},
}


class Site:
    """owns: the processes and the server behind the gateway; close() leaves nothing behind.

    ports: process → metrics port. operator: settings by which it reaches an API server.
    """

    def __init__(self, folder: Path, operator: Mapping[str, Any]) -> None:
        self.data = folder
        folder.mkdir()
        self._stack = ExitStack()
        try:
            self.upstream = self._stack.enter_context(serving(Upstream()))
            plans, ports = self._plans(operator)
            self._supervisor = Supervisor(folder / "run", lambda name, what: None)
            self._stack.callback(self._supervisor.stop)
            # A dozen interpreters that begin at once on a machine that may be busy.
            self._supervisor.start(plans, ports, timeout_s=600.0)
        except BaseException:
            self.close()
            raise

    def _plans(self, operator: Mapping[str, Any]) -> tuple[list[Plan], list[int]]:
        names = (*up.processes(), "gateway", "console", "policy-second", "observe", "operator")
        web = [up.http_of(name) for name in ("gateway", "console", "observe")]
        found = free_ports(2 * len(names) + len(web))
        at = dict(zip((*names, *web), found, strict=False))
        self.ports = dict(zip(names, found[-len(names) :], strict=True))
        self.at = {name: f"127.0.0.1:{port}" for name, port in at.items()}
        with pytest.MonkeyPatch.context() as patched:
            real, export = up.folder_of, tiny_policy() / "export"
            patched.setattr(up, "folder_of", lambda name: export if name == "policy" else real(name))
            usual = {plan.name: plan for plan in up.plans(self.data, POLICY, names[:-3], at)}
        self.store = FolderStore(self.data / "registry")
        self.artefacts = Artefacts(self.store, self.data / "registry" / "artefacts")
        bootstrap(self.store, self.artefacts, SECOND, export, "second-base")
        base = current(self.store, POLICY)
        self.versions = {policy: self._publish(policy, name) for policy, name in ((POLICY, "a1"), (SECOND, "a2"))}
        self.upstream.models = [base.version, self.versions[POLICY].version]
        policy = usual["policy"].settings
        own = {
            "policy-second": {
                "model": {**policy["model"], "policy": SECOND},
                "arms": policy["arms"],
                "record": {**policy["record"], "spool": str(self.data / "spool" / "second")},
            },
            # A server that does not have the judge's model: all are asked, none is read.
            "signals": {
                **usual["signals"].settings,
                "audit": {
                    "judge": "audit-endpoint",
                    "share": 1.0,
                    "endpoint": {"url": self.upstream.url, "model": "judge"},
                },
            },
            "gateway": self._gateway(usual["gateway"].settings, policy, base),
            "observe": self._observe(at[up.http_of("observe")]),
            "operator": {
                **operator,
                "policy": {"registry": str(self.store.root), "replicas": self.at["policy-second"], "holdout_share": 0},
                "source": {
                    "log": "sqlite",
                    "log_file": str(self.data / "log.db"),
                    "owner": self.at["feedback"],
                    "ledger": self.at["ledger"],
                },
            },
        }
        modules = {
            "policy-second": "rejoinder.policy",
            "observe": "rejoinder.observe",
            "operator": "rejoinder_operator",
        }
        plans = []
        for name in names:
            plan = usual.get(name) or Plan(name, modules[name])
            settings = _merged(own.get(name, plan.settings), CHANGES.get(name.partition("-")[0], {}))
            # One that is told to end while it writes cuts its answers off at once.
            grace_s = 0.0 if name == "policy-second" else 0.5
            server = {"metrics_port": self.ports[name], "leave_s": 0, "grace_s": grace_s}
            settings = _merged(settings, {"server": server})
            plans.append(replace(plan, settings=settings))
        return plans, [at[name] for name in names]

    def _gateway(self, usual: Mapping[str, Any], policy: Mapping[str, Any], base: ServedPointer) -> dict[str, Any]:
        openai = {"url": self.upstream.url, "stable": base.version, "poll_s": 1.0}
        arms = {"registry": policy["model"]["registry"], **policy["arms"], "holdout_share": 0, "registry_poll_s": 0.2}
        return {
            **usual,
            "upstream": {"kind": "openai", "model": POLICY, "openai": openai},
            "arms": arms,
            "record": {**usual["record"], "spool": str(self.data / "spool" / "gateway")},
        }

    def _observe(self, port: int) -> dict[str, Any]:
        self.followed = self.data / "application.jsonl"
        self.followed.touch()
        lines = {"paths": [str(self.followed)], "map": {"preset": "openai"}}
        return {
            "into": {"feedback": self.at["feedback"], "policy": "theirs", "backoff_max_s": 0.5},
            "http": {"port": port},
            "files": {"follow": [lines], "state": str(self.data / "observe"), "look_s": 0.2},
        }

    def _publish(self, policy: str, adapter: str) -> Version:
        base = current(self.store, policy)
        digest = self.artefacts.put(tiny_policy() / adapter)
        made = Version(policy, f"{policy}-r0001", digest, base_digest=base.digest, round=1)
        self.artefacts.publish(made)
        return made

    def rollout(self) -> dict[str, Any]:
        """The spec of the operator's PolicyRollout."""
        stable, canary = current(self.store, SECOND), self.versions[SECOND]
        return {
            **ROLLOUT,
            "stable": {"version": stable.version, "digest": stable.digest},
            "canary": {"version": canary.version, "digest": canary.digest},
        }

    def overtaken(self) -> None:
        """A writer that was replaced writes who is served what."""
        base = current(self.store, POLICY)
        stale = ArmsTable(policy=POLICY, stable=Arm(base.version, base.digest))
        with LogOwnerClient(Connection(self.at["feedback"])) as owner:
            owner.append([NewRecord("arms", POLICY.encode(), encode(stale))])

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """A process is killed; behind the block whoever is not there comes back, as the supervisor has it."""
        child = self._child(name)
        assert child.pid is not None
        os.killpg(child.pid, signal.SIGKILL)
        try:
            yield
        finally:
            children = self._supervisor.children
            wait_until(lambda: self._supervisor.tend() or all(each.ready for each in children), "everybody", 300.0)

    def end(self, name: str, begun: Callable[[], bool]) -> None:
        """Tells a process to end once it is so, and waits for that."""
        child = self._child(name)
        assert child.pid is not None
        wait_until(begun, "the moment to end")
        os.kill(child.pid, signal.SIGTERM)
        wait_until(lambda: child.pid is None, "its end")

    def stop(self, name: str) -> None:
        """For good."""
        self._child(name).stop()

    def _child(self, name: str) -> Child:
        return next(child for child in self._supervisor.children if child.name == name)

    def close(self) -> None:
        self._stack.close()


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(settings)
    for key, value in changes.items():
        inner = out.get(key)
        # A plan is a whole: its keys are no settings that could be left.
        whole = key == "plan" or not (isinstance(value, Mapping) and isinstance(inner, Mapping))
        out[key] = value if whole else _merged(inner, value)
    return out
