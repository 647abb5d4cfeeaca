"""The console's application over services that behave like ours, without a socket."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from rejoinder.clients.feedback import RecordResult
from rejoinder.clients.ledger import (
    AnswersWanted,
    HeardFeedback,
    ListedAnswer,
    ListedAnswers,
    Look,
    LooksWanted,
    Satisfaction,
)
from rejoinder.clients.ledger import SatisfactionRow as Row
from rejoinder.clients.rollouts import Rollout, TrailPoint, Verdict
from rejoinder.console.app import Pages, app
from rejoinder.console.desk import Desk
from rejoinder.console.pages.answers import Answers
from rejoinder.console.pages.looks import LooksPage
from rejoinder.console.pages.overview import Overview
from rejoinder.console.pages.pairs import Pairs
from rejoinder.console.pages.rollout import RolloutPage
from rejoinder.console.pages.rounds import Rounds
from rejoinder.console.pages.satisfaction import Satisfaction as SatisfactionPage
from rejoinder.console.pages.trace import Trace
from rejoinder.console.render import refusal
from rejoinder.console.sessions import Sessions
from rejoinder.console.sources import TOKEN, Files, Sources
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Aborted, NotFound, Unavailable
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import (
    ArmKind,
    Feedback,
    FollowUp,
    Interaction,
    Label,
    Message,
    Polarity,
    Reason,
    RecordOutcome,
    Role,
    Served,
    Signal,
)
from rejoinder.gateway.guard import Guard
from rejoinder.registry.store import FolderStore
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.callers.auth import authenticator
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.looks import Looks
from rejoinder.runtime.settings import AuthSettings, JwtSettings, RateSettings
from rejoinder.runtime.tracing import tracer

#: What a hostile user says; it must come out as it went in, and do nothing.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}"
KEY = b"a key of the deployment"
PRINCIPALS = """
- {principal: ann, token: admin-token, roles: [admin]}
- {principal: odo, token: auditor-token, roles: [auditor], tenants: [default, second]}
- {principal: chat, token: app-token, roles: [app]}
- {principal: eva, token: every-token, roles: [admin], tenants: ["*"]}
"""


def answer(name: str, said: str = HOSTILE, tenant: str = "default") -> ListedAnswer:
    interaction = Interaction(
        tenant,
        f"e-{name}",
        name,
        f"a-{name}",
        messages=(Message(Role.USER, f"asked {HOSTILE}"),),
        response=f"answered {HOSTILE}",
        served=Served(version="v<1>", arm=ArmKind.STABLE),
        user_id="u",
        accepted_at=100.0,
    )
    signal = Signal(tenant, f"s-{name}", f"f-{name}", polarity=Polarity.DSAT, confidence=0.8, extractor="minilm")
    signal = replace(signal, reasons=(Reason("style", 0.9, 0, 8),))
    heard = HeardFeedback(Feedback(tenant, f"f-{name}", kind=FollowUp(said)), (signal,), (signal.event_id,))
    return ListedAnswer(interaction, (heard,))


@dataclass
class FakeLedger:
    """owns: its answers. away: whether it is. given: the looks that it tells."""

    known: list[ListedAnswer] = field(default_factory=lambda: [answer("i1")])
    away: bool = False
    tokens: list[str] = field(default_factory=list)
    given: tuple[Look, ...] = ()

    def _here(self) -> None:
        self.tokens.append(TOKEN.get())
        if self.away:
            raise Unavailable("connection refused")

    async def satisfaction(self, by: str, tenant: str, since: float | None = None) -> Satisfaction:
        self._here()
        return Satisfaction((Row("v<1>", 3, 2, 1, 1, 0, 0.5, 0.1, 0.9, 2),), 0.9, {"no_target": 1})

    async def answers(self, wanted: AnswersWanted) -> ListedAnswers:
        self._here()
        found = [
            each
            for each in self.known
            if (each.interaction.tenant == wanted.tenant)
            and wanted.interaction_id in ("", each.interaction.interaction_id)
            and wanted.conversation_id in ("", each.interaction.conversation_id)
        ]
        return ListedAnswers(tuple(found[: wanted.limit]))

    async def looks(self, wanted: LooksWanted) -> tuple[Look, ...]:
        self._here()
        return self.given

    async def trace(self, name: str, tenant: str) -> list[Any]:
        self._here()
        raise NotFound("nothing here has this id", id=name)

    async def close(self) -> None:
        return None


@dataclass
class FakeFeedback:
    """Takes labels, and has the ledger hear of them at once. owns: what it took."""

    ledger: FakeLedger
    labels: list[Label] = field(default_factory=list)

    async def record_labels(self, labels: Sequence[Label]) -> list[RecordResult]:
        (label,) = labels
        self.labels.append(label)
        signal = Signal(label.tenant, f"human-{len(self.labels)}", label.source_event_id, polarity=label.polarity)
        signal = replace(signal, extractor="human", extractor_version="ann/x", reasons=label.reasons, confidence=0.95)
        for n, known in enumerate(self.ledger.known):
            heard = known.feedback[0]
            if heard.feedback.event_id == label.source_event_id:
                said = replace(heard, signals=(*heard.signals, signal), in_force=(signal.event_id,))
                self.ledger.known[n] = replace(known, feedback=(said,))
        return [RecordResult(signal.event_id, "", RecordOutcome.RECORDED, "", "", None)]

    async def close(self) -> None:
        return None


@dataclass
class FakeRollouts:
    """owns: its rollout, at generation 7."""

    rollout: Rollout = field(
        default_factory=lambda: Rollout(
            "assist", 1, 7, "idle", "v1", "v2", held="approval", verdict=Verdict.INCONCLUSIVE, low=-0.1, high=0.2
        )
    )
    done: list[str] = field(default_factory=list)

    async def get(self, policy: str) -> Rollout:
        return self.rollout

    async def trail(self, policy: str) -> tuple[TrailPoint, ...]:
        return (TrailPoint(1.0, 0.1, Verdict.UNMEASURED, 0.0, -1.0, 1.0), TrailPoint(9.0, low=-0.1, high=0.2))

    async def promote(self, policy: str, generation: int) -> Rollout:
        return self._did("promote", generation)

    async def abort(self, policy: str, generation: int) -> Rollout:
        return self._did("abort", generation)

    def _did(self, what: str, generation: int) -> Rollout:
        if generation != 7:
            raise Aborted("the table has moved on to generation 7; look again")
        self.done.append(what)
        return self.rollout

    async def close(self) -> None:
        return None


class World:
    """owns: the application and what it stands on. clock: moved by hand. secured: whether people sign in. jwt: an
    issuer whose tokens sign in too. rate: how often a visitor may come."""

    def __init__(
        self, folder: Path, secured: bool = True, jwt: JwtSettings | None = None, rate: RateSettings | None = None
    ) -> None:
        clock, metrics = ManualClock(1_000.0), Metrics()
        self.clock = clock
        events = EventLog(logging.Logger("console", logging.CRITICAL))
        file = folder / "principals.yaml"
        file.write_text(PRINCIPALS)
        self.principals = file
        said = AuthSettings(file=file if secured else None, jwt=jwt or JwtSettings())
        auth = authenticator(said, "127.0.0.1", lambda error: None, clock)
        self.ledger, self.rollouts = FakeLedger(), FakeRollouts()
        self.feedback = FakeFeedback(self.ledger)
        self.files = Files(FolderStore(folder / "registry"), "assist", folder / "rounds")
        sources = Sources("assist", self.ledger, self.feedback, self.rollouts, self.files)  # type: ignore[arg-type]
        guard = Guard(
            auth=auth,
            rates=Rates(rate or RateSettings(), clock, metrics),
            admission=Admission(10, 0.1, metrics),
            tracer=tracer(),
            metrics=metrics,
            clock=clock,
            log=events,
            head_bytes=16_384,
            body_s=5.0,
            max_call_s=10.0,
            refusal=refusal,
        )
        guard.open()
        self.looks = Looks(folder / "looks.jsonl", KEY, "console", clock, events)
        desk = Desk(guard, auth, Sessions(600.0, 6_000.0, 10, clock), ("console.example",), secure=False)
        pages = Pages(
            Overview(sources, clock),
            SatisfactionPage(sources, clock),
            Answers(sources, self.looks),
            Pairs(sources, self.looks, clock),
            Rounds(sources),
            RolloutPage(sources, clock),
            Trace(sources, self.looks),
            LooksPage(sources, self.looks),
        )
        self.app = app(guard, desk, pages)

    def visitor(self, token: str = "", host: str = "127.0.0.1:8090") -> httpx.AsyncClient:
        """A browser, or with a token a program."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=f"http://{host}", headers=headers)

    async def signed_in(self, token: str) -> httpx.AsyncClient:
        visitor = self.visitor()
        answered = await visitor.post("/sign-in", data={"token": token})
        assert answered.status_code == 303
        return visitor


def form_in(page: str) -> str:
    """The token that a page's forms carry."""
    found = re.search(r'name="form" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def text_of(page: str) -> str:
    """A page without its markup, as it is read."""
    return unescape(re.sub(r"<[^>]*>", "", page))
