"""rounds/guided: only evaluation users' dissatisfied turns, answered by both versions without the wish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.types import Feedback, FollowUp, Interaction, Message, Polarity, Rating, Role, Sampling, Signal
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.guided import MOST, dissatisfied, guided
from rejoinder.rounds.pairs.context import Likelihood, Sampled
from rejoinder.rounds.recipe import Gate

SALTS, SHARE, WISH = Salts(), 0.05, "Bullets, not a paragraph."


def turn(number: int, said: str = WISH, polarity: Polarity = Polarity.DSAT) -> Evidence:
    asked = (Message(Role.USER, f"Question {number}?"),)
    about = Interaction("t", f"e{number}", f"i{number}", f"a{number}", messages=asked, response="prose.")
    about = replace(about, user_id=f"u{number}", conversation_id=f"c{number}")
    feedback = Feedback("t", f"f{number:04d}", kind=FollowUp(said))
    return Evidence(f"f{number:04d}", "t", feedback, about, Signal("t", f"s{number}", polarity=polarity))


class Lists:
    """The version "new" writes lists, every other one prose. owns: what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[Message, ...], Sampling, str]] = []

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        self.asked.append((tuple(messages), sampling, version))
        return [Sampled("- one\n- two" if version == "new" else "All in one sentence.", -1.0, 5)]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        raise AssertionError("nothing asks for it")


def side(piece: Evidence) -> str:
    return population(unit_id("t", piece.interaction.user_id, ""), SALTS, SHARE)


def test_only_evaluation_users_who_were_read_as_dissatisfied_are_asked_about() -> None:
    """Whoever is trained on or gates a version says nothing about it here."""
    everybody = [turn(i) for i in range(400)]
    found = dissatisfied(everybody[::-1], SALTS, SHARE)
    assert found == [piece for piece in everybody if side(piece) == "evaluation"]
    assert 30 < len(found) < 90
    pleased = [turn(i, polarity=Polarity.SAT) for i in range(400)]
    unread = [replace(piece, signal=None) for piece in everybody]
    rated = [replace(piece, feedback=replace(piece.feedback, kind=Rating(0.0))) for piece in everybody]
    unknown = [replace(p, interaction=replace(p.interaction, user_id="", conversation_id="")) for p in everybody]
    for others in (pleased, unread, rated, unknown):
        assert dissatisfied(others, SALTS, SHARE) == []


def test_both_versions_answer_alike_asked_and_neither_is_shown_the_wish() -> None:
    sampler, turns = Lists(), [turn(0), turn(1), turn(2, "Hm.")]
    found = guided(turns, ("old", "new"), Gate(temperature=0.5, max_tokens=9), sampler, 7)
    assert (found["said"], found["n"], found["users"]) == (3, 2, 2)
    assert (found["checkable"], found["judged"], found["unmeasured"]) == pytest.approx((2 / 3, 0.0, 1 / 3))
    assert (found["before"]["value"], found["after"]["value"], found["gain"]["value"]) == (0.0, 1.0, 1.0)
    by_version = {v: sorted(((m, s) for m, s, w in sampler.asked if w == v), key=str) for v in ("old", "new")}
    assert by_version["old"] == by_version["new"]
    assert {(s.temperature, s.max_tokens) for _, s in by_version["new"]} == {(0.5, 9)}
    assert all(WISH not in message.content for messages, *_ in sampler.asked for message in messages)


def test_where_nobody_answers_the_shares_stand_alone() -> None:
    found = guided([turn(0), turn(1, "Hm.")], ("", "new"), Gate(), None, 7)
    assert (found["said"], found["checkable"], found["n"], found["gain"]) == (2, 0.5, 0, None)


def test_no_more_prompts_are_answered_than_the_bound() -> None:
    sampler = Lists()
    assert guided([turn(i) for i in range(MOST + 5)], ("", "new"), Gate(), sampler, 7)["n"] == MOST
    assert len(sampler.asked) == 2 * MOST
