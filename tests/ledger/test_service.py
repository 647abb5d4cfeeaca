"""ledger/service: what the RPCs answer, and following a log that comes and goes (U02, U07, U11)."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rejoinder.clients.ledger import Judge, Judged, WindowEvidence
from rejoinder.core.charter import Told
from rejoinder.core.codec import from_proto
from rejoinder.core.errors import (
    BadEncoding,
    EmptyField,
    InvalidArgument,
    Loading,
    LogReplaced,
    LogUnavailable,
    NotFound,
    Unavailable,
)
from rejoinder.core.ids import subject_of
from rejoinder.ledger import service as services
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.service import MAX_PARTITIONS, MOST_S, LedgerService, follow
from rejoinder.runtime.call import Call, Principal
from rejoinder.v1 import ledger_pb2

CALL = Call.local()


@pytest.fixture
def service(bench):
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1")), bench.ledger()
    ledger.project(log)
    return LedgerService(ledger, log, log.append, bench.looks())


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


async def test_second_readings_and_refusals_cross_the_wire(bench) -> None:
    log = bench.of(
        bench.answer("x1", -600.0, response="I can't help with that."),
        bench.said("f1", "x1", -590.0),
        bench.signal("f1", "x1", "SAT", -580.0),
        bench.signal("f1", "x1", "DSAT", -580.0, extractor="audit-lexicon"),
    )
    ledger = bench.ledger()
    ledger.project(log)
    numbers = [e.number for e in ledger.evidence("signals:1", 0, 10)]
    ledger.evidence("signals:1", max(numbers), 1)
    asked = {**JUDGED, "policy": "assist", "judges": [{"extractor": "x", "version": "1"}], "refusals": True}
    request = ledger_pb2.ReadJudgedRequest(**asked, second=ledger_pb2.Judge())
    request.after.FromSeconds(int(bench.now) - 3600)
    service = LedgerService(ledger, log, log.append, bench.looks())
    found = from_proto(await service.ReadJudged(request, CALL), Judged)
    assert found.second == Judge("audit-lexicon", "1")
    (turn,) = found.turns
    assert (turn.polarity, turn.sampled, turn.second, turn.refused) == ("SAT", True, "DSAT", True)
    request.refusals = False
    assert from_proto(await service.ReadJudged(request, CALL), Judged).turns[0].refused is None


async def test_norms_cross_the_wire_and_a_broken_pattern_is_the_callers(bench) -> None:
    log = bench.of(bench.answer("x1", -600.0, response="It is code 4711."), bench.said("f1", "x1", -590.0))
    ledger = bench.ledger()
    ledger.project(log)
    numbers = [e.number for e in ledger.evidence("signals:1", 0, 10)]
    ledger.evidence("signals:1", max(numbers), 1)
    asked = {**JUDGED, "policy": "assist", "judges": [{"extractor": "x", "version": "1"}]}
    service = LedgerService(ledger, log, log.append, bench.looks())

    async def held(*norms: ledger_pb2.NormRule) -> Judged:
        request = ledger_pb2.ReadJudgedRequest(**asked, norms=norms)
        request.after.FromSeconds(int(bench.now) - 3600)
        return from_proto(await service.ReadJudged(request, CALL), Judged)

    both = (ledger_pb2.NormRule(require="sorry"), ledger_pb2.NormRule(asked="weather", forbid="code"))
    assert (await held(*both)).turns[0].norms == Told((0,), (0,))
    with pytest.raises(InvalidArgument, match="forbid: a group without its end"):
        await held(ledger_pb2.NormRule(forbid="(4711"))


async def test_a_cut_waits_for_a_ledger_that_is_behind_and_says_so(bench) -> None:
    log = bench.of(bench.answer("x1"))
    service = LedgerService(bench.ledger(), log, log.append, bench.looks())
    with pytest.raises(Loading):
        await service.GetCut(ledger_pb2.GetCutRequest(), Call.local(deadline_s=0.2))


class ComesAndGoes:
    """A log that is away for the first reads, and is another log at the end."""

    def __init__(self, log, away: int) -> None:
        self.log, self.away = log, away
        self.topics = log.topics
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
    task = asyncio.create_task(follow(ledger, log, 0.001, stop, lambda error: awaited.append(error.reason)))
    while not ledger.parity():
        await asyncio.sleep(0.001)
    assert awaited == ["LOG_UNAVAILABLE"] * 3
    log.replaced = True
    with pytest.raises(LogReplaced):
        await asyncio.wait_for(task, 60)


async def test_told_to_stop_it_ends(bench) -> None:
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(follow(bench.ledger(), bench.log(), 60.0, stop, print), 50)


def asked_for(*references: tuple[str, int], reader: str = "signals:set") -> ledger_pb2.FetchEvidenceRequest:
    request = ledger_pb2.FetchEvidenceRequest(reader=reader)
    for tenant, number in references:
        request.references.add(tenant=tenant, number=number)
    return request


async def test_evidence_is_given_out_by_number_and_what_is_gone_or_another_tenants_is_not(service, bench) -> None:
    """F16, U19: an erased piece has no number any more; a number says nothing to another tenant."""
    log, ledger = bench.log(), bench.ledger()
    log.put(bench.answer("x1"), 0)
    log.put(bench.answer("x2", user_id="bob"), 0)
    log.put(bench.said("f1", "x1"), 0)
    log.put(bench.said("f2", "x2", user_id="bob"), 0)
    ledger.project(log)
    asking = LedgerService(ledger, log, log.append, bench.looks())
    found = await asking.FetchEvidence(asked_for(("t", 2), ("t", 1), ("t", 1), ("t", 9)), CALL)
    assert [(item.number, item.feedback.event_id, item.interaction.interaction_id) for item in found.items] == [
        (1, "f1", "x1"),
        (2, "f2", "x2"),
    ]
    assert [item.number for item in (await asking.FetchEvidence(asked_for(("other", 1), ("t", 2)), CALL)).items] == [2]
    log.put(bench.erasure("ann", after=100.0))
    ledger.project(log)
    assert [item.number for item in (await asking.FetchEvidence(asked_for(("t", 1), ("t", 2)), CALL)).items] == [2]


async def test_a_number_that_is_asked_for_under_two_tenants_is_given_to_whose_it_is(service, bench) -> None:
    """F06: a ledger that was rebuilt numbers anew, and what the old one told lies on the topic still."""
    log, ledger = bench.log(), bench.ledger()
    log.put(bench.answer("x1"))
    log.put(bench.said("f1", "x1"))
    ledger.project(log)
    asking = LedgerService(ledger, log, log.append, bench.looks())
    for references in ((("t", 1), ("old", 1)), (("old", 1), ("t", 1))):
        found = await asking.FetchEvidence(asked_for(*references), CALL)
        assert [item.feedback.event_id for item in found.items] == ["f1"]


async def test_an_answer_with_evidence_that_would_grow_too_large_says_what_is_left(
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, ledger = bench.log(), bench.ledger()
    for n in range(3):
        log.put(bench.answer(f"x{n}", response="long " * 100))
        log.put(bench.said(f"f{n}", f"x{n}"))
    ledger.project(log)
    monkeypatch.setattr(services, "MAX_EVIDENCE_BYTES", 800)
    asking = LedgerService(ledger, log, log.append, bench.looks())
    found = await asking.FetchEvidence(asked_for(("t", 1), ("t", 2), ("t", 3)), CALL)
    assert [item.number for item in found.items] == [1, 2]
    assert [(left.tenant, left.number) for left in found.left] == [("t", 3)]


async def test_a_reader_of_references_needs_a_name_and_at_most_a_thousand(service) -> None:
    for wrong in (asked_for(("t", 1), reader=""), asked_for(), asked_for(*[("t", n) for n in range(1001)])):
        with pytest.raises(InvalidArgument):
            await service.FetchEvidence(wrong, CALL)
    with pytest.raises(InvalidArgument):
        await service.FetchEvidence(asked_for(("t", 1), reader="x" * 600), CALL)


def recorded(bench) -> list[dict]:
    file = bench.root / "looks.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def test_whoever_is_given_words_is_recorded_first_and_without_the_record_gets_none(service, bench) -> None:
    odo = Call("m", Principal("odo", frozenset({"auditor"})))
    worker = Call("m", Principal("signals", frozenset({"internal"})))
    answers = ledger_pb2.ListAnswersRequest(tenant="t", limit=5)
    trace = ledger_pb2.TraceRequest(tenant="t", id="x1")
    evidence = ledger_pb2.ReadEvidenceRequest(reader="signals:1", limit=10)
    window = ledger_pb2.BuildWindowRequest(loop="assist")

    async def asked() -> None:
        assert (await service.ListAnswers(answers, odo)).answers
        assert (await service.Trace(trace, odo)).nodes
        assert (await service.ReadEvidence(evidence, worker)).items
        assert [part async for part in service.BuildWindow(window, worker)]

    for _ in range(3):
        await asked()
    found = recorded(bench)
    told = [(line["principal"], line["what"], line["tenant"], line["count"]) for line in found]
    assert told == [
        ("odo", "answers", "t", 1),
        ("odo", "trace", "t", 1),
        ("signals", "evidence", "*", None),
        ("signals", "window", "*", None),
    ], "asked for again at once it is one look"
    assert found[0]["users"] == [subject_of(bench.key, "t", "ann")]
    assert "ann" not in (bench.root / "looks.jsonl").read_text()
    bench.clock.advance(3_600.0)
    await asked()
    assert len(recorded(bench)) == 8
    nothing = ledger_pb2.ListAnswersRequest(tenant="nobody", limit=5)
    assert not (await service.ListAnswers(nothing, odo)).answers
    assert len(recorded(bench)) == 8, "nobody was shown anything"
    listed = await service.ListLooks(ledger_pb2.ListLooksRequest(tenant="t", user_id="ann", limit=3), odo)
    assert [(look.what, look.HasField("count"), look.by) for look in listed.looks] == [
        ("window", False, "ledger"),
        ("evidence", False, "ledger"),
        ("answers", True, "ledger"),
    ]
    (bench.root / "looks.jsonl").unlink()
    (bench.root / "looks.jsonl").mkdir()
    bench.clock.advance(3_600.0)
    for work in (service.ListAnswers(answers, odo), service.Trace(trace, odo), service.ReadEvidence(evidence, worker)):
        with pytest.raises(Unavailable):
            await work
    parts = service.BuildWindow(window, worker)
    assert not (await anext(parts)).evidence, "the head has no words"
    with pytest.raises(Unavailable):
        await anext(parts)


async def test_a_round_s_window_names_whose_words_it_holds(service, bench) -> None:
    cut = (await service.GetCut(ledger_pb2.GetCutRequest(), CALL)).cut
    request = ledger_pb2.BuildWindowRequest(loop="assist", number=1, cut=cut)
    count = sum([len(part.evidence) async for part in service.BuildWindow(request, CALL)])
    (line,) = recorded(bench)
    assert (line["what"], line["count"], line["users"]) == ("window", count, [subject_of(bench.key, "t", "ann")])
    assert count > 0


@pytest.mark.parametrize("limit", [0, 1_001])
async def test_looks_are_told_so_many_at_a_time(service, limit: int) -> None:
    with pytest.raises(InvalidArgument):
        await service.ListLooks(ledger_pb2.ListLooksRequest(limit=limit), CALL)
