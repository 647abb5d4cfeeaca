"""Callers outside our processes: they send batches, are patient or not, and write down what they were told."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rejoinder.clients import Connection, FeedbackClient, RecordResult
from rejoinder.core.errors import PASSING
from rejoinder.core.types import (
    AttemptStatus,
    Feedback,
    FollowUp,
    Interaction,
    Kind,
    Message,
    Rating,
    Role,
    Served,
)
from rejoinder.stream.headers import DEFAULT_TENANT

from tests.chaos.harness import Recorder, Traffic, wait_until

CALLERS = 5
#: The last caller never asks again: what it was not told may be stored once, or not at all.
IMPATIENT = CALLERS - 1
BATCH = 100
#: Of a batch once enough is acknowledged and the scenario only waits for the world to heal.
TRICKLE = 5
#: How long a patient caller goes on with one batch.
PATIENCE_S = 180.0


@dataclass(frozen=True)
class Habit:
    """copies: how often each batch is sent at least, drawn from these. hasty: the share of first calls whose answer is
    not waited for. deadline_s: of a call."""

    copies: Sequence[int] = (1,)
    hasty: float = 0.0
    deadline_s: float = 30.0


class Flow:
    """Traffic as a block. owns: the callers' threads and clients.

    tenants: the callers take turns. reaction: what is said about an answer, by its name. `pending`: calls sent and not
    answered; `refused`: per caller, how often it was told no or heard nothing.
    """

    def __init__(
        self,
        ports: Sequence[int],
        recorder: Recorder,
        events: int,
        habit: Habit | None = None,
        batch: int = BATCH,
        seed: int = 1,
        tenants: Sequence[str] = (DEFAULT_TENANT,),
        reaction: Callable[[str], Kind] | None = None,
    ) -> None:
        self._recorder = recorder
        self._before = recorder.count
        self._events = events
        self._habit = habit or Habit()
        self._batch = batch
        self._tenants = tenants
        self._reaction = reaction or follow_up
        self._connections = [
            Connection(f"127.0.0.1:{port}", tries=1, deadline_s=self._habit.deadline_s) for port in ports
        ]
        self._clients = [[FeedbackClient(each) for each in self._connections] for _ in range(CALLERS)]
        self._hasty = [FeedbackClient(replace(each, deadline_s=0.02)) for each in self._connections]
        self._numbers = [itertools.count() for _ in range(CALLERS)]
        self._rngs = [random.Random(seed * 1000 + caller) for caller in range(CALLERS)]
        self._name = f"{recorder.count}"
        self._lock = threading.Lock()
        self.pending = 0
        self.unanswered = 0
        self.refused = [0] * CALLERS
        self._traffic = Traffic(CALLERS, self._call)

    def __enter__(self) -> Flow:
        self._traffic.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if exc[0] is None:
                self.reach(1.0)
        finally:
            self._traffic.__exit__(*exc)
            for client in (*self._hasty, *itertools.chain.from_iterable(self._clients)):
                client.close()
        if exc[0] is None:
            self._traffic.check()

    @property
    def acknowledged(self) -> int:
        return self._recorder.count - self._before

    def reach(self, share: float, timeout_s: float = 300.0) -> None:
        """Until this share of the events is acknowledged. Raises what a caller met."""
        self.until(lambda: self.acknowledged >= share * self._events, f"{share:.0%} of the events", timeout_s)

    def until(self, true: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
        def so() -> bool:
            self._traffic.check()
            return true()

        wait_until(so, what, timeout_s)

    def go_on(self, timeout_s: float = 180.0) -> None:
        """Until more is acknowledged than now."""
        before = self.acknowledged
        self.until(lambda: self.acknowledged > before, "further acknowledgements", timeout_s)

    def strike(self, blow: Callable[[], object]) -> int:
        """Does something to the world while calls wait for their answers; how many did."""
        pending = 0

        def asked() -> bool:
            # Looked at once: a moment later the same calls may have been answered.
            nonlocal pending
            pending = self.pending
            return pending > 0

        self.until(asked, "a call on its way")
        blow()
        return pending

    def _call(self, caller: int, stop: threading.Event) -> None:
        number = next(self._numbers[caller])
        enough = self.acknowledged >= self._events
        size = TRICKLE if enough else self._batch
        # A batch of answers, then what users said about them. Other tenants' events have the same ids.
        whose, tenant = divmod(caller, len(self._tenants))
        answers = [f"{self._name}-{whose}-{number}-{item}" for item in range(size)]
        tenants, kinds = [self._tenants[tenant]] * size, map(self._reaction, answers)
        for batch in (list(map(answer, answers, tenants)), list(map(said, answers, tenants, kinds))):
            if not self._delivered(caller, batch):
                return
        if enough:
            stop.wait(0.1)

    def _delivered(self, caller: int, batch: Sequence[Interaction | Feedback]) -> bool:
        """Sends a batch as often as the habit says; True once it was acknowledged."""
        rng, told = self._rngs[caller], False
        for copy in range(rng.choice(self._habit.copies)):
            if copy == 0 and rng.random() < self._habit.hasty:
                self._send(rng.choice(self._hasty), batch, caller)
                with self._lock:
                    self.unanswered += 1
                continue
            told = self._insist(caller, batch, told) or told
        return told or (caller != IMPATIENT and self._insist(caller, batch, told))

    def _insist(self, caller: int, batch: Sequence[Interaction | Feedback], told: bool) -> bool:
        """Sends it until it is answered, also once told to stop: a batch that was begun is seen through."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            results = self._send(self._rngs[caller].choice(self._clients[caller]), batch, caller)
            if results is not None:
                refused = [result.reason for result in results if not result.recorded]
                assert not refused, f"{len(refused)} events were refused: {refused[0]}"
                # On disk outside the service before the next call: this is what the service has promised to keep.
                if not told:
                    self._recorder.acknowledged([name_of(event) for event in batch])
                return True
            if caller == IMPATIENT:
                return False
            if time.monotonic() > deadline:
                raise TimeoutError("a patient caller was never answered")
            time.sleep(0.1)

    def _send(
        self, client: FeedbackClient, batch: Sequence[Interaction | Feedback], caller: int
    ) -> list[RecordResult] | None:
        with self._lock:
            self.pending += 1
        try:
            if isinstance(batch[0], Feedback):
                return client.record_feedback(batch)  # type: ignore[arg-type]
            return client.record_interactions(batch)  # type: ignore[arg-type]
        except PASSING:
            with self._lock:
                self.refused[caller] += 1
            return None
        finally:
            with self._lock:
                self.pending -= 1


def name_of(event: Interaction | Feedback) -> str:
    """What it counts under: ids are a tenant's."""
    return f"{event.tenant or DEFAULT_TENANT}/{event.event_id}"


def answer(name: str, tenant: str = "") -> Interaction:
    number = hash_of(name)
    return Interaction(
        tenant=tenant,
        event_id=f"i-{name}",
        interaction_id=f"i-{name}",
        attempt_id=f"i-{name}",
        conversation_id=f"c-{name}",
        user_id=f"u{number % 200}",
        turn=1,
        messages=(Message(Role.USER, "How warm is it?"),),
        response="It is 70 °F.",
        status=AttemptStatus.COMPLETED,
        served=Served("assist", f"assist-r000{1 + number % 2}"),
    )


def follow_up(name: str) -> FollowUp:
    return FollowUp("thanks, perfect" if hash_of(name) % 3 else "no, in Celsius please")


def rating(name: str) -> Rating:
    return Rating(number=float(1 + hash_of(name) % 5), scale_min=1.0, scale_max=5.0)


def said(name: str, tenant: str = "", kind: Kind | None = None) -> Feedback:
    number = hash_of(name)
    return Feedback(
        tenant=tenant,
        event_id=f"f-{name}",
        interaction_id=f"i-{name}",
        conversation_id=f"c-{name}",
        user_id=f"u{number % 200}",
        kind=kind or follow_up(name),
    )


def hash_of(name: str) -> int:
    """The same number for a name in every run."""
    return random.Random(name).randrange(1 << 30)
