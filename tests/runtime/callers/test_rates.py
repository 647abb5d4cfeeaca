"""runtime/rates: who is counted as whom, who is not counted, and what is told."""

from __future__ import annotations

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import RateLimited
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.call import LOCAL, Principal
from rejoinder.runtime.callers.rates import Rates, host_of
from rejoinder.runtime.settings import RateSettings

CHAT = Principal("chat", frozenset({"app"}))
OURS = Principal("policy", frozenset({"app", "internal"}))


def made(clock: ManualClock | None = None, metrics: Metrics | None = None, **settings: object) -> Rates:
    return Rates(RateSettings(burst_s=1.0, **settings), clock or ManualClock(), metrics or Metrics())


def passed(rates: Rates, caller: Principal | None, peer: str = "10.0.0.1", calls: int = 20) -> int:
    """How many of so many calls at once go through."""
    count = 0
    for _ in range(calls):
        try:
            rates.take(caller, peer)
            count += 1
        except RateLimited:
            break
    return count


def test_nobody_is_limited_unasked() -> None:
    rates = made()
    assert not rates.limits
    for caller in (CHAT, LOCAL, None):
        assert passed(rates, caller) == 20


def test_each_caller_has_its_own_bucket_wherever_it_calls_from() -> None:
    rates = made(principal_per_s=3)
    assert passed(rates, CHAT, "10.0.0.1", 2) + passed(rates, CHAT, "10.0.0.2") == 3
    assert passed(rates, Principal("batch", frozenset({"app"}))) == 3
    assert passed(rates, Principal("chat", frozenset({"app"}), issuer="https://issuer.example")) == 3, (
        "an issuer's token empties the bucket of nobody in the list"
    )
    assert passed(rates, None) == 20, "addresses have a setting of their own"


def test_a_refusal_says_how_long_to_wait_and_costs_nothing() -> None:
    clock, metrics = ManualClock(), Metrics()
    rates = made(clock, metrics, principal_per_s=2)
    assert passed(rates, CHAT) == 2
    waits = []
    for _ in range(5):
        with pytest.raises(RateLimited) as refused:
            rates.take(CHAT, "")
        waits.append(refused.value.retry_after_s)
    assert waits == [0.5] * 5
    assert refused.value.metadata == {"limit": "principal"}
    clock.advance(0.5)
    assert passed(rates, CHAT) == 1
    assert metrics.value("rpc_limited_total", by="principal") == 7


def test_roles_by_setting_are_not_limited_and_nobody_has_one_who_showed_none() -> None:
    rates = made(principal_per_s=1, address_per_s=2)
    assert passed(rates, OURS) == 20
    assert passed(rates, LOCAL) == 2, "whoever is trusted unasked has every role, and showed none"
    all_alike = made(principal_per_s=1, exempt_roles=())
    assert passed(all_alike, OURS) == 1
    assert passed(made(principal_per_s=1, exempt_roles=("app",)), CHAT) == 20


def test_callers_whom_nobody_knows_are_their_addresses() -> None:
    rates = made(address_per_s=2)
    assert passed(rates, None, "10.0.0.1") == 2
    assert passed(rates, LOCAL, "ipv4:10.0.0.1:5000") == 0, "another port is the same host"
    assert passed(rates, LOCAL, "10.0.0.2") == 2
    assert passed(rates, CHAT, "10.0.0.1") == 20


def test_of_very_many_addresses_so_many_are_remembered() -> None:
    rates = made(address_per_s=1, most_names=100)
    for number in range(5_000):
        rates.take(None, f"10.0.{number // 250}.{number % 250}")
    with pytest.raises(RateLimited):
        rates.take(None, "10.0.19.249")
    rates.take(None, "10.0.0.0")


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("ipv4:10.1.2.3:5000", "10.1.2.3"),
        ("ipv6:[::ffff:10.1.2.3]:5000", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("ipv6:[2001:db8:1:2:3::4]:5000", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:5000", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:/run/rejoinder.sock", "unix:/run/rejoinder.sock"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_a_peer_is_its_host(peer: str, host: str) -> None:
    assert host_of(peer) == host
