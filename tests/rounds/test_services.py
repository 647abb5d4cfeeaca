"""rounds/services: a round's windows from the ledger service are those of a ledger in process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rejoinder.clients import ledger as client
from rejoinder.clients.reward import Head, Scores
from rejoinder.core.errors import BadEncoding, WindowExpired
from rejoinder.core.types import Feedback, FollowUp, Interaction, Message, Polarity, Role, Signal
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.reading.windows import Evidence, Leaving
from rejoinder.rounds.services import RewardPort, WindowPort

CUT = Cut({"feedback": "f-1"}, {"feedback": {0: 7, 1: 9}})
ANSWER = Interaction("t", "e1", "i1", "a1", messages=(Message(Role.USER, "q"),), response="r")
SAID = Feedback("t", "f1", "i1", kind=FollowUp("shorter"))
READ = Signal("t", "s1", polarity=Polarity.DSAT)
PIECE = client.WindowEvidence("f1", "t", SAID, ANSWER, READ, None, ("f0",))


class FakeLedger:
    """A ledger service with one piece of evidence that expires. owns: what it was asked."""

    def __init__(self, *, expired: bool = False, piece: client.WindowEvidence = PIECE) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._expired = expired
        self._piece = piece

    def cut(self) -> str:
        return CUT.to_json()

    def window(self, *asked: Any) -> client.Window:
        self.asked.append(asked)
        if self._expired:
            raise WindowExpired("the ledger begins after the earlier cut")
        return client.Window("digest", 12.5, {"evidence": 1, "rolled_back": 2}, 3, (self._piece,))


class FakeReward:
    """A reward service with two heads. owns: which head was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def heads(self) -> list[Head]:
        return [Head("bt", "one", "scalar", True), Head("gate", "two", "scalar", False)]

    def score(self, messages: Any, responses: Any, head: str, deadline_s: float) -> Scores:
        self.asked.append(head)
        return Scores((1.0,) * len(responses), head, "")


def test_a_gates_head_is_asked_by_its_name_and_the_builders_by_none() -> None:
    service = FakeReward()
    port = RewardPort(service)  # type: ignore[arg-type]
    assert port.heads() == {"bt": "one", "gate": "two", "": "one"}
    assert port.score([], ["a", "b"]) == [1.0, 1.0]
    port.under("gate").score([], ["a"])
    assert service.asked == ["", "gate"]


def test_a_cut_comes_back_as_it_was() -> None:
    port = WindowPort(FakeLedger())  # type: ignore[arg-type]
    assert port.cut() == CUT


def test_a_window_names_loop_number_policy_cut_and_whose_evidence_stays_out() -> None:
    ledger = FakeLedger()
    leaving = Leaving("salt", 0.05, frozenset({"assist-r0003"}))
    WindowPort(ledger).window("loop", 4, "assist", CUT, leaving)  # type: ignore[arg-type]
    assert ledger.asked == [("loop", 4, "assist", CUT.to_json(), "salt", 0.05, ("assist-r0003",))]


def test_a_windows_head_and_evidence_are_what_a_ledger_in_process_gives() -> None:
    window = WindowPort(FakeLedger()).window("loop", 4, "assist", CUT)  # type: ignore[arg-type]
    assert window.evidence == [Evidence("f1", "t", SAID, ANSWER, READ, None, ("f0",))]
    head = window.manifest
    assert (head.loop, head.number, head.policy, head.cut, head.as_of) == ("loop", 4, "assist", CUT, 12.5)
    assert (head.digest, head.counts, head.redacted) == ("digest", {"evidence": 1, "rolled_back": 2}, 3)


def test_a_preview_asks_for_no_number_and_no_cut() -> None:
    """Number 0 records nothing: a dry run must leave no window behind."""
    ledger = FakeLedger()
    window = WindowPort(ledger).preview("loop", "assist")  # type: ignore[arg-type]
    assert ledger.asked == [("loop", 0, "assist", "", "", 0.0, ())]
    assert window.manifest.number == 0


def test_an_expired_window_is_the_rounds_own_error() -> None:
    """WINDOW_EXPIRED ends the round; nothing is made up for what is gone."""
    port = WindowPort(FakeLedger(expired=True))  # type: ignore[arg-type]
    with pytest.raises(WindowExpired):
        port.window("loop", 4, "assist", CUT)


@pytest.mark.parametrize("left_out", ["feedback", "interaction"])
def test_a_piece_without_its_feedback_or_its_answer_is_refused_where_it_comes_in(left_out: str) -> None:
    port = WindowPort(FakeLedger(piece=replace(PIECE, **{left_out: None})))
    with pytest.raises(BadEncoding, match="lacks"):
        port.window("p", 1, "p", CUT)
