"""All of `rejoinder up` but rewards and ranking, a page that chats, and people who have used it before."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rejoinder.cli import up
from rejoinder.cli.supervisor import Plan, Supervisor, free_ports
from rejoinder.clients import Connection, FeedbackClient, LedgerClient, RolloutClient
from rejoinder.core.types import (
    ArmKind,
    AttemptStatus,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Rating,
    Role,
    Served,
)
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.served import current
from rejoinder.registry.store import FolderStore

from tests.chaos.harness import wait_until
from tests.tinypolicy import tiny_policy

POLICY, CANARY = "assist", "assist-r0001"
NAMES = ("feedback", "ledger", "signals", "policy", "rollouts", "gateway", "console")
#: Who may do what at the console; the other processes ask nobody, on loopback.
TOKENS = {
    "ann": ("admin-token-of-ann", ["admin"], ["default"]),
    "odo": ("auditor-token-of-odo", ["auditor"], ["default"]),
    "app": ("app-token", ["app"], ["default"]),
    "eve": ("admin-token-of-eve", ["admin", "auditor"], ["elsewhere"]),
}
_TALK = (
    ("How hot is it in Rome in July?", "About 88 degrees Fahrenheit.", "No, I asked for Celsius. That is wrong."),
    ("List three rivers of Spain.", "The Ebro, the Tagus and the Duero.", "Thanks, that is perfect!"),
    ("Write a note to my landlord.", "Dear landlord, the sink leaks.", "This is far too short, give me more detail."),
    ("What is a monad?", "A pattern for chaining computations.", "Great, now I understand it."),
    ("Summarise the report.", "The report is about sales.", "You did not answer my question at all."),
    ("Translate 'good night'.", "Buenas noches.", "ok"),
)


def listens(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Said:
    """One exchange of before."""

    interaction_id: str
    reply: str


class World:
    """owns: the processes and the clients; close() leaves nothing behind. url: of the console; chat: of the page.

    secured: True has callers sign in, at every process.
    """

    def __init__(self, folder: Path, secured: bool = False, only: tuple[str, ...] = NAMES) -> None:
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        self._supervisor = Supervisor(self.data / "run", lambda name, what: None)
        found = free_ports(len(only) + 4)
        *ports, self.console_port, http, chat, spare = found
        named = {**dict.fromkeys(up.PORTS, spare), **dict(zip(only, ports, strict=True))}
        named |= {up.http_of("console"): self.console_port, up.http_of("gateway"): http}
        self.at = {name: f"127.0.0.1:{port}" for name, port in named.items()}
        self.url, self.chat = f"http://127.0.0.1:{self.console_port}", f"http://127.0.0.1:{chat}"
        with pytest.MonkeyPatch.context() as patched:
            real = up.folder_of
            export = tiny_policy() / "export"
            patched.setattr(up, "folder_of", lambda name: export if name == "policy" else real(name))
            made = [self._changed(plan, secured) for plan in up.plans(self.data, POLICY, only, named)]
        self.plans = made
        try:
            self._supervisor.start(made, ports)
        except BaseException:
            self.close()
            raise
        known = {name: token for name, (token, _, _) in TOKENS.items()} if secured else dict.fromkeys(TOKENS, "")
        self.feedback = FeedbackClient(Connection(self.at["feedback"], token=known["app"]))
        self.ledger = LedgerClient(Connection(self.at["ledger"], token=known["odo"]))
        self._page = [
            *(sys.executable, "-m", "rejoinder.gateway.examples.chat"),
            *("--gateway", f"http://127.0.0.1:{http}/v1", "--port", str(chat)),
        ]

    @contextmanager
    def chatting(self) -> Iterator[None]:
        """The example page's own server."""
        with (self.data / "run" / "chat.log").open("wb") as log:
            server = subprocess.Popen(self._page, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: listens(self.chat) or server.poll() is not None, "the page that chats")
            yield
        finally:
            server.terminate()
            server.wait(30)

    def _changed(self, plan: Plan, secured: bool) -> Plan:
        settings: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(plan.settings)))
        if plan.name == "gateway":
            settings["browser"]["origins"] = [self.chat]
        if plan.name == "ledger":
            settings["log"]["wait_s"] = 0.05
        if plan.name == "policy":
            settings["engine"] = {"threads": 1}
            settings["arms"]["registry_poll_s"] = 0.2
        if plan.name == "rollouts":
            settings["engine"]["poll_s"] = 0.2
        if secured:
            file = self.data / "principals.yaml"
            listed = [
                {"principal": name, "token": token, "roles": roles, "tenants": tenants}
                for name, (token, roles, tenants) in TOKENS.items()
            ]
            file.write_text(yaml.safe_dump(listed))
            settings["server"] = {"auth": {"file": str(file)}, "metrics_port": 0}
        if plan.name == "console" and secured:
            # Longer than what comes at once takes on a machine that is held up; test_attacks waits for it once.
            settings["http"] |= {"body_s": 8}
        return replace(plan, settings=settings)

    @property
    def rollouts(self) -> RolloutClient:
        return RolloutClient(Connection(self.at["rollouts"], deadline_s=30.0))

    def log_of(self, name: str) -> str:
        return (self.data / "run" / f"{name}.log").read_text("utf-8", "replace")

    def stop(self, name: str) -> None:
        """For good: nobody tends these processes."""
        next(child for child in self._supervisor.children if child.name == name).stop()

    def publish(self) -> str:
        """A version that may be rolled out; its name."""
        registry = self.data / "registry"
        artefacts = Artefacts(FolderStore(registry), registry / "artefacts")
        base = current(artefacts.store, POLICY)
        digest = artefacts.put(tiny_policy() / "a1")
        artefacts.publish(Version(POLICY, CANARY, digest, base_digest=base.digest, round=1))
        return CANARY

    def people(self, count: int, seed: int = 1, canary: str = "assist-r0000", share: int = 5) -> list[Said]:
        """Exchanges of before, each with what the user said next, read by the extractor. One of `share` answers is the
        canary's; of a rollout each is another person's."""
        rng = random.Random(seed)
        answers, replies, out = [], [], []
        for number in range(count):
            live = canary == CANARY
            # Of a rollout both arms please alike.
            asked, answered, said = _TALK[(number + (number // share if live else 0)) % len(_TALK)]
            user = f"user-{seed}-{number}" if live else f"user-{number % 17}"
            name, at = f"i-{seed}-{number}", time.time() - (0.0 if live else rng.uniform(10, 3_000))
            new = number % share == share - 1
            served = Served(
                policy=POLICY,
                version=canary if new else "assist-base",
                arm=ArmKind.CANARY if new else ArmKind.STABLE,
                propensity=1 / share if new else 1 - 1 / share,
            )
            answers.append(
                Interaction(
                    event_id=f"e-{name}",
                    interaction_id=name,
                    attempt_id=f"a-{name}",
                    conversation_id=f"c-{name}",
                    user_id=user,
                    messages=(Message(Role.USER, asked),),
                    response=answered,
                    served=served,
                    status=AttemptStatus.COMPLETED,
                    occurred_at=at,
                    source="serve",
                )
            )
            about = {
                "interaction_id": name,
                "attempt_id": f"a-{name}",
                "user_id": user,
                "occurred_at": at if live else at + 5,
            }
            replies.append(Feedback(event_id=f"f-{name}", kind=FollowUp(said), **about))
            if number % 7 == 0:
                rated = Rating(number=1.0, scale_min=0.0, scale_max=1.0)
                replies.append(Feedback(event_id=f"t-{name}", kind=rated, **about))
            out.append(Said(name, said))
        assert all(result.recorded for result in self.feedback.record_interactions(answers))
        assert all(result.recorded for result in self.feedback.record_feedback(replies))
        return out

    def wait_read(self, count: int) -> None:
        """Until the extractor has read so many reactions."""

        def read() -> bool:
            rows = self.ledger.satisfaction().rows
            return bool(rows) and rows[0].sat + rows[0].dsat + rows[0].none >= count

        wait_until(read, "what the extractor says", 60.0)

    def close(self) -> None:
        for name in ("feedback", "ledger"):
            if (client := getattr(self, name, None)) is not None:
                client.close()
        self._supervisor.stop()
