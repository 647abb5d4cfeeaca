"""The topics: one place for their names, what lies on them and how they are kept.

The port, coordinates and everything stored speak of `feedback`, and of `feedback@acme` where the tenant acme has topics
of its own; only a broker sees `<prefix>.feedback.v1` and `<prefix>.tenant.acme.feedback.v1`. Whose a topic is follows
from its name alone, so no two processes can take it for another tenant's. Own topics that were deleted and made anew
are `feedback@acme.g2` here, under the same name on the brokers: what lay on the first ones keeps its places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from rejoinder.core import arms, types


@dataclass(frozen=True)
class Topic:
    """value: the dataclass of its records. compacted: the latest record of a key is kept.

    tenant: whose own it is, "" for one that tenants share. closed: nothing new is written to it. partitions,
    retention_s: its own, None as the settings of the log say.
    """

    name: str
    value: type
    compacted: bool = False
    tenant: str = ""
    closed: bool = False
    partitions: int | None = None
    retention_s: float | None = None


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("interactions", types.Interaction),
        Topic("feedback", types.Feedback),
        Topic("signals", types.Signal),
        Topic("evidence", types.EvidenceReference, compacted=True),
        Topic("rounds", types.RoundEvent),
        Topic("arms", arms.ArmsTable, compacted=True),
        Topic("erasures", types.Erasure, compacted=True),
        Topic("deadletters", types.DeadLetter),
    )
}
#: What a tenant may have of its own: all that is about its users. `erasures` names nobody and is read before everything
#: else; `rounds` and `arms` are the deployment's.
OWNABLE = ("interactions", "feedback", "signals", "evidence", "deadletters")
_MARK = "@"
#: Between a tenant and the generation of its topics; `_PLAIN` lets it into no tenant's part.
_GENERATION = ".g"
_PLAIN = re.compile(r"[^A-Za-z0-9-]")
_OWN = re.compile(r"tenant\.([A-Za-z0-9_-]+)\.(?:" + "|".join(OWNABLE) + r")\.v1")


@dataclass(frozen=True)
class OwnTopics:
    """How a tenant's own topics are kept, None as the others. closed: its events go to the shared topics again; what
    lies on its own is still read, erased and put back from. generation: 1 more each time that they were deleted and
    made anew."""

    partitions: int | None = None
    retention_s: float | None = None
    closed: bool = False
    generation: int = 1


def full_name(prefix: str, name: str) -> str:
    """The topic's name on a broker: `<prefix>.<name>.v1`, of a tenant's own `<prefix>.tenant.<tenant>.<name>.v1`."""
    kind, _, label = first_of(name).partition(_MARK)
    return f"{prefix}.tenant.{label}.{kind}.v1" if label else f"{prefix}.{kind}.v1"


def kind_of(name: str) -> str:
    """What lies on a topic, whosever it is: the name of the shared one."""
    return name.partition(_MARK)[0]


def first_of(name: str) -> str:
    """What a topic was called in its first generation."""
    return name.partition(_GENERATION)[0]


def generation_of(name: str) -> int:
    return int(name.partition(_GENERATION)[2] or 1)


@lru_cache(maxsize=4096)
def owner_of(name: str) -> str:
    """The tenant whose own a topic is, "" for a shared one."""
    label = first_of(name).partition(_MARK)[2]
    return re.sub(rb"_([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), label.encode()).decode(
        errors="replace"
    )


def own_name(kind: str, tenant: str, generation: int = 1) -> str:
    """A tenant's own topic. What brokers take in no name is written as `_` and the two digits of each byte."""
    first = f"{kind}{_MARK}{_PLAIN.sub(lambda found: ''.join(f'_{b:02x}' for b in found[0].encode()), tenant)}"
    return first if generation == 1 else f"{first}{_GENERATION}{generation}"


def with_own(tenants: Mapping[str, OwnTopics]) -> Mapping[str, Topic]:
    """All topics where some tenants have their own."""
    own = {}
    for tenant, how in tenants.items():
        for kind in OWNABLE:
            name = own_name(kind, tenant, how.generation)
            own[name] = replace(
                TOPICS[kind],
                name=name,
                tenant=tenant,
                closed=how.closed,
                partitions=how.partitions,
                retention_s=how.retention_s,
            )
    return {**TOPICS, **own}


#: (kind, tenant) → the topic that its records go to.
Routes = Mapping[tuple[str, str], str]


def routes_of(topics: Mapping[str, Topic]) -> Routes:
    """Where records of tenants with topics of their own go."""
    return {(kind_of(name), topic.tenant): name for name, topic in topics.items() if topic.tenant and not topic.closed}


def of_kinds(topics: Iterable[str], kinds: Iterable[str]) -> tuple[str, ...]:
    """The topics of some kinds, of each the shared one first."""
    names = sorted(topics)
    return tuple(name for kind in kinds for name in names if kind_of(name) == kind)


def owners_among(prefix: str, names: Iterable[str]) -> frozenset[str]:
    """The tenants whose own topics are among these names of a broker."""
    own = (_OWN.fullmatch(name.removeprefix(f"{prefix}.")) for name in names if name.startswith(f"{prefix}."))
    return frozenset(owner_of(f"{_MARK}{found[1]}") for found in own if found)
