"""ledger/judged: what a verdict is read off is decided by stamps, whole units, one pinned extractor (F09, F10)."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest
from rejoinder.core.charter import Rule, Told
from rejoinder.core.errors import EmptyField, InvalidArgument, Loading
from rejoinder.core.types import ArmKind, AttemptStatus, Message, Polarity, Role, Served
from rejoinder.ledger.reading.judged import SLACK_S, Asked, Judge, Mark, mark, reached, read_judged
from rejoinder.ledger.service import LedgerService
from rejoinder.runtime.call import Call
from rejoinder.v1 import ledger_pb2

PINNED = (Judge("x", "1"),)
READER = "signals:0123"
MATURITY = 60.0


class Desk:
    """A ledger over a list log, asked as a rollout asks. owns: nothing that the bench does not close."""

    def __init__(self, bench) -> None:
        self.bench, self.log, self.ledger = bench, bench.log(), bench.ledger()
        self.after = bench.now - 1.0

    def put(self, *events) -> None:
        for event in events:
            self.log.put(event)
        self.ledger.project(self.log)

    def extracted(self) -> None:
        """The worker says that it has published all that it read."""
        numbers = [e.number for e in self.ledger.evidence(READER, 0, 1000)]
        self.ledger.evidence(READER, max(numbers, default=0), 1)

    def read(
        self, seconds: float, limit: int = 5000, judges=PINNED, unit: str = "user", clock=time.monotonic, **beside
    ):
        """What has matured `seconds` after the start; keeps the place."""
        marked = mark(self.ledger.store, self.log, self.bench.now + seconds + SLACK_S)
        assert reached(self.ledger.store, marked)
        found = read_judged(
            self.ledger.store, Asked("assist", self.after, MATURITY, judges, unit, limit, **beside), marked, clock
        )
        self.after = found.matured_to
        return found


@pytest.fixture
def desk(bench) -> Desk:
    return Desk(bench)


def names(found) -> list[str]:
    return [turn.interaction_id for turn in found.turns]


def test_an_answer_comes_when_its_window_has_closed_and_only_once(desk, bench) -> None:
    desk.put(bench.answer("x1", 0.0), bench.answer("x2", 30.0, user_id="bob"))
    assert names(desk.read(60.0)) == []
    assert names(desk.read(60.5)) == ["x1"]
    assert names(desk.read(90.4)) == []
    assert names(desk.read(200.0)) == ["x2"]


def test_later_answers_of_the_same_person_come_with_the_first(desk, bench) -> None:
    mine = [bench.answer(name, after) for name, after in (("x1", 0.0), ("x2", 40.0), ("x3", 90.0))]
    desk.put(*mine, bench.answer("y", 41.0, user_id="bob"), bench.answer("z", 42.0, tenant="other"))
    assert names(desk.read(61.0)) == ["x1", "x2"]


def test_where_conversations_are_the_unit_they_are_read_whole(desk, bench) -> None:
    desk.put(
        bench.answer("x1", 0.0, conversation_id="c", turn=1),
        bench.answer("x2", 40.0, conversation_id="c", turn=2, user_id=""),
        bench.answer("x3", 41.0, conversation_id="other"),
    )
    found = desk.read(61.0, unit="conversation")
    assert names(found) == ["x1", "x2"]


def test_an_answer_carries_the_weight_under_which_its_conversation_began(desk, bench) -> None:
    """Under this policy: a rollout says nothing about what another one drew."""

    def drawn(arm: ArmKind, propensity: float, policy: str = "assist") -> dict:
        return {"served": Served(policy, "v", "d", arm, propensity, 0.1, 3)}

    talk = {"conversation_id": "c"}
    desk.put(
        bench.answer("other", 0.0, **drawn(ArmKind.CANARY, 0.9, "draft"), **talk, turn=1),
        bench.answer("late", 1.0, **drawn(ArmKind.STABLE, 1.0), **talk, turn=2),
        bench.answer("then", 2.0, **drawn(ArmKind.STABLE, 0.75), **talk, turn=3),
        bench.answer("first", 3.0, **drawn(ArmKind.CANARY, 0.25), user_id="bob", conversation_id="d"),
        bench.answer("alone", 4.0, **drawn(ArmKind.STABLE, 0.75), user_id="eve", conversation_id=""),
    )
    found = {turn.interaction_id: turn.conversation_weight for turn in desk.read(100.0).turns}
    assert found == {"late": 0.0, "then": 0.0, "first": 0.25, "alone": None}


def test_an_answer_carries_its_arm_its_draw_and_its_reply(desk, bench) -> None:
    served = Served("assist", "v2", "d", ArmKind.CANARY, 0.2, 0.1, 3, forced=True)
    desk.put(
        bench.answer("x1", 0.0, served=served, response="four", status=AttemptStatus.FAILED),
        bench.said("f1", "x1", 10.0),
        bench.signal("f1", "x1", "DSAT"),
    )
    desk.extracted()
    (turn,) = desk.read(100.0).turns
    assert (turn.arm, turn.version, turn.propensity) == (ArmKind.CANARY, "v2", 0.2)
    assert (turn.forced, turn.holdout, turn.crossed, turn.completed) == (True, False, False, False)
    assert (turn.response_chars, turn.polarity, turn.followed_at) == (4, Polarity.DSAT, bench.now + 10.5)


def test_silence_is_no_label(desk, bench) -> None:
    desk.put(bench.answer("x1"))
    (turn,) = desk.read(100.0).turns
    assert (turn.followed_at, turn.polarity) == (None, Polarity.UNSPECIFIED)


def test_the_first_reply_speaks_whatever_comes_later(desk, bench) -> None:
    desk.put(bench.answer("x1"), bench.said("f2", "x1", 20.0), bench.said("f1", "x1", 10.0))
    desk.put(bench.signal("f2", "x1", "DSAT"), bench.signal("f1", "x1", "NONE"))
    desk.extracted()
    (turn,) = desk.read(100.0).turns
    assert (turn.followed_at, turn.polarity) == (bench.now + 10.5, Polarity.NONE)


def test_a_reply_that_no_judge_reads_is_none(desk, bench) -> None:
    desk.put(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "SAT", extractor="clicks"))
    desk.extracted()
    assert desk.read(100.0).turns[0].followed_at is None


def test_only_the_pinned_version_judges_and_another_one_is_counted(desk, bench) -> None:
    desk.put(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "SAT", extractor_version="2"))
    desk.extracted()
    found = desk.read(100.0)
    assert (found.turns[0].polarity, found.foreign) == (Polarity.UNSPECIFIED, 1)


def test_a_reply_that_both_versions_have_read_is_judged_by_the_pinned_one(desk, bench) -> None:
    desk.put(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "DSAT"))
    desk.put(bench.signal("f1", "x1", "SAT", after=30.0, extractor_version="2"))
    desk.extracted()
    found = desk.read(100.0)
    assert (found.turns[0].polarity, found.foreign) == (Polarity.DSAT, 0)


def test_a_name_without_a_version_is_told_the_present_one(desk, bench) -> None:
    desk.put(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "SAT", extractor_version="7"))
    assert desk.read(100.0, judges=(Judge("x"), Judge("y"))).judges == (Judge("x", "7"), Judge("y", ""))


def test_nothing_matures_while_its_reply_waits_for_the_extractor(desk, bench) -> None:
    desk.put(bench.answer("x1"), bench.answer("x2", 5.0, user_id="bob"), bench.said("f1", "x1", 62.0))
    held = desk.read(500.0)
    assert names(held) == ["x1"]
    assert held.behind_s == pytest.approx(500.0 + SLACK_S - 62.5, abs=0.01)
    desk.extracted()
    assert names(desk.read(500.0)) == ["x2"]


def test_a_mark_is_reached_when_the_ledger_has_read_what_lay_there_then(desk, bench) -> None:
    desk.put(bench.answer("x1"))
    desk.log.put(bench.answer("x2"))
    marked = mark(desk.ledger.store, desk.log, bench.now)
    assert not reached(desk.ledger.store, marked)
    desk.ledger.project(desk.log)
    assert reached(desk.ledger.store, marked)
    assert not reached(desk.ledger.store, replace(marked, ends={("signals", 0): 1}))


def test_pages_end_between_moments_and_give_every_answer_once(desk, bench) -> None:
    together = [bench.answer(f"s{n}", 3.0, user_id=f"s{n}") for n in range(4)]
    desk.put(*(bench.answer(f"x{n}", n, user_id=f"u{n}") for n in range(3)), *together)
    seen: list[str] = []
    while found := names(desk.read(500.0, limit=2)):
        seen += found
    assert sorted(seen) == sorted(["x0", "x1", "x2", "s0", "s1", "s2", "s3"])


def test_other_policies_are_not_read(desk, bench) -> None:
    desk.put(bench.answer("x1", served=Served("other", "v1", arm=ArmKind.STABLE)))
    assert names(desk.read(500.0)) == []


@pytest.mark.parametrize("wrong", [{"unit": "turn"}, {"maturity_s": 0.0}, {"limit": 0}, {"limit": 5001}])
def test_what_cannot_be_asked_is_named(wrong) -> None:
    with pytest.raises(InvalidArgument):
        Asked(**{"policy": "p", "after": 0.0, "maturity_s": 1.0, "judges": PINNED} | wrong)


@pytest.mark.parametrize("empty", [{"policy": ""}, {"judges": ()}, {"judges": (Judge("", "1"),)}])
def test_what_must_be_said_is_named(empty) -> None:
    with pytest.raises(EmptyField):
        Asked(**{"policy": "p", "after": 0.0, "maturity_s": 1.0, "judges": PINNED} | empty)


async def test_the_rpc_carries_all_of_it_and_waits_for_no_ledger_that_is_behind(desk, bench) -> None:
    desk.put(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1"))
    desk.extracted()
    bench.clock.advance(100.0)
    service = LedgerService(desk.ledger, desk.log, desk.log.append, bench.looks())
    asked = ledger_pb2.ReadJudgedRequest(policy="assist", maturity_s=60.0, unit="user", limit=10)
    asked.judges.add(extractor="x", version="1")
    asked.after.FromMicroseconds(round((bench.now - 1) * 1e6))
    found = await service.ReadJudged(asked, Call.local())
    assert (found.turns[0].interaction_id, found.turns[0].user_id) == ("x1", "ann")
    assert found.matured_to.ToMicroseconds() == round((bench.now + 100.0 - SLACK_S - 60.0) * 1e6)
    desk.log.put(bench.answer("x2"))
    with pytest.raises(Loading):
        await service.ReadJudged(asked, Call.local(deadline_s=0.0))


def test_a_place_is_read_before_the_ends_that_hold_its_signals(desk, bench) -> None:
    """A worker that publishes between the two looks must not make an unread reply look read."""
    desk.put(bench.answer("x1"), bench.said("f1", "x1"))

    class Publishes:
        topics = desk.log.topics

        def end_offsets(self, topic):
            desk.log.put(bench.signal("f1", "x1"))
            desk.extracted()
            return desk.log.end_offsets(topic)

    assert mark(desk.ledger.store, Publishes(), 0.0) == Mark(0.0, 0, mark(desk.ledger.store, desk.log, 0.0).ends)


def audited(desk, bench, **second) -> None:
    """An answer, a reply that pleased the first judge, and what a second one makes of it."""
    desk.put(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "SAT"))
    if second:
        desk.put(bench.signal("f1", "x1", **({"extractor": "audit-lexicon", "extractor_version": "1"} | second)))
    desk.extracted()


def test_a_second_reading_comes_with_the_reply_that_speaks(desk, bench) -> None:
    audited(desk, bench, polarity="DSAT")
    found = desk.read(100.0, second=Judge())
    (turn,) = found.turns
    assert (turn.polarity, turn.sampled, turn.second) == (Polarity.SAT, True, Polarity.DSAT)
    assert found.second == Judge("audit-lexicon", "1")


def test_a_second_judge_never_speaks_for_the_answer_nor_where_nobody_asks(desk, bench) -> None:
    audited(desk, bench, polarity="DSAT")
    found = desk.read(100.0)
    assert (found.turns[0].polarity, found.turns[0].sampled, found.second) == (Polarity.SAT, False, None)


def test_outside_the_sample_there_is_no_second_judge(desk, bench) -> None:
    audited(desk, bench)
    found = desk.read(100.0, second=Judge())
    assert (found.turns[0].sampled, found.turns[0].second, found.second) == (False, Polarity.UNSPECIFIED, None)


def test_what_the_second_judge_could_not_read_was_in_the_sample(desk, bench) -> None:
    audited(desk, bench, polarity="UNSPECIFIED")
    (turn,) = desk.read(100.0, second=Judge()).turns
    assert (turn.sampled, turn.second) == (True, Polarity.UNSPECIFIED)


@pytest.mark.parametrize(
    "other", [{"extractor_version": "2"}, {"extractor": "audit-endpoint"}], ids=["version", "judge"]
)
def test_what_another_second_judge_read_was_in_the_sample_and_has_no_reading(desk, bench, other) -> None:
    audited(desk, bench, polarity="DSAT", **other)
    found = desk.read(100.0, second=Judge("audit-lexicon", "1"))
    assert (found.turns[0].sampled, found.turns[0].second) == (True, Polarity.UNSPECIFIED)
    assert found.second == Judge("audit-lexicon", "1")


@pytest.mark.parametrize(("response", "refused"), [("I'm sorry, but I can't help with that.", True), ("68 F", False)])
def test_whether_an_answer_refuses_is_told_where_it_is_asked(desk, bench, response, refused) -> None:
    desk.put(bench.answer("x1", response=response), bench.answer("x2", user_id="bob", response=response))
    found = desk.read(100.0, limit=1, refusals=True)
    assert {turn.refused for turn in found.turns} == {refused}


def test_whether_an_answer_refuses_is_not_looked_at_where_nobody_asks(desk, bench) -> None:
    desk.put(bench.answer("x1", response="I can't help with that."))
    assert desk.read(100.0).turns[0].refused is None


RULES = (Rule(forbid=r"code \d+"), Rule(asked="how warm", require="celsius"), Rule(most_words=2))


@pytest.mark.parametrize(
    ("response", "told"),
    [
        ("It is code 4711", Told((0, 1, 2), (0, 1, 2))),
        ("20 celsius", Told((0, 1, 2), ())),
        ("", Told((0, 1, 2), (1,))),
    ],
    ids=["breaks all", "keeps all", "an empty one"],
)
def test_answers_are_held_against_the_norms_that_are_asked_about(desk, bench, response, told) -> None:
    asked = (Message(Role.USER, "How warm is it?"),)
    made = [bench.answer(f"x{n}", user_id=f"u{n}", response=response, messages=asked) for n in (1, 2)]
    desk.put(*made)
    found = desk.read(100.0, limit=1, norms=RULES)
    assert {turn.norms for turn in found.turns} == {told}
    desk.after = bench.now - 1.0
    assert desk.read(100.0).turns[0].norms is None


def test_an_answer_that_was_not_completed_is_held_against_nothing(desk, bench) -> None:
    desk.put(bench.answer("x1", response="It is code 4711", status=AttemptStatus.FAILED))
    assert desk.read(100.0, norms=RULES).turns[0].norms is None


def test_a_page_ends_when_its_norms_time_is_up_and_nothing_is_lost(desk, bench) -> None:
    """At every look at the clock two seconds have passed: a page has what its first moment needs, and no more."""
    times = {"a1": 0.0, "b1": 0.0, "c1": 20.0, "a2": 30.0, "a3": 90.0, "c2": 100.0}
    made = [bench.answer(name, at, user_id=name[0], conversation_id=name[0]) for name, at in times.items()]
    desk.put(*made)
    whole = desk.read(500.0, norms=RULES)
    assert [(turn.interaction_id, turn.norms) for turn in whole.turns] == [(name, Told((0, 2), ())) for name in times]
    for unit in ("user", "conversation"):
        desk.after, seen, ends = bench.now - 1.0, [], []
        for _ in range(6):
            found = desk.read(500.0, norms=RULES, unit=unit, clock=itertools.count(step=2.0).__next__)
            seen.append([turn.interaction_id for turn in found.turns])
            assert all(turn.norms == Told((0, 2), ()) for turn in found.turns)
            ends.append(found.matured_to - bench.now - 0.5)
        assert seen[:4] == [["a1", "b1", "a2"], ["c1"], ["a2", "a3"], ["c2"]]
        assert ends[:3] == pytest.approx([0.0, 20.0, 90.0])
        assert not any(seen[4:])


def test_more_norms_than_a_charter_holds_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="at most 64"):
        Asked("p", 0.0, 1.0, (Judge("x", "1"),), norms=(Rule(forbid="a"),) * 65)
