"""All policy replicas: what they serve, whom they have drawn, what they have scored unseen; and loading beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from rejoinder.clients.policy import Arms, Likelihoods, Shadowed
from rejoinder.core.arms import Version
from rejoinder.core.errors import RejoinderError
from rejoinder.core.shadow import Order
from rejoinder.core.types import ArmKind, Message, Role
from rejoinder.rollout.counter import Drawn
from rejoinder.rollout.shadow import Count, Scored
from rejoinder.rollout.state import Replica

#: Asking how likely anything is makes a replica load the version it is asked of; these words are nobody's.
_CONTEXT, _CONTINUATION = (Message(Role.USER, "."),), (".",)


class Client(Protocol):
    """What is asked of one replica: `clients.policy.PolicyClient`."""

    def arms(self, policy: str = "") -> Arms: ...

    def likelihood(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        policy: str = "",
        version: str = "",
        deadline_s: float | None = None,
    ) -> Likelihoods: ...

    def shadow(self, order: Order, policy: str = "") -> Shadowed: ...


class Replicas:
    """owns: what was said last about each, so that a cause is told once. told: hears (replica, version, reason).

    load_s: how long one load may take.
    """

    def __init__(
        self, clients: Mapping[str, Client], policy: str, told: Callable[[str, str, str], None], load_s: float = 30.0
    ) -> None:
        self._clients = clients
        self._policy = policy
        self._told = told
        self._load_s = load_s
        self._said: dict[tuple[str, str], str] = {}

    def look(self) -> tuple[Replica, ...]:
        """What each serves and has drawn; one that does not answer serves nothing and says nothing new."""
        looks = ((name, self._asked(name, client)) for name, client in self._clients.items())
        return tuple(Replica(name, _ready(arms), _drawn(arms), arms.shadows) for name, arms in looks)

    def load(self, version: Version) -> None:
        """Asks those that do not serve a version to load it; whether they have shows at the next look."""
        for name, client in self._clients.items():
            if (version.version, version.digest) in _ready(self._asked(name, client)):
                continue
            try:
                client.likelihood(_CONTEXT, _CONTINUATION, self._policy, version.version, self._load_s)
            except RejoinderError as error:
                self._say(name, version.version, error.reason)
            else:
                self._said.pop((name, version.version), None)

    def shadow(self, order: Order) -> tuple[Scored, ...]:
        """Tells each what to answer again, and what each has scored; one that does not answer lapses by itself."""
        found = []
        for name, client in self._clients.items():
            try:
                found.append(_scored(client.shadow(order, self._policy)))
            except RejoinderError as error:
                self._say(name, "shadow", error.reason)
            else:
                self._said.pop((name, "shadow"), None)
        return tuple(found)

    def _asked(self, name: str, client: Client) -> Arms:
        try:
            arms = client.arms(self._policy)
        except RejoinderError as error:
            self._say(name, "", error.reason)
            return Arms()
        self._said.pop((name, ""), None)
        return arms

    def _say(self, name: str, version: str, reason: str) -> None:
        if self._said.get((name, version)) != reason:
            self._said[name, version] = reason
            self._told(name, version, reason)


def _ready(arms: Arms) -> tuple[tuple[str, str], ...]:
    return tuple((served.version, served.digest) for served in arms.versions if served.ready)


def _drawn(arms: Arms) -> Drawn:
    counts: dict[float, tuple[int, int]] = {}
    for count in arms.assignments:
        units, canary = counts.get(count.weight, (0, 0))
        shown = count.units if count.arm is ArmKind.CANARY else 0
        counts[count.weight] = (units + count.units, canary + shown)
    return Drawn(arms.epoch, arms.salt, tuple((weight, *both) for weight, both in counts.items()))


def _scored(told: Shadowed) -> Scored:
    return Scored(
        told.epoch,
        told.salt,
        told.pairs,
        tuple(Count(each.veto, each.pairs, each.shown, each.candidate, each.both) for each in told.vetoes),
        sum(each.count for each in told.dropped),
        told.shown_tokens,
        told.candidate_tokens,
    )
