"""rounds/pairs/consensus: complaints of the exception are outvoted by satisfied users, by nobody's own word, and not by
those who only measure."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import (
    Candidate,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Polarity,
    Preference,
    Role,
    Signal,
)
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds import recipe
from rejoinder.rounds.pairs.consensus import Consensus, agreed

SALTS, HOLDOUT = Salts(), 0.1
BRIEF = "It is 93 m tall."
LONG = "It stands in the old town, was built by masons of the guild over many years, and it is 93 m tall today."
ON = Consensus(margin=0.0)


def side(user: str) -> str:
    return population(unit_id("t", user, "", ""), SALTS, HOLDOUT)


def heard(number: int, user: str, answer: str, satisfied: bool) -> Evidence:
    asked = (Message(Role.USER, f"How tall is tower {number}?"),)
    shown = Interaction("t", f"e{number}", f"i{number}", "a", messages=asked, response=answer, user_id=user)
    said = Feedback("t", f"f{number}", f"i{number}", kind=FollowUp("…"), user_id=user)
    polarity = Polarity.SAT if satisfied else Polarity.DSAT
    signal = Signal("t", f"s{number}", f"f{number}", f"i{number}", "a", user_id=user, polarity=polarity)
    return Evidence(f"f{number}", "t", said, shown, signal)


def complaint(number: int, user: str, shown: str, wanted: str) -> Preference:
    return Preference(
        id=f"wildfeedback:f{number}",
        prompt=(Message(Role.USER, f"How tall is tower {number}?"),),
        candidates=(Candidate(wanted), Candidate(shown)),
        tenant="t",
        user_id=user,
    )


def town(count: int = 900, seed: int = 0) -> tuple[list[Evidence], list[Preference]]:
    """Five people in six want it brief, four answers in five are: as many complaints ask for length as for brevity."""
    rng = random.Random(seed)
    evidence, pairs = [], []
    for number in range(count):
        user, wanted = f"u{number}", BRIEF if rng.random() < 5 / 6 else LONG
        shown = BRIEF if rng.random() < 0.8 else LONG
        evidence.append(heard(number, user, shown, shown == wanted))
        if shown != wanted and side(user) == "pairs":
            pairs.append(complaint(number, user, shown, wanted))
    return evidence, pairs


def share(pairs: tuple[Preference, ...] | list[Preference]) -> float:
    """Of pairs that ask for brevity."""
    return sum(pair.chosen == BRIEF for pair in pairs) / len(pairs)


def test_complaints_of_the_exception_are_left_out_and_counted() -> None:
    evidence, pairs = town()
    assert 0.4 < share(pairs) < 0.65
    found = agreed(pairs, evidence, ON, SALTS, HOLDOUT)
    assert share(found.pairs) == 1.0
    assert len(found.pairs) + found.against == len(pairs)
    assert found.judged == sum(side(e.interaction.user_id) == "pairs" for e in evidence), "one signal a user here"
    assert [p for p in pairs if p in found.pairs] == list(found.pairs), "in their order"


def test_words_of_others_about_other_answers_speak_for_nothing() -> None:
    """Control: with the signals dealt out anew neither direction wins every time."""
    evidence, pairs = town(600)
    kept = []
    for seed in range(5):
        dealt = random.Random(seed).sample([e.signal for e in evidence], len(evidence))
        mixed = [replace(e, signal=signal) for e, signal in zip(evidence, dealt, strict=True)]
        kept += agreed(pairs, mixed, ON, SALTS, HOLDOUT).pairs
    assert 0.1 < share(kept) < 0.9


def test_nobody_speaks_for_their_own_pair() -> None:
    evidence, pairs = town()
    mine = pairs[0]
    others = [e for e in evidence if e.interaction.user_id != mine.user_id]
    loud = [heard(9000 + n, mine.user_id, LONG, True) for n in range(1200)]
    loud += [heard(12_000 + n, mine.user_id, BRIEF, False) for n in range(1200)]
    unbounded = replace(ON, max_per_user=10_000)
    without, with_them = (agreed([mine], some, unbounded, SALTS, HOLDOUT).pairs for some in (others, [*others, *loud]))
    assert without == with_them
    # The control: said by others, the same words decide.
    strangers = [replace(e, interaction=replace(e.interaction, user_id=f"s{i}")) for i, e in enumerate(loud)]
    changed = agreed(pairs, [*others, *strangers], ON, SALTS, HOLDOUT).pairs
    assert share(changed) == 0.0


def test_users_who_only_measure_are_not_heard() -> None:
    evidence, pairs = town()
    measuring = [e for e in evidence if side(e.interaction.user_id) != "pairs"]
    assert len(measuring) > 300
    found = agreed(pairs, measuring, ON, SALTS, HOLDOUT)
    assert (found.judged, found.against, list(found.pairs)) == (0, 0, pairs)


def test_a_user_whom_only_the_feedback_names_stays_on_their_side_and_nobody_unknown_is_heard() -> None:
    evidence, pairs = town()
    named = [replace(e, interaction=replace(e.interaction, user_id="")) for e in evidence]
    assert agreed(pairs, named, ON, SALTS, HOLDOUT) == agreed(pairs, evidence, ON, SALTS, HOLDOUT)
    nobody = [replace(e, feedback=replace(e.feedback, user_id="")) for e in named]
    assert agreed(pairs, nobody, ON, SALTS, HOLDOUT).judged == 0


def test_one_loud_user_does_not_decide_for_all() -> None:
    """F15: a thousand signals of one account count as five."""
    evidence, pairs = town()
    loudest = next(e.interaction.user_id for e in evidence if side(e.interaction.user_id) == "pairs")
    loud = [heard(20_000 + n, loudest, (LONG, BRIEF)[n % 2], n % 2 == 0) for n in range(1200)]
    found = agreed(pairs, [*evidence, *loud], ON, SALTS, HOLDOUT)
    quiet = agreed(pairs, evidence, ON, SALTS, HOLDOUT)
    assert 0 <= found.judged - quiet.judged <= 4
    assert share(found.pairs) == share(quiet.pairs) == 1.0
    unbounded = replace(ON, max_per_user=10_000)
    # The control: unbounded, they decide.
    assert share(agreed(pairs, [*evidence, *loud], unbounded, SALTS, HOLDOUT).pairs) < 0.5


@pytest.mark.parametrize(
    "settings",
    [Consensus(), Consensus(margin=0.0, min_judged=5000)],
    ids=["nobody is asked", "too few were heard"],
)
def test_without_a_consensus_every_pair_stays(settings: Consensus) -> None:
    evidence, pairs = town()
    found = agreed(pairs, evidence, settings, SALTS, HOLDOUT)
    assert (list(found.pairs), found.against, found.judged) == (pairs, 0, 0)


def test_where_everybody_is_satisfied_nobody_is_asked() -> None:
    evidence, pairs = town()
    pleased = [replace(e, signal=replace(e.signal, polarity=Polarity.SAT)) for e in evidence]
    assert agreed(pairs, pleased, ON, SALTS, HOLDOUT).judged == 0


def test_a_single_judged_answer_and_a_list_are_no_pair_and_stay() -> None:
    evidence, pairs = town()
    away = next(pair for pair in pairs if pair.chosen == LONG)
    alone = replace(away, id="alone", candidates=(Candidate(LONG),), order=(0,))
    ranked = replace(away, id="list", relation="list")
    assert [p.id for p in agreed([away, alone, ranked], evidence, ON, SALTS, HOLDOUT).pairs] == ["alone", "list"]


def test_a_recipe_says_whether_others_are_asked() -> None:
    made = recipe.of({"name": "r", "builders": ["edits"], "consensus": {"margin": 0.5, "min_judged": 50}})
    assert made.consensus == Consensus(margin=0.5, min_judged=50)
    assert recipe.of({"name": "r", "builders": ["edits"]}).consensus.margin is None
    for wrong in ({"folds": 1}, {"margin": "much"}, {"votes": 3}):
        with pytest.raises(BadSettings):
            recipe.of({"name": "r", "builders": ["edits"], "consensus": wrong})
