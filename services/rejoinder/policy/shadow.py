"""The replica's side of a shadow phase: some of what stable was asked is answered again, and only counted.

Both versions answer again, with the same settings, seed and time, when the shown answer has ended in whatever way: were
the shown one held against, those that their callers left or gave too little time would be missing, and they are long.
Both are spare rows: they get what all others leave, take no place in the queue, and few are written at once. A pair of
which one half finds no room, comes too late or has lost its version is dropped whole and counted. Its words live as
long as it is being scored; what stays are counts, and places of units by a hash under the rollout's salt, in memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
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

#: Why a draw makes no pair. ended: the phase, or the process, before it came. full: no more units can be remembered.
DROPPED = ("no_room", "late", "not_loaded", "ended", "full")
PAIR = "pair"


class Engine(Protocol):
    def submit(self, rows: Sequence[Row]) -> None: ...


class Meter(Protocol):
    def shadowed(self, end: str) -> None: ...


@dataclass(frozen=True)
class Shown:
    """Whose answer has ended. interaction: as it was asked, with who served it. tokens: its prompt."""

    interaction: Interaction
    tokens: Sequence[int]


@dataclass
class _Turn:
    """owns: what was counted of one rollout while its order was in force, and the places of the units in it. epoch:
    names it, so that a rollout that comes again after another does not look as if its totals had fallen."""

    epoch: str
    places: set[float] = field(default_factory=set)
    counts: dict[str, Count] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    shown_tokens: int = 0
    candidate_tokens: int = 0


class Shadow:
    """owns: the order in force, the answers being written, the turn of the present rollout, and the thread that scores:
    one, for what it costs the others. Belongs to one event loop."""

    def __init__(
        self, engine: Engine, versions: Versions, clock: Clock, meter: Meter, epoch: str, at_once: int, late_s: float
    ) -> None:
        self._engine = engine
        self._versions = versions
        self._clock = clock
        self._meter = meter
        self._life = epoch
        self._at_once = at_once
        self._late_s = late_s
        self._until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._scorer = ThreadPoolExecutor(1, "shadow-scorer")
        self._order = Order()
        self._turns = 0
        self._turn = _Turn(epoch)

    def order(self, order: Order) -> None:
        """Does so until the order has lasted. Another rollout's begins at nothing, and is not heard before the one in
        force has ended or lapsed: what is counted shows whose it is. Raises BadSettings for one that does not say how
        long it lasts."""
        if order.lasts is None or not order.lasts > 0:
            raise BadSettings("an order must say how long it lasts")
        now = self._clock.monotonic()
        if order.salt != self._order.salt:
            if now < self._until or not order.share:
                return
            self._end()
            self._turns += 1
            self._turn = _Turn(f"{self._life}.{self._turns}")
        self._order = order
        self._until = now + order.lasts if order.share else 0.0
        if not order.share:
            self._end()

    @property
    def scored(self) -> Scored:
        """The totals as they are now."""
        turn = self._turn
        return Scored(
            turn.epoch,
            self._order.salt,
            turn.pairs,
            tuple(turn.counts.values()),
            sum(turn.dropped.values()),
            turn.shown_tokens,
            turn.candidate_tokens,
        )

    @property
    def dropped(self) -> dict[str, int]:
        """By cause; their sum is in `scored`."""
        return dict(self._turn.dropped)

    def offer(self, shown: Shown) -> None:
        """Takes what was asked, if it is drawn; never waits and never raises for its caller's sake."""
        if self._clock.monotonic() >= self._until or not self._wanted(shown.interaction):
            return
        turn, place = self._turn, self._place(shown.interaction)
        if place in turn.places:
            return
        full = len(turn.places) >= MOST
        if full or len(self._tasks) >= self._at_once:
            self._drop(turn, "full" if full else "no_room")
            return
        turn.places.add(place)
        task = asyncio.get_running_loop().create_task(self._answered(shown, self._order, turn, place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drops what is being written."""
        self._until = 0.0
        self._end()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._scorer.shutdown(wait=False, cancel_futures=True)

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

    async def _answered(self, shown: Shown, order: Order, turn: _Turn, place: float) -> None:
        end = "ended"
        try:
            end = await self._paired(shown, order, turn)
        except NotFound:
            end = "not_loaded"
        except (DeadlineExceeded, TimeoutError):
            end = "late"
        except (RejoinderError, asyncio.CancelledError):
            pass
        finally:
            # Before it is counted: whoever has seen the count finds the room.
            self._tasks.discard(asyncio.current_task())
            if end != PAIR:
                # Whoever it was may come again.
                turn.places.discard(place)
                self._drop(turn, end)

    async def _paired(self, shown: Shown, order: Order, turn: _Turn) -> str:
        """What became of it. Raises what the engine raises."""
        served, sampling = shown.interaction.served, shown.interaction.sampling
        assert served is not None, "whoever was answered was served"
        assert sampling is not None, "whoever was answered had settings"
        late = self._clock.monotonic() + self._late_s
        with ExitStack() as held:
            adapters = [held.enter_context(self._versions.use(d)) for d in (served.digest, order.candidate_digest)]
            rows = [Row(shown.tokens, sampling, adapter, late, spare=True) for adapter in adapters]
            try:
                self._engine.submit(rows)
                # While others have work the engine does not look at the rows, not even to give them up.
                async with asyncio.timeout(self._late_s):
                    answers = [await _done(row.done) for row in rows]
            finally:
                for row in rows:
                    row.cancel()
        ends = {answer.finish_reason for answer in answers if answer is not None}
        if ends & {"deadline", "cancelled"}:
            return "late" if "deadline" in ends else "ended"
        # Both at once, when both are there: nobody else had work a moment ago.
        asked = charter.question_of(shown.interaction.messages)
        loop = asyncio.get_running_loop()
        stable, candidate = await loop.run_in_executor(self._scorer, _both, asked, answers, order)
        self._tasks.discard(asyncio.current_task())
        self._count(turn, stable, candidate)
        return PAIR

    def _count(self, turn: _Turn, stable: Marks, candidate: Marks) -> None:
        turn.pairs += 1
        turn.shown_tokens += stable.tokens
        turn.candidate_tokens += candidate.tokens
        for veto, (ours, theirs) in harms(stable, candidate).items():
            one = Count(veto, 1, int(ours and not theirs), int(theirs and not ours), int(ours and theirs))
            turn.counts[veto] = turn.counts.get(veto, Count(veto)) + one
        self._meter.shadowed(PAIR)

    def _drop(self, turn: _Turn, cause: str) -> None:
        turn.dropped[cause] += 1
        self._meter.shadowed(cause)

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _done(future: Future[Answer]) -> Answer | None:
    """The answer; None where the model failed. Raises a RejoinderError."""
    try:
        return await asyncio.wrap_future(future)
    except (RejoinderError, asyncio.CancelledError):
        raise
    except Exception:
        return None


def _both(asked: str, answers: Sequence[Answer | None], order: Order) -> tuple[Marks, Marks]:
    stable, candidate = (marks_of(asked, answer, order) for answer in answers)
    return stable, candidate


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
