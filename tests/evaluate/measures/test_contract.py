"""Every measure: nothing measured is never a pass, and a candidate equal to stable passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rejoinder.core.charter import Charter, Norm
from rejoinder.evaluate.measured import Measured, Outcome, verdict
from rejoinder.evaluate.measures import MEASURES
from rejoinder.evaluate.measures.inputs import Answered, GateInputs, Guarded
from rejoinder.evaluate.topics import Topic, Topics

PROMPT = [{"role": "user", "content": "q"}]


def answered(n: int, growth: float = 1.0, score: float = 0.0, text: str = "right") -> list[Answered]:
    return [Answered(f"p{i}", f"u{i}", PROMPT, "right", text, 20, round(20 * growth), 0.0, score) for i in range(n)]


def rows(n: int, right: float, kl: float = 0.1) -> list[dict[str, Any]]:
    return [
        {
            "id": f"p{i}",
            "group": f"u{i}",
            "chosen_logp": -10.0 if i < right * n else -30.0,
            "rejected_logp": -20.0,
            "chosen_tokens": 10,
            "rejected_tokens": 10,
            "kl_to_original": kl,
        }
        for i in range(n)
    ]


def holds(prompt: object, answer: str) -> bool | None:
    return answer == "right"


CHARTER = Charter("1", (Norm("right", "What is wrong is not said.", "team", forbid="wrong"),))

TOPICS = Topics("1", (Topic("t", "?", ("?",), support="^right", neutral="^so so", oppose="^wrong"),))


def guarded(candidate: str) -> list[Guarded]:
    return [Guarded("t", f"p{i}", ["right"] * 10, [candidate] * 10) for i in range(20)]


SAME = GateInputs(
    rows(300, 0.6),
    rows(300, 0.6),
    answered(300),
    {},
    {"max_logp_difference": 1e-5, "prompts": 8, "greedy_equal": 8},
    {"facts": holds},
    charter=CHARTER,
    topics=TOPICS,
    guarded=guarded("right"),
)

#: What each measure is there to stop.
WORSE = {
    "pair_accuracy": GateInputs(before=rows(300, 0.8), after=rows(300, 0.5)),
    "win_rate": GateInputs(answered=answered(300, score=-1.0)),
    "length": GateInputs(answered=answered(300, growth=1.8)),
    "kl": GateInputs(after=rows(300, 0.5, kl=5.0)),
    "parity": GateInputs(parity={"max_logp_difference": 0.2, "prompts": 8, "greedy_equal": 3}),
    "probes": GateInputs(answered=answered(300, text="wrong"), checks={"facts": holds}),
    "norms": GateInputs(answered=answered(300, text="wrong"), charter=CHARTER),
    "drift": GateInputs(topics=TOPICS, guarded=guarded("wrong")),
}


def measured(name: str, inputs: GateInputs) -> Measured:
    return MEASURES[name].make(inputs, MEASURES[name].with_params(), np.random.default_rng(0))


@pytest.mark.parametrize("name", MEASURES)
def test_nothing_measured_is_never_a_pass(name: str) -> None:
    assert measured(name, GateInputs()).outcome is Outcome.UNMEASURED


@pytest.mark.parametrize("name", MEASURES)
def test_a_candidate_equal_to_stable_passes(name: str) -> None:
    assert measured(name, SAME).outcome is Outcome.PASS


@pytest.mark.parametrize("name", MEASURES)
def test_what_the_measure_is_there_to_stop_fails(name: str) -> None:
    """The control: F01, F03, F04, F12."""
    assert measured(name, WORSE[name]).outcome is Outcome.FAIL


@pytest.mark.parametrize("name", ["win_rate", "length", "probes", "norms"])
def test_too_few_answers_are_unmeasured(name: str) -> None:
    inputs = GateInputs(answered=answered(50), checks={"facts": holds}, charter=CHARTER)
    assert measured(name, inputs).outcome is Outcome.UNMEASURED


def test_an_unmeasured_veto_keeps_the_gate_shut_and_names_itself() -> None:
    found = [measured(name, SAME) for name in MEASURES if name != "length"] + [measured("length", GateInputs())]
    assert verdict(found) == (False, ("length:unmeasured",))
    assert verdict([measured(name, SAME) for name in MEASURES]) == (True, ())


@pytest.mark.parametrize("name", [row.name for row in MEASURES.values() if row.with_params().veto])
def test_every_veto_that_was_not_measured_keeps_the_gate_shut(name: str) -> None:
    assert verdict([measured(name, GateInputs())]) == (False, (f"{name}:unmeasured",))


def drifted(users: int, per_user: int, far: int) -> list[dict[str, Any]]:
    """Pairs of users of whom the first `far` diverged by ten nats, the others by none."""
    return [
        {"group": f"u{user}", "kl_to_original": 10.0 * (user < far)} for user in range(users) for _ in range(per_user)
    ]


def test_divergence_has_the_interval_of_its_users_and_passes_on_its_upper_end() -> None:
    """A mean below the bound is no pass where few users carry it: pairs of one user are no more evidence than one."""
    found = measured("kl", GateInputs(after=drifted(20, 10, 1)))
    assert (found.n, found.groups, found.value) == (200, 20, 0.5)
    assert found.low == 0.0
    assert found.high > 1.0
    assert found.outcome is Outcome.FAIL
    assert measured("kl", GateInputs(after=drifted(400, 1, 20))).outcome is Outcome.PASS, "as much, of many users"


@pytest.mark.parametrize(("users", "per_user"), [(1, 40), (4, 1)])
def test_divergence_of_too_few_users_is_unmeasured_however_much_they_said(users: int, per_user: int) -> None:
    found = measured("kl", GateInputs(after=drifted(users, per_user, 0)))
    assert (found.outcome, found.n, found.veto) == (Outcome.UNMEASURED, users * per_user, True)


def test_win_rate_is_read_off_answers_of_equal_length_only() -> None:
    """F03: a head that likes length must not carry a longer candidate."""
    mixed = GateInputs(answered=[*answered(250, score=-1.0), *answered(2000, growth=2.0, score=5.0)])
    result = measured("win_rate", mixed)
    assert result.outcome is Outcome.FAIL
    assert result.facts["all"] > 0.8
