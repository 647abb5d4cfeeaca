"""Who asks, for whom, by when, under which trace: what a servicer's method is given beside its request."""

from __future__ import annotations

from dataclasses import dataclass, field

from rejoinder.core.clock import Clock, SystemClock
from rejoinder.core.errors import ForeignTenant

#: The four roles. app: applications; internal: our own services; admin: people who decide; auditor: people who read.
ROLES = frozenset({"app", "internal", "admin", "auditor"})


@dataclass(frozen=True)
class Principal:
    """A caller as authenticated. tenants: those it may name, None = every one. issuer: of the token that names it, ""
    where our own list does."""

    name: str
    roles: frozenset[str]
    tenants: frozenset[str] | None = None
    issuer: str = ""

    def check_tenant(self, tenant: str) -> None:
        """Raises ForeignTenant unless this caller may speak for the tenant ("" is the tenant "default")."""
        if self.tenants is not None and (tenant or "default") not in self.tenants:
            raise ForeignTenant("the caller may not name this tenant")


#: Whoever is trusted unasked.
LOCAL = Principal("local", ROLES)


@dataclass(frozen=True)
class Call:
    """One call. deadline: a reading of `clock.monotonic()`, None = as long as the server allows."""

    method: str = ""
    caller: Principal = LOCAL
    deadline: float | None = None
    traceparent: str = ""
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def local(cls, clock: Clock | None = None, deadline_s: float | None = None) -> Call:
        """A call from this machine with every role: for tests and for rooms that share a process."""
        clock = clock or SystemClock()
        return cls(clock=clock, deadline=None if deadline_s is None else clock.monotonic() + deadline_s)

    @property
    def principal(self) -> str:
        return self.caller.name

    @property
    def roles(self) -> frozenset[str]:
        return self.caller.roles

    @property
    def tenants(self) -> frozenset[str] | None:
        return self.caller.tenants

    def time_remaining(self) -> float | None:
        """Seconds until the deadline, negative once it has passed; None without one."""
        return None if self.deadline is None else self.deadline - self.clock.monotonic()
