"""observe/events: turns become interactions and follow-ups; the same file twice makes the same ids."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from rejoinder.core.types import Choice, Comparison, Feedback, FollowUp, Interaction, Role
from rejoinder.observe.conversation import Conversation, Turn, chain
from rejoinder.observe.events import ImportAs, events_of
from rejoinder.observe.formats import hh

TALK = Conversation(
    "c1",
    chain(
        [
            Turn("", "", Role.SYSTEM, "Be short."),
            Turn("", "", Role.USER, "How warm?", at=10.0),
            Turn("", "", Role.ASSISTANT, "68 F", at=11.0, model="m1"),
            Turn("", "", Role.USER, "no, in Celsius", at=12.0),
            Turn("", "", Role.ASSISTANT, "20 C", at=13.0, model="m1"),
        ]
    ),
    user_id="u1",
)


def split(conversation: Conversation) -> tuple[list[Interaction], list[Feedback]]:
    events = list(events_of(conversation, ImportAs()))
    return [e for e in events if isinstance(e, Interaction)], [e for e in events if isinstance(e, Feedback)]


def test_each_answer_is_an_interaction_and_each_next_turn_its_follow_up() -> None:
    interactions, feedback = split(TALK)
    assert [(i.response, i.turn, len(i.messages)) for i in interactions] == [("68 F", 1, 2), ("20 C", 2, 4)]
    assert [f.kind for f in feedback] == [FollowUp("no, in Celsius")]
    assert feedback[0].interaction_id == interactions[0].interaction_id
    assert interactions[1].parent_interaction_id == interactions[0].interaction_id
    assert feedback[0].user_id == "u1"


def test_an_answer_that_nobody_followed_gets_no_feedback() -> None:
    """F08: absence is censored, never a label."""
    interactions, feedback = split(TALK)
    assert interactions[-1].interaction_id not in {f.interaction_id for f in feedback}


def test_the_same_conversation_twice_makes_the_same_ids() -> None:
    """U01: an import that is repeated records nothing twice."""
    assert list(events_of(TALK, ImportAs())) == list(events_of(TALK, ImportAs()))
    other = list(events_of(TALK, ImportAs(source="import:elsewhere")))
    assert not {e.event_id for e in other} & {e.event_id for e in events_of(TALK, ImportAs())}


def test_ranked_siblings_become_comparisons_of_neighbours() -> None:
    asked = chain([Turn("", "", Role.USER, "q")])
    answers = tuple(Turn(n, "0", Role.ASSISTANT, n, rank=r) for n, r in (("x", 1), ("y", 0), ("z", 1)))
    _, feedback = split(Conversation("c", (*asked, *answers)))
    made = [f.kind.choice for f in feedback if isinstance(f.kind, Comparison)]
    assert made == [Choice.THIS, Choice.TIE]


def test_an_answer_without_a_question_is_no_interaction() -> None:
    opened = Conversation("c", chain([Turn("", "", Role.ASSISTANT, "Welcome"), Turn("", "", Role.USER, "Hi")]))
    assert split(opened) == ([], [])


def test_the_real_excerpt_yields_a_follow_up_for_every_human_turn_after_an_answer() -> None:
    path = Path(__file__).parent.parent / "data" / "hh" / "excerpt.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    expected = sum(
        1
        for row in rows
        for before, turn in zip(row["messages"], row["messages"][1:], strict=False)
        if turn["role"] == "user" and before["role"] == "assistant"
    )
    made = [f for row in rows for c in hh.read(row) for f in split(c)[1] if isinstance(f.kind, FollowUp)]
    assert len(made) == expected > 240
