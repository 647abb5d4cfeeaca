"""Every process of an installation on loopback, and people and applications who use and misuse all of them.

`rejoinder up`'s own plans, a second line of versions that the operator rolls out, an observer, and a gateway before a
server of the OpenAI kind. Versions are tiny models of chance: what is measured here is who was served, not the words.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from rejoinder.cli import up
from rejoinder.cli.supervisor import Child, Plan, Supervisor, free_ports
from rejoinder.clients import Connection, FeedbackClient, PolicyClient, RerankClient, RewardClient, RolloutClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.clients.policy import GenerateAsk, Start
from rejoinder.clients.rerank import RerankAsk
from rejoinder.core.arms import ArmsTable
from rejoinder.core.arms import Version as Arm
from rejoinder.core.codec import encode
from rejoinder.core.errors import RejoinderError
from rejoinder.core.ids import uuid7
from rejoinder.core.types import Comment, Edit, Feedback, FollowUp, Message, Rating, Role, Sampling
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
#: Longer than ingest takes here: whoever lets it pass finds it rejected.
LONG = "too long " * 50
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
    """owns: the processes, the server behind the gateway and the clients; close() leaves nothing behind.

    ports: process → metrics port. operator: settings by which it reaches an API server.
    """

    def __init__(self, folder: Path, operator: Mapping[str, Any]) -> None:
        self.data = folder
        folder.mkdir()
        self._stack = ExitStack()
        self._count = 0
        try:
            self._upstream = self._stack.enter_context(serving(Upstream()))
            plans, ports = self._plans(operator)
            self._supervisor = Supervisor(folder / "run", lambda name, what: None)
            self._stack.callback(self._supervisor.stop)
            # Fourteen interpreters that begin at once on a machine that may be busy.
            self._supervisor.start(plans, ports, timeout_s=600.0)
            self._connect()
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
        self._versions = {policy: self._publish(policy, name) for policy, name in ((POLICY, "a1"), (SECOND, "a2"))}
        self._upstream.models = [base.version, self._versions[POLICY].version]
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
                    "endpoint": {"url": self._upstream.url, "model": "judge"},
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
        openai = {"url": self._upstream.url, "stable": base.version, "poll_s": 1.0}
        arms = {"registry": policy["model"]["registry"], **policy["arms"], "holdout_share": 0, "registry_poll_s": 0.2}
        return {
            **usual,
            "upstream": {"kind": "openai", "model": POLICY, "openai": openai},
            "arms": arms,
            "record": {**usual["record"], "spool": str(self.data / "spool" / "gateway")},
        }

    def _observe(self, port: int) -> dict[str, Any]:
        self._followed = self.data / "application.jsonl"
        self._followed.touch()
        lines = {"paths": [str(self._followed)], "map": {"preset": "openai"}}
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

    def _connect(self) -> None:
        def client(kind: Any, name: str, **options: Any) -> Any:
            return self._stack.enter_context(kind(Connection(self.at[name], deadline_s=30.0, **options)))

        self._policies = {POLICY: client(PolicyClient, "policy"), SECOND: client(PolicyClient, "policy-second")}
        self._feedback = client(FeedbackClient, "feedback")
        self._reward, self._rerank = client(RewardClient, "reward", tries=1), client(RerankClient, "rerank")
        self.rollouts = client(RolloutClient, "rollouts")
        self._http = self._stack.enter_context(httpx.Client(timeout=30))

    def roll_out(self) -> dict[str, Any]:
        """The engine's rollout begins; the operator's PolicyRollout is what it answers."""
        self.rollouts.start(POLICY, self._versions[POLICY].version)
        stable, canary = current(self.store, SECOND), self._versions[SECOND]
        return {
            **ROLLOUT,
            "stable": {"version": stable.version, "digest": stable.digest},
            "canary": {"version": canary.version, "digest": canary.digest},
        }

    def behave(self) -> None:
        """A round in which nobody does anything wrong."""
        self._each(self._chat)

    def talk(self) -> None:
        """A round of everything; whom an error meets, it meets."""
        self._each(self._chat, self._misuse, self._rank, self._judge, self._browse, self._log_theirs, self._crowd)

    def ask(self) -> None:
        """A round of what goes on without a log."""
        self._each(self._ask, self._rank, self._visit, self._log_theirs)

    def _each(self, *whats: Callable[[int], object]) -> None:
        self._count += 1
        for one in whats:
            with suppress(RejoinderError, httpx.TransportError):
                one(self._count)

    def _ask(self, number: int) -> list[tuple[str, str]]:
        """New users of both lines ask; (user, interaction) of each."""
        asked = (Message(Role.USER, "How warm is it in Rome? Write to me at ann@example.org."),)
        shown = []
        for policy, client in self._policies.items():
            user = f"{policy}-{number}"
            for part in client.generate(GenerateAsk(asked, user_id=user, sampling=Sampling(1.0, max_tokens=6))):
                shown += [(user, part.interaction_id)] if isinstance(part, Start) else []
        return shown

    def _chat(self, number: int) -> None:
        """They say what they think of it."""
        for user, shown in self._ask(number):
            kinds = (FollowUp("Thanks, that is perfect!"), Rating("thumb", 1.0), Edit("It is 31 degrees."))
            words = FollowUp("これは違います、もう一度お願いします") if number % 3 else Comment("Not bad at all.")
            self._feedback.record_feedback(
                [Feedback(interaction_id=shown, user_id=user, kind=kind) for kind in (*kinds, words)]
            )

    def _misuse(self, number: int) -> None:
        """One id for two bodies, votes by a script, an unknown policy, a question that the log refuses."""
        again, votes = uuid7(), [uuid7() for _ in range(8)]
        for words in ("no", "yes"):
            self._feedback.record_feedback([Feedback(event_id=again, interaction_id=again, kind=FollowUp(words))])
        with suppress(RejoinderError):
            self._feedback.record_feedback(
                [Feedback(interaction_id=vote, user_id="script", kind=Rating("thumb", 1.0)) for vote in votes], 1.0
            )
        with suppress(RejoinderError):
            self.rollouts.get("nobody")
        with grpc.insecure_channel(self.at["feedback"]) as channel, suppress(grpc.RpcError):
            channel.unary_unary("/rejoinder.v1.FeedbackService/RecordFeedback")(b"\xff", timeout=10)
        tokens = Sampling(1.0, max_tokens=1)
        for _ in self._policies[POLICY].generate(GenerateAsk((Message(Role.USER, LONG),), sampling=tokens)):
            pass

    def _rank(self, number: int) -> None:
        """A slate, and one that the log will refuse."""
        candidates = (("1", "The Ebro."), ("2", "The Tagus and the Duero."), ("3", "None."))
        for more in ((), (("4", LONG),)):
            self._rerank.rerank(RerankAsk("rivers", (*candidates, *more)))

    def _judge(self, number: int) -> None:
        """Rewards, for callers who do not wait, and who come too often."""
        asked = (Message(Role.USER, "Which rivers are there?"),)

        def score(deadline_s: float) -> None:
            with suppress(RejoinderError):
                self._reward.score(asked, ["The Ebro. " * 30] * 8, "", deadline_s)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(score, (30.0, 30.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)))
        for _ in range(12):
            with suppress(RejoinderError):
                self._reward.heads()

    def _gate(self, user: str, *turns: str) -> dict[str, Any]:
        """What the gateway answers. turns: the user's and the assistant's, in turn."""
        messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
        body = {"model": POLICY, "messages": messages, "user": user}
        url = f"http://{self.at[up.http_of('gateway')]}/v1/chat/completions"
        return dict(self._http.post(url, json=body).json())

    def _visit(self, number: int) -> None:
        """An application behind the gateway."""
        self._gate(f"visit-{number}", "Who is it?")

    def _browse(self, number: int) -> None:
        """Another one, whose users say more; a page's thumb; a person at the console."""
        user = f"web-{number}"
        ask = partial(self._gate, user)
        first = ask("Where is it?")
        token, said = first["rejoinder"]["feedback_token"], first["choices"][0]["message"]["content"]
        ask("Where is it?", said, "That is wrong, I asked for the street.")
        event = {"interaction_id": first["rejoinder"]["interaction_id"], "rating": {"number": 1}}
        self._http.post(
            f"http://{self.at[up.http_of('gateway')]}/v1/feedback", json={"tokens": [token], "events": [event]}
        )
        ask("break")
        self._http.get(f"http://{self.at[up.http_of('console')]}/")
        # The server lets the canary go between two of the gateway's looks at what it has.
        had, self._upstream.models = self._upstream.models, self._upstream.models[:1]
        for one in range(4):
            self._gate(f"{user}-{one}", "Where is she?")
        self._upstream.models = had

    def _log_theirs(self, number: int) -> None:
        """Another application, which writes its turns to a file and posts some: a broken line, an answer too long."""
        turns = [
            {"id": f"t{number}-{n}", "messages": [{"role": "user", "content": "?"}], "answer": "a"} for n in (1, 2)
        ]
        lines = [json.dumps(turns[0]), "{", json.dumps({**turns[1], "answer": LONG})]
        with self._followed.open("a") as file:
            file.write("\n".join(lines) + "\n")
        posted = {"turns": [{**turns[1], "id": f"p{number}"}]}
        self._http.post(f"http://{self.at[up.http_of('observe')]}/v1/turns", json=posted)

    def _crowd(self, number: int) -> None:
        """More at once than the engine writes together."""
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(partial(self._write, POLICY, 60), (f"c{number}-{one}" for one in range(12))))

    def _write(self, policy: str, tokens: int, user: str, begun: threading.Event | None = None) -> None:
        asked = GenerateAsk((Message(Role.USER, "And now?"),), user_id=user, sampling=Sampling(1.0, max_tokens=tokens))
        with suppress(RejoinderError):
            for _ in self._policies[policy].generate(asked):
                if begun is not None:
                    begun.set()

    def cut(self) -> None:
        """A replica is told to end while it writes more than it may finish."""
        child = self._child("policy-second")
        assert child.pid is not None
        begun = threading.Event()
        with ThreadPoolExecutor(12) as pool:
            for one in range(12):
                pool.submit(self._write, SECOND, 200, f"l-{one}", begun)
            wait_until(begun.is_set, "an answer's first part")
            os.kill(child.pid, signal.SIGTERM)
            wait_until(lambda: child.pid is None, "its end")

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
