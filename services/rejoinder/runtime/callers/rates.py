"""How many calls a caller may make: a token bucket each, of this process alone.

A caller is its name and who vouches for it, so that no issuer's token empties the bucket of a name in the list. Whoever
is not known (an open server, a page without credentials) is an address.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

from rejoinder.core.buckets import Buckets
from rejoinder.core.clock import Clock
from rejoinder.core.errors import RateLimited
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.call import LOCAL, Principal
from rejoinder.runtime.settings import RateSettings


class Rates:
    """owns: the buckets. Lives on one event loop."""

    def __init__(self, settings: RateSettings, clock: Clock, metrics: Metrics) -> None:
        self._exempt = frozenset(settings.exempt_roles)
        self._clock = clock
        self._refused = metrics["rpc_limited_total"]
        self._principals = _buckets(settings.principal_per_s, settings)
        self._addresses = _buckets(settings.address_per_s, settings)

    @property
    def limits(self) -> bool:
        """Whether anybody is limited at all."""
        return self._principals is not None or self._addresses is not None

    def take(self, caller: Principal | None, peer: str) -> None:
        """Counts a call. caller: None where nobody said who it is. peer: its address, as gRPC or HTTP tells it. Raises
        RateLimited with the seconds to wait; a call that is refused costs nothing."""
        if caller is None or caller is LOCAL:
            # Nobody showed a role either: none exempts.
            if self._addresses is not None:
                self._count("address", self._addresses, host_of(peer))
        elif self._principals is not None and not caller.roles & self._exempt:
            self._count("principal", self._principals, f"{caller.issuer}\x00{caller.name}")

    def _count(self, by: str, buckets: Buckets, name: str) -> None:
        now = self._clock.monotonic()
        if wait := buckets.wait_s(name, now):
            self._refused.labels(by).inc()
            raise RateLimited("calls come faster than this caller may send them", retry_after_s=wait, limit=by)
        buckets.take(name, 1, now)


def _buckets(per_s: float | None, settings: RateSettings) -> Buckets | None:
    return None if per_s is None else Buckets(per_s, settings.burst_s, settings.most_names)


def host_of(peer: str) -> str:
    """The host of `1.2.3.4`, of gRPC's `ipv4:1.2.3.4:5` and `ipv6:[::1]:5`; of IPv6 the network of 64 bits, in which
    one host has as many addresses as it likes. What is no address (a socket's path) is itself."""
    kind, divided, rest = unquote(peer).partition(":")
    host = rest.rpartition(":")[0].strip("[]") if divided and kind in ("ipv4", "ipv6") else unquote(peer)
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
