"""rounds/pairs/wildfeedback: the disliked answer against one under the wish, the wish not in the prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import FollowUp, Message, Polarity, Role, Sampling
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import wildfeedback
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, Likelihood, Sampled, Wish

Make = Callable[..., Evidence]


def built(evidence: list[Evidence], context: Context, **params: Any) -> list[Draft | Dropped]:
    return list(wildfeedback.build(evidence, wildfeedback.Params(**params), context))


def test_chosen_is_regenerated_under_the_wish_and_rejected_is_what_was_served(
    make_evidence: Make, context: Context
) -> None:
    (draft,) = built([make_evidence()], context)
    assert draft.preference.chosen == "It is 20 degrees Celsius today."
    assert draft.preference.rejected == "It is 68 degrees Fahrenheit."
    assert draft.preference.margin > 0


def test_the_wish_is_in_the_generation_prompt_and_not_in_the_training_prompt(
    make_evidence: Make, context: Context, policy: Any
) -> None:
    (draft,) = built([make_evidence()], context)
    (asked,) = policy.asked
    assert asked[0].role is Role.SYSTEM
    assert "Celsius" in asked[0].content
    assert draft.preference.prompt == (Message(Role.USER, "How warm is it in town number 1?"),)
    assert any("Celsius" in text for text in draft.forbidden)


def test_a_revision_is_written_within_the_conversation_and_trained_without_it(
    make_evidence: Make, context: Context, policy: Any
) -> None:
    one = make_evidence()
    (draft,) = built([one], context, regenerate="revision")
    assert policy.asked == [
        (
            *one.interaction.messages,
            Message(Role.ASSISTANT, one.interaction.response),
            Message(Role.USER, one.feedback.kind.text),
        )
    ]
    assert draft.preference.prompt == one.interaction.messages
    assert one.feedback.kind.text in draft.forbidden


def test_the_control_that_hears_no_wish_asks_the_question_alone_and_takes_the_first_answer(
    make_evidence: Make, context: Context, policy: Any
) -> None:
    one = make_evidence()
    built([one], context, regenerate="nothing", choose="first")
    assert policy.asked == [one.interaction.messages]
    made = guided(make_evidence, context, USUAL, choose="first", regenerate="nothing")
    assert (made.preference.chosen, made.preference.margin) == (next(t for t in USUAL if t != SERVED), 0.0)
    assert made.preference.candidates[0].score is None, "neither the wish nor a reward had a say"


def test_an_answer_that_an_application_logged_without_who_served_it_makes_a_pair(
    make_evidence: Make, context: Context
) -> None:
    one = make_evidence()
    (draft,) = built([replace(one, interaction=replace(one.interaction, served=None))], context)
    assert draft.preference.candidates[1].version == ""


def test_without_the_wish_the_regeneration_has_no_effect(make_evidence: Make, context: Context) -> None:
    """The control: a summariser that says nothing of the wish must not make the preferred answer."""

    class Mute:
        def summarise(self, evidence: Evidence) -> Wish:
            return Wish("Answer well.", "mute")

    (draft,) = built([make_evidence()], replace(context, summariser=Mute()))
    assert "Celsius" not in draft.preference.chosen


def test_an_existing_system_prompt_stays_in_front() -> None:
    guided = wildfeedback.guide((Message(Role.SYSTEM, "Be kind."), Message(Role.USER, "q")), Wish("Be brief.", "r"))
    assert guided[0] == Message(Role.SYSTEM, "Be kind.\nBe brief.")
    assert guided[1:] == (Message(Role.USER, "q"),)


@pytest.mark.parametrize(
    ("signal", "kind", "cause"),
    [
        ({"polarity": Polarity.SAT}, None, "not_dissatisfied"),
        ({"polarity": Polarity.NONE}, None, "not_dissatisfied"),
        ({"confidence": 0.3}, None, "low_confidence"),
        ({}, FollowUp("   "), "no_wish"),
    ],
)
def test_what_makes_no_pair_is_dropped_with_its_cause(
    make_evidence: Make, context: Context, signal: dict[str, Any], kind: Any, cause: str
) -> None:
    assert built([make_evidence(1, kind, **signal)], context) == [Dropped("f1", cause)]


def test_doubt_of_the_signal_becomes_the_flip_probability(make_evidence: Make, context: Context) -> None:
    drafts = built([make_evidence(1, confidence=0.95), make_evidence(2, confidence=0.7)], context)
    assert [round(d.preference.flip_probability, 2) for d in drafts] == [0.05, 0.3]


def test_provenance_walks_back_to_every_event(make_evidence: Make, context: Context) -> None:
    """U07: from a pair to what made it."""
    (draft,) = built([make_evidence(4)], context)
    made = draft.preference.provenance
    assert made.event_ids == ("e4", "f4", "s4")
    assert (made.round, made.judge, made.version) == (3, "sat@1", "assist-base")


def test_the_same_evidence_in_another_order_makes_the_same_pairs(make_evidence: Make, context: Context) -> None:
    some = [make_evidence(i) for i in range(5)]
    one, other = built(some, context), built(some[::-1], context)
    assert sorted(d.preference.id for d in one) == sorted(d.preference.id for d in other)
    assert {d.preference.id: d.preference.chosen for d in one} == {d.preference.id: d.preference.chosen for d in other}


SERVED = "It is 68 degrees Fahrenheit."
WISHED = "It is 20 degrees Celsius today."
BESIDE = "It is quite warm out there."
MADE_UP = "It is 97 degrees Celsius today."
#: text → log p without the wish, log p under it; nats. Only WISHED fits the wish, BESIDE is likelier all the same.
USUAL = {SERVED: (-3.0, -6.0), WISHED: (-9.0, -4.0), BESIDE: (-2.5, -2.0)}


class Guided:
    """Knows what each text is worth with a wish in the system prompt and without; every text has six tokens."""

    def __init__(self, worth: Mapping[str, tuple[float, float]]) -> None:
        self._worth = worth

    def _log_prob(self, messages: Sequence[Message], text: str) -> float:
        return self._worth[text][messages[0].role is Role.SYSTEM]

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        return [Sampled(text, self._log_prob(messages, text), 6) for text in self._worth if text != SERVED][:n]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        return [Likelihood(self._log_prob(messages, text), 6) for text in continuations]


class Astray:
    """A reward that knows nothing of this world: it likes what was not asked for."""

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> list[float]:
        return [float(r == BESIDE) for r in responses]


def guided(make_evidence: Make, context: Context, worth: Mapping[str, tuple[float, float]], **params: Any) -> Any:
    here = replace(context, sampler=Guided(worth), scorer=Astray())
    (made,) = built([make_evidence()], here, candidates=3, **params)
    return made


def test_guidance_takes_the_answer_that_the_wish_makes_likelier(make_evidence: Make, context: Context) -> None:
    draft = guided(make_evidence, context, USUAL, choose="guidance")
    assert (draft.preference.chosen, draft.preference.rejected) == (WISHED, SERVED)
    scores = [candidate.score for candidate in draft.preference.candidates]
    assert scores == [pytest.approx(5.0), pytest.approx(-3.0)], "log p(y | x, wish) - log p(y | x)"
    assert draft.preference.margin == pytest.approx(8.0)
    assert [found.log_prob for found in draft.likelihoods] == [-9.0, -3.0], "the guards' floor is about the unguided"


def test_a_reward_that_knows_nothing_of_the_wish_takes_another_answer(make_evidence: Make, context: Context) -> None:
    """Control: the same answers, chosen by a reward, or by nobody where there is none."""
    assert guided(make_evidence, context, USUAL, choose="reward").preference.chosen == BESIDE
    worth = {SERVED: USUAL[SERVED], BESIDE: USUAL[BESIDE], WISHED: USUAL[WISHED]}
    (first,) = built([make_evidence()], replace(context, sampler=Guided(worth), scorer=None), candidates=3)
    assert (first.preference.chosen, first.preference.margin) == (BESIDE, 0.0)


def test_a_disliked_answer_that_fits_the_wish_as_well_makes_no_pair(make_evidence: Make, context: Context) -> None:
    """Somebody who complains about something else than what the wish names."""
    fits = USUAL | {SERVED: (-6.0, -1.0)}
    assert guided(make_evidence, context, fits, choose="guidance") == Dropped("f1", "fits_the_wish_no_better")
    assert isinstance(guided(make_evidence, context, fits, choose="reward"), Draft), "control: a reward does not ask"


@pytest.mark.parametrize(("min_gain", "kept"), [(7.9, True), (8.0, False)])
def test_the_chosen_answer_must_gain_more_than_the_least(
    make_evidence: Make, context: Context, min_gain: float, kept: bool
) -> None:
    made = guided(make_evidence, context, USUAL, choose="guidance", min_gain=min_gain)
    assert isinstance(made, Draft) is kept


def test_an_answer_with_a_number_that_is_unlikely_even_under_the_wish_is_not_chosen(
    make_evidence: Make, context: Context
) -> None:
    """It fits the wish best, and is wrong: only its likelihood under the wish gives it away."""
    tempting = USUAL | {MADE_UP: (-21.0, -9.0)}
    without = guided(make_evidence, context, tempting, choose="guidance")
    assert without.preference.chosen == MADE_UP, "control: without the floor the wrong one is taken"
    floored = guided(make_evidence, context, tempting, choose="guidance", min_support=-1.0)
    assert floored.preference.chosen == WISHED


def test_where_no_guided_answer_is_supported_the_evidence_is_dropped_and_says_why(
    make_evidence: Make, context: Context
) -> None:
    only = {SERVED: USUAL[SERVED], MADE_UP: (-21.0, -9.0)}
    made = guided(make_evidence, context, only, choose="guidance", min_support=-1.0)
    assert made == Dropped("f1", "unsupported_under_the_wish")
    assert isinstance(guided(make_evidence, context, only, choose="guidance", min_support=-1.5), Draft)


def test_another_way_to_choose_or_to_regenerate_is_refused_by_name() -> None:
    with pytest.raises(BadSettings, match="reward, guidance or first"):
        wildfeedback.Params(choose="coin")
    with pytest.raises(BadSettings, match="wish, revision or nothing"):
        wildfeedback.Params(regenerate="again")
