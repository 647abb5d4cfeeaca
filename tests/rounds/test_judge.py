"""rounds/judge: the head that chose the pairs never judges what was learnt from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from rejoinder.core.types import Message
from rejoinder.rounds.judge import judge


class FakeHeads:
    """A reward service with these heads; "" is the default one."""

    def __init__(self, head: str = "", **digests: str) -> None:
        self.head = head
        self._digests = digests

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> Sequence[float]:
        raise AssertionError("nobody is judged yet")

    def heads(self) -> Mapping[str, str]:
        return {"": self._digests["bt"], **self._digests}

    def under(self, head: str) -> FakeHeads:
        return FakeHeads(head, **self._digests)


def test_another_head_of_other_weights_judges() -> None:
    found, why = judge("gate", FakeHeads(bt="one", gate="two"))
    assert isinstance(found, FakeHeads)
    assert (found.head, why) == ("gate", "")


@pytest.mark.parametrize(
    ("head", "digests", "said"),
    [
        ("", {"bt": "one", "gate": "two"}, "names no head"),
        ("gate", {"bt": "one"}, "no head called gate"),
        ("bt", {"bt": "one", "gate": "two"}, "scored the pairs"),
        ("gate", {"bt": "one", "gate": "one"}, "scored the pairs"),
    ],
)
def test_whoever_scored_the_pairs_and_whoever_is_not_there_judges_nothing(
    head: str, digests: dict[str, str], said: str
) -> None:
    """The same weights under another name are the same judge."""
    found, why = judge(head, FakeHeads(**digests))
    assert found is None
    assert said in why


def test_without_a_reward_service_nobody_judges() -> None:
    assert judge("gate", None) == (None, "no reward service")
