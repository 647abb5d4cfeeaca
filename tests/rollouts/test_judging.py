"""rollouts/judging: which answers count, as what, and that reading on counts nobody twice (F09)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rejoinder.clients.ledger import Judge, Judged, JudgedTurn
from rejoinder.core.arms import Step
from rejoinder.core.types import ArmKind, Polarity
from rejoinder.rollout.audit import AUDIT
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollout.state import Status
from rejoinder.rollout.units import Audited, Measure
from rejoinder.rollout.vetoes import LENGTH, REFUSALS, Veto
from rejoinder.rollouts.judging import PAGES, Page, Reading, pages, turn_of

from tests.rollouts.world import GOOD, NEW

T0 = 1_700_000_000.0
PLAN = RolloutPlan(steps=(PlanStep(0.5),), maturity_s=10.0)
STATUS = Status("salt", GOOD, NEW, 1, T0, phase="canary", step=0, steps=(Step(0.5, T0),))
READING = Reading(T0, (Judge("x", "1"),))
#: Stable's median is 100 characters.
LONG = replace(READING, lengths=(100,) * 200)


def turn(user: str, at: float, **fields) -> JudgedTurn:
    base = {
        "tenant": "t",
        "user_id": user,
        "interaction_id": f"i-{user}-{at}",
        "accepted_at": T0 + at,
        "arm": ArmKind.STABLE,
        "version": "r41",
        "propensity": 0.5,
        "completed": True,
        "response_chars": 100,
    }
    return JudgedTurn(**(base | fields))


class Script:
    """A ledger that answers what it was given, page by page. owns: what it was asked."""

    def __init__(self, *answers: Judged) -> None:
        self.answers, self.asked, self.beside = list(answers), [], []

    def judged(self, policy, after, maturity_s, judges, unit, limit, *, second, refusals, norms) -> Judged:
        self.beside.append((second, refusals, norms))
        self.asked.append((policy, after, maturity_s, tuple(judges), unit))
        return self.answers.pop(0) if self.answers else Judged((), after, tuple(judges))


def read(ledger: Script, reading: Reading = READING, counted=None, plan=PLAN) -> tuple[list[Page], Evidence]:
    evidence, counted = Evidence(plan), set() if counted is None else counted
    found = []
    for page in pages(ledger, "assist", plan, STATUS, reading, evidence, counted):
        found.append(page)
        counted |= set(page.units)
    return found, evidence


def test_a_turn_becomes_what_the_tests_take_and_names_nobody() -> None:
    said = turn("ann", 5.0, polarity=Polarity.DSAT, followed_at=T0 + 6, propensity=0.4, completed=False)
    made = turn_of(said, PLAN, STATUS, READING)
    assert "ann" not in made.unit
    assert (made.at, made.arm, made.propensity, made.completed) == (T0 + 5, ArmKind.STABLE, 0.4, False)
    assert (made.score, made.polarity, made.followed_at) == (0.0, Polarity.DSAT, T0 + 6)
    assert turn_of(replace(said, polarity=Polarity.SAT), PLAN, STATUS, READING).score == 1.0
    assert turn_of(replace(said, polarity=Polarity.NONE), PLAN, STATUS, READING).score is None


def test_a_unit_is_the_user_under_the_salt_of_this_rollout() -> None:
    one, again = turn_of(turn("ann", 1.0), PLAN, STATUS, READING), turn_of(turn("ann", 2.0), PLAN, STATUS, READING)
    assert one.unit == again.unit != turn_of(turn("bob", 1.0), PLAN, STATUS, READING).unit
    assert one.unit != turn_of(turn("ann", 1.0), PLAN, replace(STATUS, salt="other"), READING).unit
    talks = replace(PLAN, unit="conversation")
    assert turn_of(turn("ann", 1.0, conversation_id="c"), talks, STATUS, READING).unit != one.unit


@pytest.mark.parametrize(("chars", "harm"), [(199, 0.0), (201, 1.0)])
def test_an_answer_longer_than_the_bound_is_the_harm_of_the_veto(chars, harm) -> None:
    assert turn_of(turn("a", 1.0, response_chars=chars), PLAN, STATUS, LONG).measures == (
        Measure(LENGTH, harm, T0 + 1),
    )
    assert turn_of(turn("a", 1.0, completed=False), PLAN, STATUS, LONG).measures == ()
    assert turn_of(turn("a", 1.0), PLAN, STATUS, READING).measures == ()


def test_the_bound_is_twice_stables_median_once_enough_is_known() -> None:
    answers = tuple(turn(f"u{n}", 1.0, response_chars=n + 1) for n in range(199))
    longer = turn("c", 1.0, response_chars=10**6, arm=ArmKind.CANARY, version="r42")
    (page, _), _ = read(Script(Judged((*answers, longer), T0 + 5, READING.judges)))
    assert page.reading.long is None
    (page, *_), _ = read(Script(Judged((turn("z", 2.0, response_chars=200),), T0 + 6, ())), page.reading)
    assert page.reading.long == 201.0


def test_reading_on_counts_nobody_twice() -> None:
    first = Judged((turn("ann", 1.0), turn("ann", 8.0), turn("bob", 2.0)), T0 + 5, READING.judges)
    second = Judged((turn("ann", 8.0), turn("eve", 9.0)), T0 + 9, READING.judges)
    ledger = Script(first, second)
    found, evidence = read(ledger)
    assert [len(page.units) for page in found] == [2, 1, 0]
    assert [asked[1] for asked in ledger.asked] == [T0, T0 + 5, T0 + 9]
    assert evidence.silence.arms["stable"].units == 3
    assert found[-1].reading.dropped == {"counted": 1}


def test_answers_of_other_versions_are_left_out() -> None:
    others = (turn("a", 1.0, version="r40"), turn("b", 1.0, arm=ArmKind.CANARY, version="r40"))
    mine = turn("c", 1.0, arm=ArmKind.CANARY, version="r42")
    _, evidence = read(Script(Judged((*others, mine), T0 + 5, READING.judges)))
    assert (evidence.silence.arms["stable"].units, evidence.silence.arms["canary"].units) == (0, 1)


def test_a_unit_that_comes_late_is_counted_as_such_and_changes_nothing() -> None:
    late = Judged((turn("late", 1.0),), T0 + 6, READING.judges)
    found, evidence = read(Script(Judged((turn("ann", 5.0),), T0 + 5, READING.judges), late))
    assert found[-1].reading.dropped == {"late": 1}
    assert evidence.silence.arms["stable"].units == 1


def test_judges_are_pinned_before_anything_is_taken_up() -> None:
    asked = Reading(T0, (Judge("x"), Judge("y")))
    said = Judged((turn("ann", 1.0),), T0 + 5, (Judge("x", "3"), Judge("y", "")))
    ledger = Script(said, replace(said, judges=(Judge("x", "3"),)))
    found, evidence = read(ledger, asked)
    assert found[0] == Page(Reading(T0, (Judge("x", "3"),)), ())
    assert [a[3] for a in ledger.asked[:2]] == [(Judge("x"), Judge("y")), (Judge("x", "3"),)]
    assert evidence.silence.arms["stable"].units == 1


def test_a_backlog_is_taken_up_some_pages_at_a_time() -> None:
    answers = [Judged((turn(f"u{n}", n),), T0 + n + 0.5, READING.judges) for n in range(2 * PAGES)]
    found, _ = read(Script(*answers))
    assert len(found) == PAGES


AUDITED = replace(PLAN, vetoes=(Veto(AUDIT), Veto(REFUSALS)))


def test_only_what_the_plan_asks_for_is_asked_of_the_ledger() -> None:
    plain, more = Script(), Script()
    read(plain)
    read(more, plan=AUDITED)
    assert (plain.beside[0], more.beside[0]) == ((None, False, ()), (Judge(), True, ()))


def test_the_second_judge_is_pinned_by_what_it_read_first() -> None:
    second = Judge("audit-lexicon", "1")
    ledger = Script(Judged((turn("ann", 1.0),), T0 + 5, READING.judges, second=second))
    found, _ = read(ledger, plan=AUDITED)
    assert found[-1].reading.second == second
    assert [beside[0] for beside in ledger.beside] == [Judge(), second]


def test_a_turn_of_the_sample_carries_both_readings_and_how_much_the_second_judge_sees() -> None:
    said = turn("ann", 1.0, polarity=Polarity.SAT, sampled=True, second=Polarity.DSAT)
    reading = replace(READING, second=Judge("audit-lexicon", "1"))
    assert turn_of(said, AUDITED, STATUS, reading).audited == Audited(Polarity.SAT, Polarity.DSAT, 0.5)
    assert turn_of(replace(said, sampled=False), AUDITED, STATUS, reading).audited is None
    assert turn_of(said, AUDITED, STATUS, READING).audited is None


@pytest.mark.parametrize(
    ("fields", "harms"),
    [
        ({"refused": True}, (Measure(REFUSALS, 1.0, T0 + 1),)),
        ({"refused": False}, (Measure(REFUSALS, 0.0, T0 + 1),)),
        ({"refused": None}, ()),
        ({"refused": True, "completed": False}, ()),
    ],
    ids=["refuses", "answers", "not looked at", "failed, which is another veto's"],
)
def test_a_refusal_is_the_harm_of_its_veto(fields, harms) -> None:
    assert turn_of(turn("a", 1.0, **fields), AUDITED, STATUS, READING).measures == harms


def test_a_reading_survives_json() -> None:
    second = replace(READING, second=Judge("audit-lexicon", "1"))
    assert Reading.from_dict(json.loads(json.dumps(second.as_dict()))) == second
    before = READING.as_dict()
    del before["second"]
    assert Reading.from_dict(before) == READING
    reading = replace(READING, lengths=(3, 4), dropped={"forced": 2}, foreign=1, behind_s=0.1)
    assert Reading.from_dict(json.loads(json.dumps(reading.as_dict()))) == reading


def test_without_norms_a_reading_has_no_field_that_the_version_before_them_refused() -> None:
    """Or a canary stood still for ever after a rollback of the software."""
    assert set(READING.as_dict()) == {"after", "judges", "lengths", "dropped", "foreign", "behind_s", "second"}
    counted = replace(READING, norms={"stable": {"kind": (3, 1)}, "canary": {"kind": (2, 0)}})
    assert Reading.from_dict(json.loads(json.dumps(counted.as_dict()))) == counted
