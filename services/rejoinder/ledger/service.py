"""The RPCs of ledger.proto: decode, call, encode."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from rejoinder.clients.ledger import LOOK_NAMES
from rejoinder.core.codec import from_proto, to_proto
from rejoinder.core.errors import (
    Aborted,
    EmptyField,
    Fenced,
    InvalidArgument,
    Loading,
    NotFound,
    RejoinderError,
    TooLong,
    Unavailable,
)
from rejoinder.core.ids import MAX_NAME_CHARS, check_name
from rejoinder.core.types import EvidenceReference
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.erasure.erase import Append
from rejoinder.ledger.intake.projector import Readable
from rejoinder.ledger.reading.answers import Listed, Wanted
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.reading.judged import JUDGED, Asked, Mark, mark, reached, read_judged
from rejoinder.ledger.reading.windows import Leaving, Window
from rejoinder.ledger.stores.rows import DEFAULT_TENANT
from rejoinder.ledger.stores.schema import EVENTS
from rejoinder.runtime.call import Call
from rejoinder.runtime.looks import ALL, Looks, Seen
from rejoinder.v1 import ledger_pb2, ledger_pb2_grpc

#: Pieces of evidence of one call.
MAX_EVIDENCE = 1000
#: An answer with evidence grows no further: far below what our clients take, with one more piece of the largest size.
MAX_EVIDENCE_BYTES = 8 << 20
#: Pieces in one message of a window: some hundred kB, far below what a message may hold.
WINDOW_PAGE = 50
#: How long a call waits for the ledger to read what the log held when it came, and how often it looks.
CATCH_UP_S, LOOK_S = 5.0, 0.02
#: Seconds since the epoch (the year 5138), and of a wait for a reply: sums of two are still times.
MOST_S = 1e11
#: Partitions in one cut: the database nests a condition for each.
MAX_PARTITIONS = 500
#: Looks that one call tells.
MOST_LOOKS = 1_000
#: Who asks for the same again within so many seconds looks once; our own services' readers are told of so often.
AGAIN_S, READER_S = 60.0, 3_600.0
#: Between two sweeps of the stores beyond the ledger for users who are to be forgotten.
SWEEP_S = 1.0


@dataclass(frozen=True)
class Period:
    """since, until: seconds since the epoch, None for no bound."""

    since: float | None
    until: float | None


class LedgerService(ledger_pb2_grpc.LedgerServiceServicer):
    """ledger: read and asked here, projected elsewhere. append: makes an erasure durable on the log. looks: whoever is
    given words stands there first."""

    def __init__(self, ledger: Ledger, log: Readable, append: Append, looks: Looks) -> None:
        self._ledger = ledger
        self._log = log
        self._append = append
        self._looks = looks

    async def Trace(self, request: ledger_pb2.TraceRequest, call: Call) -> ledger_pb2.TraceResponse:
        if not request.id:
            raise EmptyField("id")
        asked = partial(self._ledger.trace, request.tenant or DEFAULT_TENANT, request.id)
        try:
            nodes = await asyncio.to_thread(asked)
        except NotFound:
            # Whoever was given a ticket a moment ago asks for it before the ledger has read it.
            await self._caught_up(await self._marked(("erasures", *EVENTS)), call)
            nodes = await asyncio.to_thread(asked)
        tenant = request.tenant or DEFAULT_TENANT
        await self._looks.record(call.principal, Seen("trace", tenant, [request.id]), AGAIN_S)
        out = ledger_pb2.TraceResponse()
        for node in nodes:
            encoded = out.nodes.add(kind=node.kind, id=node.id, digest=node.digest, state=node.state)
            encoded.facts.update(node.facts)
            encoded.sources.extend(node.sources)
            if node.at is not None:
                encoded.at.FromMicroseconds(round(node.at * 1_000_000))
        return out

    async def Erase(self, request: ledger_pb2.EraseRequest, call: Call) -> ledger_pb2.EraseResponse:
        if not request.user_id:
            raise EmptyField("user_id")
        tenant = request.tenant or DEFAULT_TENANT
        ticket = await asyncio.to_thread(self._ledger.erase, tenant, request.user_id, self._append)
        out = ledger_pb2.EraseResponse(ticket=ticket.ticket)
        out.erased_at.FromMicroseconds(round(ticket.erased_at * 1_000_000))
        out.raw_copy_ends_at.FromMicroseconds(round(ticket.raw_copy_ends_at * 1_000_000))
        return out

    async def GetSatisfaction(
        self, request: ledger_pb2.GetSatisfactionRequest, call: Call
    ) -> ledger_pb2.GetSatisfactionResponse:
        tenant = request.tenant or DEFAULT_TENANT
        asked = from_proto(request, Period)
        rows = await asyncio.to_thread(self._ledger.satisfaction, tenant, request.group_by, asked.since, asked.until)
        joining = await asyncio.to_thread(self._ledger.joining, tenant)
        return ledger_pb2.GetSatisfactionResponse(
            rows=[ledger_pb2.SatisfactionRow(**asdict(row)) for row in rows],
            join_rate=joining.rate,
            unlinked=joining.unlinked,
        )

    async def GetParity(self, request: ledger_pb2.GetParityRequest, call: Call) -> ledger_pb2.GetParityResponse:
        rows = await asyncio.to_thread(self._ledger.parity)
        joining = await asyncio.to_thread(self._ledger.joining)
        ends = await asyncio.to_thread(self._ends, {row.topic for row in rows})
        digest = await asyncio.to_thread(self._ledger.digest)
        return ledger_pb2.GetParityResponse(
            rows=[ledger_pb2.ParityRow(**asdict(row), end=ends.get((row.topic, row.partition), 0)) for row in rows],
            parked=joining.parked,
            orphaned=joining.orphaned,
            digest=digest,
        )

    async def ListAnswers(self, request: ledger_pb2.ListAnswersRequest, call: Call) -> ledger_pb2.ListAnswersResponse:
        for name in ("conversation_id", "interaction_id", "version", "before"):
            check_name(name, getattr(request, name), 2 * MAX_NAME_CHARS)
        wanted = from_proto(request, Wanted)
        wanted = replace(wanted, tenant=wanted.tenant or DEFAULT_TENANT)
        found, behind = await asyncio.to_thread(self._ledger.answers, wanted)
        if found:
            ids = [each.interaction.interaction_id for each in found]
            users = {(wanted.tenant, each.interaction.user_id) for each in found}
            users |= {(wanted.tenant, heard.feedback.user_id) for each in found for heard in each.feedback}
            await self._looks.record(call.principal, Seen("answers", wanted.tenant, ids, users), AGAIN_S)
        return await asyncio.to_thread(self._answers, found, behind)

    def _answers(self, found: Sequence[Listed], behind: str) -> ledger_pb2.ListAnswersResponse:
        out = ledger_pb2.ListAnswersResponse(next=behind)
        for answer in found:
            item = out.answers.add(interaction=to_proto(answer.interaction), unheard=answer.unheard)
            for heard in answer.feedback:
                said = [to_proto(signal) for signal in heard.signals]
                item.feedback.add(feedback=to_proto(heard.feedback), signals=said, in_force=heard.in_force)
        return out

    async def ReadEvidence(
        self, request: ledger_pb2.ReadEvidenceRequest, call: Call
    ) -> ledger_pb2.ReadEvidenceResponse:
        if not request.reader:
            raise EmptyField("reader")
        if not 1 <= request.limit <= MAX_EVIDENCE:
            raise InvalidArgument(f"limit must be from 1 to {MAX_EVIDENCE}", field="limit", value=request.limit)
        found = await asyncio.to_thread(self._ledger.evidence, request.reader, request.acknowledged, request.limit)
        if found:
            await self._read_on(call, "evidence")
        return ledger_pb2.ReadEvidenceResponse(
            items=[
                ledger_pb2.EvidenceItem(
                    number=e.number, interaction=to_proto(e.interaction), feedback=to_proto(e.feedback)
                )
                for e in found
            ]
        )

    async def FetchEvidence(
        self, request: ledger_pb2.FetchEvidenceRequest, call: Call
    ) -> ledger_pb2.FetchEvidenceResponse:
        check_name("reader", request.reader)
        if not request.reader:
            raise EmptyField("reader")
        if not 1 <= len(request.references) <= MAX_EVIDENCE:
            raise InvalidArgument(f"references must be from 1 to {MAX_EVIDENCE}", field="references")
        asked = {from_proto(reference, EvidenceReference) for reference in request.references}
        ordered = sorted(asked, key=lambda reference: (reference.number, reference.tenant))
        await self._read_on(call, "evidence")
        return await asyncio.to_thread(self._fetched, request.reader, ordered)

    def _fetched(self, reader: str, references: Sequence[EvidenceReference]) -> ledger_pb2.FetchEvidenceResponse:
        """references: in the order of their numbers."""
        out, size = ledger_pb2.FetchEvidenceResponse(), 0
        for piece in self._ledger.referenced(reader, references):
            item = out.items.add(
                number=piece.number, interaction=to_proto(piece.interaction), feedback=to_proto(piece.feedback)
            )
            size += item.ByteSize()
            if size >= MAX_EVIDENCE_BYTES:
                out.left.extend(to_proto(other) for other in references if other.number > piece.number)
                break
        return out

    async def ReadJudged(self, request: ledger_pb2.ReadJudgedRequest, call: Call) -> ledger_pb2.ReadJudgedResponse:
        asked = from_proto(request, Asked)
        asked = replace(asked, after=asked.after or 0.0)
        for name in ("after", "maturity_s"):
            if getattr(asked, name) > MOST_S:
                raise InvalidArgument(f"{name} must be at most {MOST_S:.0f} seconds", field=name)
        marked = await self._marked()
        await self._caught_up(marked, call)
        found = await asyncio.to_thread(read_judged, self._ledger.store, asked, marked)
        out = ledger_pb2.ReadJudgedResponse(
            turns=[to_proto(turn, ledger_pb2.JudgedTurn()) for turn in found.turns],
            judges=[ledger_pb2.Judge(**asdict(judge)) for judge in found.judges],
            foreign=found.foreign,
            behind_s=found.behind_s,
        )
        if found.second is not None:
            out.second.CopyFrom(ledger_pb2.Judge(**asdict(found.second)))
        out.matured_to.FromMicroseconds(round(found.matured_to * 1_000_000))
        return out

    async def GetCut(self, request: ledger_pb2.GetCutRequest, call: Call) -> ledger_pb2.GetCutResponse:
        await self._caught_up(await self._marked(), call)
        return ledger_pb2.GetCutResponse(cut=(await asyncio.to_thread(self._ledger.cut)).to_json())

    async def BuildWindow(
        self, request: ledger_pb2.BuildWindowRequest, call: Call
    ) -> AsyncIterator[ledger_pb2.BuildWindowResponse]:
        if not request.loop:
            raise EmptyField("loop")
        if request.number < 0:
            raise InvalidArgument("number must not be negative", field="number", value=request.number)
        said = request.leaving
        # Written so that a NaN is out of range too: nobody would be held out.
        if not 0 <= said.holdout_share <= 1:
            raise InvalidArgument("leaving.holdout_share must lie in [0, 1]", field="leaving.holdout_share")
        leaving = Leaving(said.holdout_salt, said.holdout_share, frozenset(said.rolled_back))
        if request.number:
            cut = _cut(request.cut)
            # Whoever was to be forgotten by now is in no window, and in no pair of the earlier rounds beside it.
            await self._caught_up(await self._marked(("erasures",)), call)
            if left := await asyncio.to_thread(self._ledger.finish_erasures, self._log):
                raise Unavailable(f"not yet forgotten everywhere: {', '.join(sorted(left))}", retry_after_s=1.0)
            made = partial(self._ledger.window, request.loop, request.number, request.policy, cut, leaving)
        else:
            made = partial(self._ledger.preview, request.loop, request.policy, leaving)
        window = await asyncio.to_thread(made)
        head = ledger_pb2.WindowHead(
            digest=window.manifest.digest, counts=window.manifest.counts, redacted=window.manifest.redacted
        )
        head.as_of.FromMicroseconds(round(window.manifest.as_of * 1_000_000))
        yield ledger_pb2.BuildWindowResponse(head=head)
        # Whoever wants the head alone reads no words.
        if not request.number:
            await self._read_on(call, "window")
        elif window.evidence:
            await self._looks.record(
                call.principal, Seen("window", ALL, users=_users(window), count=len(window.evidence))
            )
        for at in range(0, len(window.evidence), WINDOW_PAGE):
            pieces = [to_proto(e, ledger_pb2.WindowEvidence()) for e in window.evidence[at : at + WINDOW_PAGE]]
            yield ledger_pb2.BuildWindowResponse(evidence=pieces)

    async def ListLooks(self, request: ledger_pb2.ListLooksRequest, call: Call) -> ledger_pb2.ListLooksResponse:
        for name in ("id", "user_id"):
            check_name(name, getattr(request, name), 2 * MAX_NAME_CHARS)
        if not 1 <= request.limit <= MOST_LOOKS:
            raise InvalidArgument(f"limit must be from 1 to {MOST_LOOKS}", field="limit", value=request.limit)
        tenant = request.tenant or DEFAULT_TENANT
        found = await self._looks.last(request.limit, tenant, request.id, request.user_id, LOOK_NAMES)
        told = [to_proto(look, ledger_pb2.Look()) for look in found]
        return ledger_pb2.ListLooksResponse(looks=told)

    async def _read_on(self, call: Call, what: str) -> None:
        """A service of ours reads, and will read on: recorded at the beginning and each hour."""
        await self._looks.record(call.principal, Seen(what, ALL, users=None, count=None), READER_S)

    async def _marked(self, kinds: Sequence[str] = JUDGED) -> Mark:
        """What the log holds now."""
        return await asyncio.to_thread(mark, self._ledger.store, self._log, self._ledger.clock.now(), kinds)

    async def _caught_up(self, marked: Mark, call: Call) -> None:
        """Waits for the ledger to read what the log held. Raises Loading."""
        store, clock = self._ledger.store, call.clock
        left = call.time_remaining()
        patience = clock.monotonic() + (CATCH_UP_S if left is None else min(CATCH_UP_S, left / 2))
        while not await asyncio.to_thread(reached, store, marked):
            if clock.monotonic() >= patience:
                raise Loading("the ledger is behind its log", retry_after_s=1.0)
            await asyncio.sleep(LOOK_S)

    def _ends(self, topics: set[str]) -> dict[tuple[str, int], int]:
        return {
            (topic, part): end
            for topic in topics & self._log.topics.keys()
            for part, end in self._log.end_offsets(topic).items()
        }


def _users(window: Window) -> set[tuple[str, str]]:
    """Whose words a window holds."""
    said = [(piece, part) for piece in window.evidence for part in (piece.feedback, piece.interaction, piece.other)]
    return {(piece.tenant, part.user_id) for piece, part in said if part is not None}


def _cut(text: str) -> Cut:
    """A cut that the database can be asked about. Raises InvalidArgument, TooLong."""
    try:
        cut = Cut.from_json(text)
        for name in (*cut.topic_ids, *cut.topic_ids.values(), *cut.ends):
            name.encode("utf-8")
        counts = [count for ends in cut.ends.values() for place in ends.items() for count in place]
        known = all(type(count) is int and 0 <= count < 2**63 for count in counts) and all(
            part < 2**31 for ends in cut.ends.values() for part in ends
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known, counts = False, []
    if not known:
        raise InvalidArgument("cut must be as GetCut gave it", field="cut")
    if len(counts) > 2 * MAX_PARTITIONS:
        raise TooLong("cut", len(counts) // 2, MAX_PARTITIONS, "partitions")
    return cut


async def follow(
    ledger: Ledger,
    log: Readable,
    wait_s: float,
    stop: asyncio.Event,
    waiting: Callable[[RejoinderError], None],
) -> None:
    """Projects until told to stop; a log or a database that is away is waited for, another log (LogReplaced) and
    another owner (StoreOwned, Fenced) end it.

    waiting: hears the error each time the log cannot be read.
    """
    swept = -math.inf
    while not stop.is_set():
        pause = wait_s
        try:
            done = await asyncio.to_thread(ledger.project_once, log)
            # Not with every record; after housekeeping, which may make the ledger's own files done.
            if ledger.clock.monotonic() >= swept + SWEEP_S:
                swept = ledger.clock.monotonic()
                await asyncio.to_thread(ledger.keep_house)
                await asyncio.to_thread(partial(ledger.finish_erasures, log, now=False))
            pause = 0.0 if not done.caught_up else wait_s
        except (Unavailable, Aborted) as error:
            if isinstance(error, Fenced):
                raise
            waiting(error)
            pause = error.retry_after_s or wait_s
        try:
            await asyncio.wait_for(stop.wait(), pause) if pause else await asyncio.sleep(0)
        except TimeoutError:
            continue
