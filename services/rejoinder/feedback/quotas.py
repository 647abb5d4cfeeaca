"""How much a tenant, a caller and a user may send: token buckets of this process, a bounded number of them, and its
share where there are several.

A caller who sends again meets one of two answers. Where nothing of a request could be taken it fails as a whole
(QUOTA, with the delay to wait), and the same request comes again later. Where some of it was taken, the rest is
answered one by one (REJECTED, QUOTA), so that one tenant or one user over its limit holds up nobody else's events in
the same request. Ids make either safe: what comes again counts once, and what was refused was not recorded.

What costs is what the log takes. An id that was let in lately is let in again, whatever the buckets say: its first try
may have been recorded and its answer lost. `settle` then gives back what the log did not take (a second copy, a log
that was away) and charges what was let in free and is a record of its own after all.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rejoinder.core import codec
from rejoinder.core.buckets import Buckets
from rejoinder.core.errors import BadSettings, Quota
from rejoinder.core.types import Feedback, Interaction
from rejoinder.feedback.settings import QuotaTheme, RateTheme
from rejoinder.runtime.callers.auth import read_principals

Event = Interaction | Feedback


class _Rate:
    """Events and bytes of one kind of name, the share of one of so many processes. owns: their buckets."""

    def __init__(self, theme: RateTheme, most: int, processes: int) -> None:
        limits = (theme.events_per_s, theme.bytes_per_s)
        self._buckets = [None if limit is None else Buckets(limit / processes, theme.burst_s, most) for limit in limits]
        self.limits = theme.limits
        self.weighs = theme.bytes_per_s is not None

    def wait_s(self, name: str, now: float, begun: float = 0.0) -> float:
        """begun: events that are about to be taken."""
        waits = [
            buckets.wait_s(name, now, begun if unit == 0 else 0.0)
            for unit, buckets in enumerate(self._buckets)
            if buckets is not None
        ]
        return max(waits, default=0.0)

    def take(self, name: str, events: int, size: int, now: float) -> None:
        for buckets, tokens in zip(self._buckets, (events, size), strict=True):
            if buckets is not None:
                buckets.take(name, tokens, now)


class _LetIn:
    """The ids that were let in lately, by a hash that is another in each process: one that meets another's lets its
    event in free and is charged by `settle`. owns: them, and of each whether a record of it was paid for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._paid: OrderedDict[int, bool] = OrderedDict()

    def __contains__(self, name: int) -> bool:
        return name in self._paid

    def note(self, name: int, paid: bool) -> None:
        self._paid[name] = paid
        self._paid.move_to_end(name)
        if len(self._paid) > self._most:
            self._paid.popitem(last=False)

    def recorded_again(self, name: int) -> None:
        """Of an id that was let in free. The first time its first try had failed. A second time the log remembers less
        far back than we do: forgotten here too, or an id that comes round and round would be written for ever."""
        if self._paid.pop(name, True) is False:
            self.note(name, True)


@dataclass(frozen=True)
class Admitted:
    """What is let in. refused: for each event "" where it is, else the limit it met: tenant, principal or user.
    charged: for each, whether it was paid for. names: the hashes of their ids."""

    events: Sequence[Event]
    principal: str
    names: Sequence[int]
    refused: Sequence[str]
    charged: Sequence[bool]


class Quotas:
    """owns: every bucket of this process, and the ids that it let in lately; lives on one event loop.

    Of users, only feedback is limited: they vote, the application answers. processes: how many share what is allowed.
    """

    def __init__(self, theme: QuotaTheme, processes: int = 1) -> None:
        self._tenants = {name: _Rate(rate, 1, processes) for name, rate in theme.tenants.items()}
        self._tenant = _Rate(theme.tenant, theme.most_names, processes)
        self._principal = _Rate(theme.principal, theme.most_names, processes)
        self._user = _Rate(theme.user, theme.most_names, processes)
        self._let_in = _LetIn(theme.recent_ids)

    def admit(self, events: Sequence[Event], principal: str, now: float) -> Admitted:
        """now: monotonic seconds. Raises Quota, with the shortest delay, where none of them is taken."""
        waits: dict[str, list[float]] = defaultdict(list)
        by_tenant = {tenant: self._refusal(tenant, principal, now, waits) for tenant in {e.tenant for e in events}}
        names = [hash((event.tenant, event.event_id)) for event in events]
        refused: list[str] = []
        charged: list[bool] = []
        begun: Counter[str] = Counter()
        for name, event in zip(names, events, strict=True):
            again = name in self._let_in
            limit = "" if again else by_tenant[event.tenant] or self._users_refusal(event, now, waits, begun)
            refused.append(limit)
            charged.append(not (again or limit))
            if charged[-1]:
                self._let_in.note(name, False)
        if all(refused):
            limit = min(waits, key=lambda name: min(waits[name]))
            raise Quota("over a quota", retry_after_s=min(waits[limit]), limit=limit)
        self._charge([e for e, paid in zip(events, charged, strict=True) if paid], principal, 1, now)
        return Admitted(events, principal, names, refused, charged)

    def settle(self, admitted: Admitted, recorded: Sequence[bool], now: float) -> None:
        """Once the log has answered. recorded: for each event, whether it took a record of it."""
        back, more = [], []
        rows = zip(admitted.events, admitted.names, admitted.charged, recorded, strict=True)
        for event, name, charged, taken in rows:
            if charged and taken:
                self._let_in.note(name, True)
            elif charged:
                back.append(event)
            elif taken:
                self._let_in.recorded_again(name)
                more.append(event)
        for events, sign in ((back, -1), (more, 1)):
            if events:
                self._charge(events, admitted.principal, sign, now)

    def _refusal(self, tenant: str, principal: str, now: float, waits: dict[str, list[float]]) -> str:
        for limit, rate, name in (
            ("principal", self._principal, principal),
            ("tenant", self._rate_of(tenant), tenant),
        ):
            if wait := rate.wait_s(name, now):
                waits[limit].append(wait)
                return limit
        return ""

    def _users_refusal(self, event: Event, now: float, waits: dict[str, list[float]], begun: Counter[str]) -> str:
        if not (who := self._voter(event)):
            return ""
        if wait := self._user.wait_s(who, now, begun[who]):
            waits["user"].append(wait)
            return "user"
        begun[who] += 1
        return ""

    def _voter(self, event: Event) -> str:
        """Whose rate an event is held to, "" where nobody's."""
        if not self._user.limits or not event.user_id or not isinstance(event, Feedback):
            return ""
        return f"{event.tenant}\x00{event.user_id}"

    def _charge(self, events: Sequence[Event], principal: str, sign: int, now: float) -> None:
        """sign: -1 gives back."""
        counts, sizes, users = Counter[str](), Counter[str](), Counter[str]()
        for event in events:
            counts[event.tenant] += sign
            if self._principal.weighs or self._rate_of(event.tenant).weighs:
                sizes[event.tenant] += sign * len(codec.encode(event))
            if who := self._voter(event):
                users[who] += sign
        self._principal.take(principal, counts.total(), sizes.total(), now)
        for tenant, count in counts.items():
            self._rate_of(tenant).take(tenant, count, sizes[tenant], now)
        for who, count in users.items():
            self._user.take(who, count, 0, now)

    def _rate_of(self, tenant: str) -> _Rate:
        return self._tenants.get(tenant, self._tenant)


def quotas_of(theme: QuotaTheme, principals: Path | None = None, processes: int = 1) -> Quotas | None:
    """What the settings ask for; None where nothing is limited.

    principals: the file of callers, where there is one. processes: that share what is allowed. Raises BadSettings for a
    tenant that none of the callers may name.
    """
    if principals is not None and theme.tenants:
        named = [caller.tenants for caller in read_principals(principals).values()]
        listed = [tenants for tenants in named if tenants is not None]
        known = sorted({tenant for tenants in listed for tenant in tenants})
        # Who may name every tenant is not listed.
        for tenant in theme.tenants if len(listed) == len(named) else ():
            if tenant not in known:
                raise BadSettings(f"quota.tenants: no caller may name {tenant!r}; known: {', '.join(known)}")
    rates = (theme.tenant, theme.principal, theme.user, *theme.tenants.values())
    return Quotas(theme, processes) if any(rate.limits for rate in rates) else None
