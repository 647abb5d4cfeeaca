"""Following who is served what: the `arms` topic for speed and leases, the registry's pointer for the truth.

The two count apart: a table's generation rises with every change of a weight, a pointer's with every promotion. Stable
is always what the pointer says; the topic only tells it sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.codec import decode
from rejoinder.core.errors import RejoinderError
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.served import ServedPointer, current
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.logging import EventLog
from rejoinder.stream.port import Record
from rejoinder.stream.unread import Topic, unread

TOPIC = "arms"


class Versions(Protocol):
    """Which versions can be served here: loaded by this process, or known to the server that it forwards to."""

    def load(self, wanted: Version) -> None:
        """Raises a RejoinderError where it cannot be served."""

    def pin(self, wanted: Sequence[Version]) -> None:
        """What the arms name, which must stay."""


class Registry:
    """The pointer of one policy and the versions it names. owns: nothing."""

    def __init__(self, artefacts: Artefacts, policy: str) -> None:
        self._artefacts = artefacts
        self._policy = policy

    def pointer(self) -> ServedPointer:
        """Raises NotFound when the policy was never served."""
        return current(self._artefacts.store, self._policy)

    def base(self, pointer: ServedPointer) -> str:
        """Digest of the base that a pointer's version is, or adapts."""
        version = self._artefacts.version(self._policy, pointer.version)
        return version.digest if version.kind == "base" else version.base_digest

    def trained(self, version: str) -> str:
        """Digest of the artefact that training made for a version, "" for one that none made. Raises NotFound."""
        return str(self._artefacts.version(self._policy, version).facts.get("train", ""))

    def last_good(self, pointer: ServedPointer) -> Version | None:
        """What the pointer replaced: kept loaded, so that going back is as quick as any other change (F13)."""
        if not pointer.previous:
            return None
        return Version(pointer.previous, self._artefacts.version(self._policy, pointer.previous).digest)


def table_of(pointer: ServedPointer, holdout_share: float) -> ArmsTable:
    """The table that a pointer alone makes, older than any of the topic: stable for everybody, no canary."""
    return ArmsTable(
        policy=pointer.policy,
        stable=Version(pointer.version, pointer.digest),
        holdout_share=holdout_share,
        reason="registry",
    )


class ArmsFollower:
    """owns: its positions in the topic, the newest pointer and what that replaced. View and versions are shared."""

    def __init__(
        self,
        view: ArmsView,
        versions: Versions,
        registry: Registry,
        pointer: ServedPointer,
        topic: Topic | None,
        events: EventLog,
        poll_s: float,
        registry_poll_s: float,
    ) -> None:
        self._view = view
        self._versions = versions
        self._registry = registry
        self._pointer = pointer
        self._topic = topic
        self._events = events
        self._poll_s = poll_s
        self._registry_poll_s = registry_poll_s
        self._last_good: Version | None = None
        self._positions: dict[int, int] = {}
        self._said: dict[tuple[str, ...], str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Reads until told to stop. A log or registry that is away changes nothing: leases lapse by themselves."""
        waited = self._registry_poll_s
        while not stop.is_set():
            await asyncio.to_thread(self._guarded, "arms_not_read", self.read_topic)
            if waited >= self._registry_poll_s:
                await asyncio.to_thread(self._guarded, "pointer_not_read", self.read_registry)
                waited = 0.0
            try:
                await asyncio.wait_for(stop.wait(), self._poll_s)
            except TimeoutError:
                waited += self._poll_s

    def read_registry(self) -> None:
        """Takes over a pointer that is newer than the one known."""
        pointer = self._registry.pointer()
        stable = Version(pointer.version, pointer.digest)
        if pointer.generation > self._pointer.generation and self._prepared(stable):
            self._pointer = pointer
            # The view keeps the table of the topic, whose stable this is; its leases and weights stay as they are.
            self._view.table = replace(self._view.table, stable=stable)
            self._events.info("stable_changed", version=pointer.version, generation=pointer.generation)
        last_good = self._registry.last_good(self._pointer)
        self._last_good = last_good if last_good is not None and self._prepared(last_good) else None
        self._pin()

    def read_topic(self) -> None:
        """Takes every record that has come since. The first pass is history: it grants no lease."""
        if self._topic is None:
            return
        for records in unread(self._topic, TOPIC, self._positions):
            self._take(records)
        self._view.caught_up()

    def _take(self, records: Sequence[Record]) -> None:
        """Takes the tables among some records; loads for the one that will count, not for each that went before."""
        read = [(self._table(record), record.timestamp) for record in records]
        tables = [(self._with_stable(table), at) for table, at in read if table is not None]
        if not tables:
            return
        last = max((table for table, _ in tables), key=lambda table: table.order)
        if last.order >= self._view.table.order:
            self._prepared(*(version for version in (last.canary, last.baseline) if version is not None))
        for table, at in tables:
            self._view.receive(table, at)
        self._pin()

    def _table(self, record: Record) -> ArmsTable | None:
        if record.key != self._view.table.policy.encode():
            return None
        try:
            return decode(record.value, ArmsTable)
        except (RejoinderError, ValueError) as error:
            # One record that cannot be read must not hide those behind it.
            self._events.error("arms_record_unreadable", error, offset=record.offset)
            return None

    def _with_stable(self, table: ArmsTable) -> ArmsTable:
        """The table with the registry's stable, which is asked again where the two differ."""
        if table.stable != self._stable and table.order >= self._view.table.order:
            self._guarded("pointer_not_read", self.read_registry)
        return replace(table, stable=self._stable)

    @property
    def _stable(self) -> Version:
        return Version(self._pointer.version, self._pointer.digest)

    def _prepared(self, *coming: Version) -> bool:
        """Whether versions can be served, after trying to load them beside those in force."""
        self._pin(*coming)
        return all([self._loaded(version) for version in coming])

    def _loaded(self, version: Version) -> bool:
        try:
            self._versions.load(version)
        except RejoinderError as error:
            self._say("version_not_loaded", error.reason, version=version.version)
            return False
        self._said.pop(("version_not_loaded", version.version), None)
        return True

    def _pin(self, *coming: Version) -> None:
        table = self._view.table
        wanted = (table.stable, table.canary, table.baseline, self._last_good, *coming)
        self._versions.pin([version for version in wanted if version is not None])

    def _guarded(self, event: str, read: Callable[[], None]) -> None:
        """Fails open: whatever is away or broken there, what is served here goes on."""
        try:
            read()
        except Exception as error:
            self._say(event, getattr(error, "reason", type(error).__name__))
        else:
            self._said.pop((event,), None)

    def _say(self, event: str, reason: str, **facts: str) -> None:
        """Once for each cause, not at every poll."""
        key = (event, *facts.values())
        if self._said.get(key) != reason:
            self._said[key] = reason
            self._events.warning(event, reason=reason, **facts)
