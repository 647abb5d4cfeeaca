"""conditions: a time moves only when a status does."""

from __future__ import annotations

from rejoinder_operator.conditions import Say, merged, moment, stamp

NOW = 1_700_000_000.0


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    first = merged((), [Say("Ready", True, "Waiting")], 1, NOW)
    same = merged(first, [Say("Ready", True, "RoundRunning")], 2, NOW + 60)
    other = merged(same, [Say("Ready", False, "Fenced")], 2, NOW + 120)
    assert [each[0]["lastTransitionTime"] for each in (first, same, other)] == [
        stamp(NOW),
        stamp(NOW),
        stamp(NOW + 120),
    ]
    assert (same[0]["reason"], same[0]["observedGeneration"]) == ("RoundRunning", 2)


def test_what_is_not_spoken_of_stays_and_the_order_is_the_same() -> None:
    first = merged((), [Say("Ready", True, "A"), Say("Paused", None, "B")], 1, NOW)
    assert [each["type"] for each in first] == ["Paused", "Ready"]
    assert merged(first, [Say("Ready", True, "A")], 1, NOW + 5) == first


def test_a_moment_comes_back() -> None:
    assert moment(stamp(NOW)) == NOW
    assert moment("") == 0.0
