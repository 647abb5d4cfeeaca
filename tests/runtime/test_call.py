from __future__ import annotations

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import ForeignTenant
from rejoinder.runtime.call import ROLES, Call, Principal


def test_a_local_call_may_do_everything_for_everyone() -> None:
    call = Call.local()
    assert (call.principal, call.roles, call.tenants, call.time_remaining()) == ("local", ROLES, None, None)
    call.caller.check_tenant("any")


def test_time_remaining_follows_the_clock_below_zero() -> None:
    clock = ManualClock()
    call = Call.local(clock, deadline_s=2.0)
    clock.advance(0.5)
    assert call.time_remaining() == pytest.approx(1.5)
    clock.advance(2.0)
    assert call.time_remaining() == pytest.approx(-0.5)


def test_no_tenant_is_the_tenant_default() -> None:
    caller = Principal("a", frozenset(), frozenset({"default"}))
    caller.check_tenant("")
    caller.check_tenant("default")
    with pytest.raises(ForeignTenant) as raised:
        caller.check_tenant("acme-s3cret")
    assert "s3cret" not in raised.value.message
