"""Drawing arms for a server that knows none of them: which version, and which of its models that is."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rejoinder.core.arms import Version
from rejoinder.core.clock import Clock
from rejoinder.core.errors import NotFound
from rejoinder.core.types import Interaction, Served
from rejoinder.gateway.meter import Meter
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.drawing import draw, stable_instead
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.spool import Spool


@dataclass(frozen=True)
class Listed:
    """What the server behind us says that it has. models: names that it can be asked for. bases: names of its base
    → where its weights lie; a base has as many names as the server was given. versions: adapters of ours."""

    models: frozenset[str]
    bases: Mapping[str, str] = field(default_factory=dict)
    versions: frozenset[str] = frozenset()


class Known:
    """Which versions the server behind us can answer from. owns: its models as last listed, the versions that arms
    name, and the models of all that they ever named. Safe from any thread.

    models: version → its model there, where that has another name.
    """

    def __init__(self, models: Mapping[str, str]) -> None:
        self._models = models
        self._guard = threading.Lock()
        self._listed = Listed(frozenset())
        self._wanted: dict[str, Version] = {}
        self._ever: set[str] = set()

    def model_of(self, version: str) -> str:
        return self._models.get(version, version)

    def listed(self, found: Listed) -> None:
        with self._guard:
            self._listed = found

    def lost(self, model: str) -> None:
        """An answer told that the model is not there, whatever the last list said."""
        with self._guard:
            self._listed = replace(self._listed, models=self._listed.models - {model})

    def same(self, one: str, other: str) -> bool:
        """Whether both names are of one model: a base says the first of its names, whichever it was asked by."""
        with self._guard:
            bases = self._listed.bases
            return one == other or (one in bases and other in bases and bases[one] == bases[other])

    @property
    def wanted(self) -> list[Version]:
        """Every version that arms name."""
        with self._guard:
            return list(self._wanted.values())

    @property
    def models(self) -> frozenset[str]:
        """Every model that the server has."""
        with self._guard:
            return self._listed.models

    def load(self, wanted: Version) -> None:
        """Raises NotFound until the server lists the version's model."""
        with self._guard:
            self._wanted[wanted.version] = wanted
            self._ever.add(self.model_of(wanted.version))
            there = self.model_of(wanted.version) in self._listed.models
        if not there:
            raise NotFound("the server behind the gateway has not loaded the version", version=wanted.version)

    def pin(self, wanted: Sequence[Version]) -> None:
        with self._guard:
            self._wanted = {version.version: version for version in wanted}
            self._ever |= {self.model_of(name) for name in self._wanted}

    @property
    def named(self) -> frozenset[str]:
        """Models that are versions of the policy, also those that arms name no more: a server keeps them a while."""
        with self._guard:
            return self._listed.versions | self._ever

    @property
    def all(self) -> list[Version]:
        """Every version that can be served now."""
        with self._guard:
            return [each for each in self._wanted.values() if self.model_of(each.version) in self._listed.models]

    @property
    def loaded(self) -> frozenset[str]:
        """Their digests."""
        return frozenset(version.digest for version in self.all)


class Drawing:
    """owns: nothing; view, counts and spool are the process's."""

    def __init__(
        self, view: ArmsView, known: Known, counter: AssignmentCounter, record: Spool, meter: Meter, clock: Clock
    ) -> None:
        self._view = view
        self._known = known
        self._counter = counter
        self._record = record
        self._meter = meter
        self._clock = clock

    def draw(self, asked: Interaction) -> Served:
        """Who answers; counted before anything can become of the answer. asked: with its interaction id."""
        served = draw(
            self._view,
            self._counter,
            asked,
            now=self._clock.now(),
            loaded=self._known.loaded,
            spool_has_room=not self._record.full,
            drew=self._meter.drew,
        )
        self._meter.assigned(served)
        return served

    def stable_instead(self, served: Served) -> Served:
        """What answers where the drawn version turned out not to be there."""
        self._meter.stable_instead()
        return stable_instead(served, self._view.table)

    def model_of(self, served: Served) -> str:
        return self._known.model_of(served.version)

    def is_stable(self, model: str) -> bool:
        """Whether the server's model of this name is the stable version."""
        return self._known.same(model, self._known.model_of(self._view.table.stable.version))
