from __future__ import annotations

import random

import pytest
from rejoinder.clients import Connection
from rejoinder.clients.errors import UNSENT
from rejoinder.clients.retry import Retries
from rejoinder.core import errors
from rejoinder.core.errors import RejoinderError

CONNECTION = Connection("x", tries=5, backoff_s=0.1, max_backoff_s=0.5)


class Highest(random.Random):
    """Draws the top of every range."""

    def uniform(self, a: float, b: float) -> float:
        return b


def retries(idempotent: bool = True, deadline: float = 1000.0, rng: random.Random | None = None) -> Retries:
    return Retries(CONNECTION, idempotent, deadline, rng or Highest())


def test_pauses_double_up_to_their_bound_and_end_with_the_tries() -> None:
    plan = retries()
    assert [plan.pause(errors.Unavailable("x"), 0.0) for _ in range(5)] == [0.2, 0.4, 0.5, 0.5, None]


def test_the_servers_delay_is_the_least_pause() -> None:
    assert retries().pause(errors.QueueFull("x", retry_after_s=3.0), 0.0) == pytest.approx(3.2)


def test_a_pause_is_spread_so_that_callers_do_not_come_back_together() -> None:
    rng = random.Random(1)
    pauses = [retries(rng=rng).pause(errors.Unavailable("x"), 0.0) for _ in range(200)]
    assert min(pauses) < 0.02 < 0.18 < max(pauses) <= 0.2


def test_a_try_that_would_begin_after_the_deadline_is_not_waited_for() -> None:
    assert retries(deadline=10.0).pause(errors.QueueFull("x", retry_after_s=3.0), 7.0) is None


def unsent() -> RejoinderError:
    error = errors.Unavailable("no connection")
    error.metadata = dict(UNSENT)
    return error


@pytest.mark.parametrize(
    ("error", "idempotent", "repeats"),
    [
        (errors.Unavailable("lost"), True, True),
        (errors.LogUnavailable("x"), True, True),
        (errors.Draining("x"), True, True),
        (errors.QueueFull("x"), True, True),
        (errors.DiskFull("x"), True, True),
        # A connection lost in the middle may have executed the call; a full queue has not.
        (errors.Unavailable("lost"), False, False),
        (unsent(), False, True),
        (errors.LogUnavailable("x"), False, False),
        (errors.Draining("x"), False, True),
        (errors.Loading("x"), False, True),
        (errors.QueueFull("x"), False, True),
        (errors.ResourceExhausted("a proxy's"), False, False),
        # A quota that says when: nothing was taken, and then it will be.
        (errors.Quota("x", retry_after_s=0.1), False, True),
        # Repeating heals none of these.
        (errors.Quota("x"), True, False),
        (errors.EmptyField("x"), True, False),
        (errors.NotFound("x"), True, False),
        (errors.LogReplaced("x"), True, False),
        (errors.Fenced("x"), True, False),
        (errors.DeadlineExceeded("x"), True, False),
        (errors.Unauthenticated("x"), True, False),
        (errors.DataLoss("x"), True, False),
        (RejoinderError("x"), True, False),
    ],
)
def test_only_what_repeating_can_heal_is_repeated(error: RejoinderError, idempotent: bool, repeats: bool) -> None:
    assert (retries(idempotent).pause(error, 0.0) is not None) == repeats
