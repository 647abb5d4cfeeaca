"""console/sessions: who is signed in, for how long, and whose form it is."""

from __future__ import annotations

from rejoinder.console.sessions import Sessions, cookie_in
from rejoinder.core.clock import ManualClock


def sessions(clock: ManualClock, most: int = 10) -> Sessions:
    return Sessions(idle_s=60.0, life_s=100.0, most=most, clock=clock)


def test_a_session_ends_when_nobody_uses_it_and_at_the_end_of_its_life() -> None:
    clock = ManualClock()
    made = sessions(clock)
    idle, used = made.begin("token-a"), made.begin("token-b")
    clock.advance(50)
    assert made.token(used) == "token-b"
    clock.advance(20)
    assert (made.token(idle), made.token(used)) == (None, "token-b")
    clock.advance(40)
    assert made.token(used) is None, "whatever they do, they sign in again"


def test_sessions_are_bounded_and_the_longest_unused_goes_first() -> None:
    clock = ManualClock()
    made = sessions(clock, most=2)
    first, second = made.begin("a"), made.begin("b")
    assert made.token(first) == "a"
    third = made.begin("c")
    assert [made.token(name) for name in (first, second, third)] == ["a", None, "c"]


def test_a_form_is_of_one_session_alone() -> None:
    made = sessions(ManualClock())
    one, other = made.begin("a"), made.begin("a")
    assert made.is_form_token(one, made.form_token(one))
    assert not made.is_form_token(other, made.form_token(one))
    assert not made.is_form_token("", made.form_token(""))
    assert not made.is_form_token(one, "")
    assert not sessions(ManualClock()).is_form_token(one, made.form_token(one)), "another process has another key"


def test_a_header_that_is_no_cookie_is_none() -> None:
    assert cookie_in("a=1; b=2", "b") == "2"
    assert cookie_in("a=1", "b") == ""
    assert cookie_in(";;; \x00=,", "b") == ""
