"""The replica's side of a shadow phase: some of stable's answers are given again by the candidate, and only counted.

A second answer begins when the shown one has ended, as a spare row: it gets what all others leave, takes no place in
the queue, and few are written at once. What finds no room, comes too late or has lost its version is dropped and
counted. Its words, and those of the answer that it is held against, live as long as it is being scored; what stays are
counts, and places of units by a hash under the rollout's salt, in memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from rejoinder.core import charter, refusals
from rejoinder.core.arms import bucket, unit_id
from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings, DeadlineExceeded, NotFound, RejoinderError
from rejoinder.core.shadow import Order
from rejoinder.core.types import ArmKind, Consent, Interaction
from rejoinder.policy.versions import Versions
from rejoinder.rollout.counter import MOST
from rejoinder.rollout.shadow import Count, Marks, Scored, harms
from rejoinder.runtime.backends.rows import Answer, Row

#: Why a drawn answer makes no pair. ended: the phase, or the process, before it came.
DROPPED = ("no_room", "late", "not_loaded", "ended")
PAIR = "pair"


class Engine(Protocol):
    def submit(self, rows: Sequence[Row]) -> None: ...


class Meter(Protocol):
    def shadowed(self, end: str) -> None: ...


@dataclass(frozen=True)
class Shown:
    """An answer that has ended. interaction: as it was asked, with who served it. tokens: its prompt. answer: None
    where the model failed."""

    interaction: Interaction
    tokens: Sequence[int]
    answer: Answer | None


class Shadow:
    """owns: the order in force, the second answers being written, the counts of the present rollout and the places of
    the units in them. Belongs to one event loop."""

    def __init__(
        self, engine: Engine, versions: Versions, clock: Clock, meter: Meter, epoch: str, at_once: int, late_s: float
    ) -> None:
        self._engine = engine
        self._versions = versions
        self._clock = clock
        self._meter = meter
        self._epoch = epoch
        self._at_once = at_once
        self._late_s = late_s
        self._until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = Order()
        self._begin(self._order)

    def order(self, order: Order) -> None:
        """Does so until the order has lasted; another rollout's begins at nothing. Raises BadSettings for
        one that does not say how long it lasts."""
        if order.lasts is None or not order.lasts > 0:
            raise BadSettings("an order must say how long it lasts")
        if order.salt != self._order.salt:
            self._end()
            self._begin(order)
        self._order = order
        self._until = self._clock.monotonic() + order.lasts
        if not order.share:
            self._end()

    @property
    def scored(self) -> Scored:
        """The totals as they are now."""
        return Scored(
            self._epoch,
            self._order.salt,
            self._pairs,
            tuple(self._counts.values()),
            sum(self._dropped.values()),
            self._shown_tokens,
            self._candidate_tokens,
        )

    @property
    def dropped(self) -> dict[str, int]:
        """By cause; their sum is in `scored`."""
        return dict(self._dropped)

    def offer(self, shown: Shown) -> None:
        """Takes an answer that has ended, if it is drawn; never waits and never raises for its caller's sake."""
        if self._clock.monotonic() >= self._until or not self._wanted(shown.interaction):
            return
        if len(self._tasks) >= self._at_once:
            self._drop("no_room")
            return
        place = self._place(shown.interaction)
        if place in self._places or len(self._places) >= MOST:
            return
        self._places.add(place)
        task = asyncio.get_running_loop().create_task(self._answered(shown, self._order, place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drops what is being written."""
        self._until = 0.0
        self._end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wanted(self, asked: Interaction) -> bool:
        served, order = asked.served, self._order
        return (
            served is not None
            and served.arm is ArmKind.STABLE
            and served.version == order.stable
            and not (served.holdout or served.forced)
            and asked.consent is not Consent.NO_TRAIN
            and order.draws(asked.interaction_id)
        )

    def _place(self, asked: Interaction) -> float:
        unit = unit_id(asked.tenant, asked.user_id, asked.conversation_id, asked.interaction_id, self._order.unit)
        return bucket(unit, f"{self._order.salt}\x00shadowed")

    async def _answered(self, shown: Shown, order: Order, place: float) -> None:
        end = "ended"
        try:
            end = await self._paired(shown, order)
        except NotFound:
            end = "not_loaded"
        except (DeadlineExceeded, TimeoutError):
            end = "late"
        except (RejoinderError, asyncio.CancelledError):
            pass
        finally:
            # Before it is counted: whoever has seen the count finds the room.
            self._tasks.discard(asyncio.current_task())
            if order.salt == self._order.salt and end != PAIR:
                # Whoever it was may come again.
                self._places.discard(place)
                self._drop(end)

    async def _paired(self, shown: Shown, order: Order) -> str:
        """What became of it. Raises what the engine raises."""
        asked = charter.question_of(shown.interaction.messages)
        first = await asyncio.to_thread(marks_of, asked, shown.answer, order)
        sampling, late = shown.interaction.sampling, self._clock.monotonic() + self._late_s
        assert sampling is not None, "whoever was answered had settings"
        with self._versions.use(order.candidate_digest) as adapter:
            row = Row(shown.tokens, sampling, adapter, late, spare=True)
            try:
                self._engine.submit([row])
                # While others have work the engine does not look at the row, not even to give it up.
                async with asyncio.timeout(self._late_s):
                    answer = await _done(row.done)
            finally:
                row.cancel()
        if answer is not None and answer.finish_reason in ("deadline", "cancelled"):
            return "late" if answer.finish_reason == "deadline" else "ended"
        again = await asyncio.to_thread(marks_of, asked, answer, order)
        if order.salt == self._order.salt:
            self._tasks.discard(asyncio.current_task())
            self._count(first, again)
        return PAIR

    def _count(self, shown: Marks, again: Marks) -> None:
        self._pairs += 1
        self._shown_tokens += shown.tokens
        self._candidate_tokens += again.tokens
        for veto, (ours, theirs) in harms(shown, again).items():
            one = Count(veto, 1, int(ours and not theirs), int(theirs and not ours), int(ours and theirs))
            self._counts[veto] = self._counts.get(veto, Count(veto)) + one
        self._meter.shadowed(PAIR)

    def _drop(self, cause: str) -> None:
        self._dropped[cause] += 1
        self._meter.shadowed(cause)

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _begin(self, order: Order) -> None:
        self._order = order
        self._places: set[float] = set()
        self._counts: dict[str, Count] = {}
        self._dropped: Counter[str] = Counter()
        self._pairs = self._shown_tokens = self._candidate_tokens = 0


async def _done(future: Future[Answer]) -> Answer | None:
    """The answer; None where the model failed. Raises a RejoinderError."""
    try:
        return await asyncio.wrap_future(future)
    except (RejoinderError, asyncio.CancelledError):
        raise
    except Exception:
        return None


def marks_of(asked: str, answer: Answer | None, order: Order) -> Marks:
    """What is kept of an answer. asked: the user's last words."""
    if answer is None or not answer.text.strip():
        return Marks(failed=True, tokens=len(answer.tokens) if answer else 0)
    broken = None
    if order.norms:
        told = charter.compiled(order.norms).once(asked, answer.text)
        broken = bool(told.broken) if told.applied else None
    return Marks(
        failed=False,
        tokens=len(answer.tokens),
        cut=answer.finish_reason == "length",
        refused=refusals.refuses(answer.text) if order.refusals else None,
        broken=broken,
    )
