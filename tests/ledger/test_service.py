"""ledger/service: what the RPCs answer, and following a log that comes and goes (U02, U07, U11)."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rejoinder.clients.ledger import WindowEvidence
from rejoinder.core.codec import from_proto
from rejoinder.core.errors import (
    BadEncoding,
    EmptyField,
    InvalidArgument,
    Loading,
    LogReplaced,
    LogUnavailable,
    NotFound,
)
from rejoinder.ledger.cut import Cut
from rejoinder.ledger.service import MAX_PARTITIONS, MOST_S, LedgerService, follow
from rejoinder.runtime.call import Call
from rejoinder.v1 import ledger_pb2

CALL = Call.local()


@pytest.fixture
def service(bench):
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1")), bench.ledger()
    ledger.project(log)
    return LedgerService(ledger, log, log.append)


async def test_trace_walks_from_an_answer_to_its_feedback_and_signal(service) -> None:
    found = await service.Trace(ledger_pb2.TraceRequest(tenant="t", id="x1"), CALL)
    assert [node.kind for node in found.nodes] == ["interaction", "version", "feedback", "signal"]
    assert found.nodes[3].sources == ["f1"]
    with pytest.raises(NotFound):
        await service.Trace(ledger_pb2.TraceRequest(tenant="other", id="x1"), CALL)
    with pytest.raises(EmptyField):
        await service.Trace(ledger_pb2.TraceRequest(), CALL)


async def test_satisfaction_and_parity_carry_every_figure(service) -> None:
    found = await service.GetSatisfaction(ledger_pb2.GetSatisfactionRequest(tenant="t", group_by="version"), CALL)
    row = found.rows[0]
    assert (row.group, row.interactions, row.replied, row.sat, row.users) == ("v1", 1, 1, 1, 1)
    assert found.join_rate == 1.0
    parity = await service.GetParity(ledger_pb2.GetParityRequest(), CALL)
    assert {(r.topic, r.read, r.stored, r.position, r.end) for r in parity.rows} == {
        (topic, 1, 1, 1, 1) for topic in ("interactions", "feedback", "signals")
    }
    assert len(parity.digest) == 64


async def test_erase_answers_at_once_with_a_ticket(service, bench) -> None:
    found = await service.Erase(ledger_pb2.EraseRequest(tenant="t", user_id="ann"), CALL)
    assert found.ticket
    assert found.raw_copy_ends_at.seconds > found.erased_at.seconds
    with pytest.raises(EmptyField):
        await service.Erase(ledger_pb2.EraseRequest(tenant="t"), CALL)


async def window_of(service, **asked) -> tuple[ledger_pb2.WindowHead, list]:
    parts = [part async for part in service.BuildWindow(ledger_pb2.BuildWindowRequest(loop="l", **asked), CALL)]
    return parts[0].head, [piece for part in parts for piece in part.evidence]


async def test_a_window_over_the_service_is_the_ledgers_own(service, bench) -> None:
    cut = (await service.GetCut(ledger_pb2.GetCutRequest(), CALL)).cut
    preview, _ = await window_of(service)
    head, [piece] = await window_of(service, number=1, cut=cut)
    own = service._ledger.window("l", 1, "", Cut.from_json(cut))
    assert (head.digest, dict(head.counts)) == (own.manifest.digest, own.manifest.counts)
    assert (preview.digest, dict(preview.counts)) == ("", own.manifest.counts)
    assert head.as_of.ToMicroseconds() / 1_000_000 == own.manifest.as_of
    again = from_proto(piece, WindowEvidence)
    assert (again.id, again.feedback, again.interaction, again.signal) == (
        own.evidence[0].id,
        own.evidence[0].feedback,
        own.evidence[0].interaction,
        own.evidence[0].signal,
    )


async def test_whoever_is_held_out_or_rolled_back_stays_out_of_a_window_over_the_service(service) -> None:
    cut = (await service.GetCut(ledger_pb2.GetCutRequest(), CALL)).cut
    for number, leaving in enumerate((ledger_pb2.Leaving(holdout_share=1.0), ledger_pb2.Leaving(rolled_back=["v1"]))):
        head, pieces = await window_of(service, number=number + 1, cut=cut, leaving=leaving)
        assert not pieces
        assert head.counts["evidence"] == 0


def cut_of(**ends: object) -> str:
    return json.dumps({"topic_ids": {topic: topic for topic in ends}, "ends": ends})


@pytest.mark.parametrize(
    "asked",
    [
        {"number": -1},
        {"number": 1},
        *(
            {"number": 1, "cut": text}
            for text in ("{", "[]", "{}", "null", "[" * 5000, '{"ends": {}, "topic_ids": [1]}')
        ),
        *({"number": 1, "cut": cut_of(feedback={"0": end})} for end in (-1, 2**63, 1.5, math.nan, True, "1", None)),
        *({"number": 1, "cut": cut_of(feedback={part: 0})} for part in ("-1", "x", str(2**63))),
        {"number": 1, "cut": cut_of(feedback=[0])},
        {"number": 1, "cut": cut_of(**{"\ud800": {"0": 0}})},
        {"number": 1, "cut": cut_of(feedback={str(part): 0 for part in range(MAX_PARTITIONS + 1)})},
        *({"leaving": {"holdout_share": share}} for share in (math.nan, math.inf, -0.1, 1.1)),
    ],
)
async def test_a_window_that_is_none_is_refused_in_words(service, asked) -> None:
    with pytest.raises(InvalidArgument):
        await window_of(service, **asked)


async def test_the_widest_cut_that_is_taken_can_be_asked_about(service) -> None:
    cut = cut_of(feedback={str(part): 0 for part in range(MAX_PARTITIONS)})
    head, pieces = await window_of(service, number=1, cut=cut)
    assert (head.counts["evidence"], pieces) == (0, [])


JUDGED = {"policy": "p", "maturity_s": 60.0, "unit": "user", "limit": 10, "judges": [{"extractor": "e"}]}


@pytest.mark.parametrize(
    "time", [Timestamp(seconds=2**62), Timestamp(seconds=1, nanos=-1), Timestamp(seconds=-(2**62))]
)
async def test_a_time_that_is_none_is_refused_in_words(service, time: Timestamp) -> None:
    for name in ("since", "until"):
        with pytest.raises(BadEncoding, match=name):
            await service.GetSatisfaction(ledger_pb2.GetSatisfactionRequest(tenant="t", **{name: time}), CALL)
    with pytest.raises(BadEncoding, match="after"):
        await service.ReadJudged(ledger_pb2.ReadJudgedRequest(**JUDGED, after=time), CALL)


async def test_every_time_that_protobuf_knows_bounds_a_satisfaction(service) -> None:
    ends = {"since": Timestamp(seconds=-62_135_596_800), "until": Timestamp(seconds=253_402_300_799, nanos=999_999_999)}
    found = await service.GetSatisfaction(ledger_pb2.GetSatisfactionRequest(tenant="t", **ends), CALL)
    assert found.rows[0].interactions == 1


@pytest.mark.parametrize(
    "asked",
    [
        *({"maturity_s": wait} for wait in (math.inf, -math.inf, math.nan, 1e308, -1e308, 0.0, MOST_S * 1.01)),
        {"after": Timestamp(seconds=253_402_300_799, nanos=999_999_999)},
    ],
)
async def test_a_wait_or_a_beginning_beyond_all_calendars_is_refused_in_words(service, asked) -> None:
    with pytest.raises(InvalidArgument):
        await service.ReadJudged(ledger_pb2.ReadJudgedRequest(**{**JUDGED, **asked}), CALL)


@pytest.mark.parametrize("after", [None, Timestamp(seconds=-62_135_596_800), Timestamp(seconds=int(MOST_S))])
@pytest.mark.parametrize("wait", [1e-6, MOST_S])
async def test_the_utmost_that_is_taken_can_be_answered(service, after: Timestamp | None, wait: float) -> None:
    found = await service.ReadJudged(ledger_pb2.ReadJudgedRequest(**{**JUDGED, "maturity_s": wait}, after=after), CALL)
    assert found.HasField("matured_to")


async def test_a_cut_waits_for_a_ledger_that_is_behind_and_says_so(bench) -> None:
    log = bench.of(bench.answer("x1"))
    service = LedgerService(bench.ledger(), log, log.append)
    with pytest.raises(Loading):
        await service.GetCut(ledger_pb2.GetCutRequest(), Call.local(deadline_s=0.2))


class ComesAndGoes:
    """A log that is away for the first reads, and is another log at the end."""

    def __init__(self, log, away: int) -> None:
        self.log, self.away = log, away
        self.replaced = False

    def topic_id(self, topic: str) -> str:
        return "another" if self.replaced else self.log.topic_id(topic)

    def end_offsets(self, topic: str):
        if self.away:
            self.away -= 1
            raise LogUnavailable("there is no log file yet", retry_after_s=0.001)
        return self.log.end_offsets(topic)

    def read(self, *args):
        return self.log.read(*args)


async def test_a_log_that_is_away_is_waited_for_and_another_log_ends_the_projecting(bench) -> None:
    log, ledger = ComesAndGoes(bench.of(bench.answer("x1")), away=3), bench.ledger()
    stop, awaited = asyncio.Event(), []
    task = asyncio.create_task(follow(ledger, log, 0.001, stop, awaited.append))
    while not ledger.parity():
        await asyncio.sleep(0.001)
    assert awaited == ["LOG_UNAVAILABLE"] * 3
    log.replaced = True
    with pytest.raises(LogReplaced):
        await asyncio.wait_for(task, 5)


async def test_told_to_stop_it_ends(bench) -> None:
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(follow(bench.ledger(), bench.log(), 60.0, stop, print), 5)
