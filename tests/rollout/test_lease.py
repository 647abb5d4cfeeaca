from dataclasses import replace

import pytest
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.rollout.lease import ArmsView, Receipt

STABLE, CANARY = Version("r41", "d41"), Version("r42", "d42")
START = ArmsTable(policy="assist", stable=STABLE)


def renewal(clock: ManualClock, generation: int = 1, term: int = 1, ttl: float = 30.0) -> ArmsTable:
    now = clock.now()
    lease = Lease(ttl, now, now + ttl)
    return replace(START, term=term, generation=generation, canary=CANARY, steps=(Step(0.2, now),), lease=lease)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def view(clock: ManualClock) -> ArmsView:
    view = ArmsView(START, clock)
    view.caught_up()
    return view


def test_a_renewal_after_catching_up_grants_the_canary(view, clock):
    assert view.grant().why == "no_canary"
    assert view.receive(renewal(clock), clock.now()) is Receipt.RENEWED
    assert view.grant().ok


def test_history_never_grants_a_canary(clock):
    view = ArmsView(START, clock)
    assert view.receive(renewal(clock), clock.now()) is Receipt.TAKEN
    assert view.grant().why == "catching_up"
    view.caught_up()
    assert view.grant().why == "no_renewal"
    clock.advance(10)
    assert view.receive(renewal(clock), clock.now()) is Receipt.RENEWED
    assert view.grant().ok


def test_the_same_record_again_is_no_renewal(view, clock):
    first = renewal(clock)
    view.receive(first, clock.now())
    clock.advance(29)
    assert view.receive(first, clock.now()) is Receipt.REPEATED
    clock.advance(1)
    assert view.grant().why == "lapsed"


def test_a_renewal_repeats_the_generation_with_a_later_lease(view, clock):
    view.receive(renewal(clock), clock.now())
    for _ in range(5):
        clock.advance(20)
        assert view.receive(renewal(clock), clock.now()) is Receipt.RENEWED
        assert view.grant().ok
    assert view.table.generation == 1


def test_the_canary_lapses_ttl_after_the_own_receipt_whatever_the_wall_clock_says(view, clock):
    view.receive(renewal(clock), clock.now())
    clock.advance(29.9)
    assert view.grant().ok
    clock.set_wall(clock.now() - 3600)
    clock.advance(0.1)
    assert view.grant().why == "lapsed"


def test_the_wall_clock_ends_the_lease_five_seconds_after_it_expires(view, clock):
    table = renewal(clock)
    view.receive(replace(table, lease=replace(table.lease, ttl_s=3600.0)), clock.now())
    clock.set_wall(table.lease.expires_at + 4.9)
    assert view.grant().ok
    clock.set_wall(table.lease.expires_at + 5.0)
    assert view.grant().why == "expired"


@pytest.mark.parametrize("skew", [5.1, -5.1, float("nan")])
def test_a_clock_that_differs_from_the_brokers_refuses_canaries_and_says_so(view, clock, skew):
    view.receive(renewal(clock), clock.now() - skew)
    assert view.grant().why == "clock_skew"
    clock.advance(10)
    view.receive(renewal(clock, generation=2), clock.now())
    assert view.grant().ok


def test_a_skew_of_five_seconds_is_borne(view, clock):
    view.receive(renewal(clock), clock.now() - 5.0)
    assert view.grant().ok
    assert view.skew_s == pytest.approx(5.0)


def test_a_lower_term_or_generation_is_refused_with_an_alarm_f11(view, clock):
    newest = renewal(clock, generation=7, term=2)
    view.receive(newest, clock.now())
    for stale in (renewal(clock, 6, 2), renewal(clock, 99, 1), replace(renewal(clock, 99, 9), policy="other")):
        assert view.receive(stale, clock.now()) is Receipt.REFUSED
    assert view.alarms == 3
    assert view.table == newest


def test_a_stale_leaders_record_left_by_compaction_is_refused_by_whoever_saw_the_newer_one(view, clock):
    view.receive(renewal(clock, generation=3, term=2), clock.now())
    paused_leader = renewal(clock, generation=2, term=1)
    assert view.receive(paused_leader, clock.now()) is Receipt.REFUSED
    assert view.table.term == 2


def test_a_table_without_the_canary_takes_it_away_at_once(view, clock):
    view.receive(renewal(clock), clock.now())
    view.receive(replace(START, term=1, generation=2, reason="abort"), clock.now())
    assert view.grant().why == "no_canary"


def test_after_the_last_renewal_every_replica_is_on_stable_within_ttl_and_five_seconds(clock):
    for drift in (-4.0, 0.0, 4.0):
        replica = ManualClock(clock.now() + drift)
        view = ArmsView(START, replica)
        view.caught_up()
        view.receive(renewal(clock), clock.now())
        assert view.grant().ok
        replica.advance(35.0)
        assert not view.grant().ok
