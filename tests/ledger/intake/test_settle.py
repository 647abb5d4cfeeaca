"""ledger/settle: which record of an id is the event (U01)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

from rejoinder.ledger.intake.settle import settle


@dataclass(frozen=True)
class Copy:
    place: tuple[str, int, int]
    body_digest: str


def test_the_lowest_place_wins_in_every_order() -> None:
    copies = [Copy(("feedback", 0, 9), "b"), Copy(("feedback", 1, 2), "a"), Copy(("feedback", 0, 3), "a")]
    for order in permutations(copies):
        winner, others = settle(order)
        assert winner.place == ("feedback", 0, 3)
        assert {copy.place: counted for copy, counted in others} == {
            ("feedback", 0, 9): "conflict",
            ("feedback", 1, 2): "duplicate",
        }


def test_a_second_body_of_a_signal_is_a_duplicate_and_of_feedback_a_conflict() -> None:
    for topic, counted in (("signals", "duplicate"), ("feedback", "conflict")):
        _, others = settle([Copy((topic, 0, 0), "a"), Copy((topic, 0, 1), "b")])
        assert [how for _, how in others] == [counted]


def test_a_signal_under_the_id_of_a_feedback_is_a_conflict() -> None:
    winner, others = settle([Copy(("signals", 0, 0), "a"), Copy(("feedback", 3, 7), "b")])
    assert winner.place[0] == "feedback"
    assert [how for _, how in others] == ["conflict"]
