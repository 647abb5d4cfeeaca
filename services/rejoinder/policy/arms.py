"""Following who is served what: the `arms` topic for speed and leases, the registry's pointer for truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.codec import decode
from rejoinder.core.errors import RejoinderError
from rejoinder.policy.versions import Versions
from rejoinder.registry.served import ServedPointer
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.logging import EventLog
from rejoinder.stream.port import Log

TOPIC = "arms"


def table_of(pointer: ServedPointer, holdout_share: float) -> ArmsTable:
    """The table that a pointer alone makes: stable for everybody, no canary."""
    return ArmsTable(
        policy=pointer.policy,
        generation=pointer.generation,
        stable=Version(pointer.version, pointer.digest),
        holdout_share=holdout_share,
        reason="registry",
    )


class ArmsFollower:
    """owns: the positions it has read in the topic. The view and the versions are shared with the generator."""

    def __init__(
        self,
        view: ArmsView,
        versions: Versions,
        pointer: Callable[[], ServedPointer],
        log: Log | None,
        events: EventLog,
        poll_s: float,
        registry_poll_s: float,
    ) -> None:
        self._view = view
        self._versions = versions
        self._pointer = pointer
        self._log = log
        self._events = events
        self._poll_s = poll_s
        self._registry_poll_s = registry_poll_s
        self._positions: dict[int, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Reads until told to stop. A log or registry that is away changes nothing: leases lapse by themselves."""
        waited = self._registry_poll_s
        while not stop.is_set():
            try:
                await asyncio.to_thread(self.read_topic)
                if waited >= self._registry_poll_s:
                    await asyncio.to_thread(self.read_registry)
                    waited = 0.0
            except RejoinderError as error:
                self._events.warning("arms_not_read", reason=error.reason)
            try:
                await asyncio.wait_for(stop.wait(), self._poll_s)
            except TimeoutError:
                waited += self._poll_s

    def read_registry(self) -> None:
        """Takes over a pointer that is newer than the table in force."""
        pointer = self._pointer()
        if pointer.generation > self._view.table.generation:
            table = replace(
                table_of(pointer, self._view.table.holdout_share),
                term=self._view.table.term,
                salts=self._view.table.salts,
            )
            self._take(table, self._view.table.written_at)

    def read_topic(self) -> None:
        """Takes every record that has come since. The first pass is history: it grants no lease."""
        if self._log is None:
            return
        for partition in self._log.end_offsets(TOPIC):
            while records := self._log.read(TOPIC, partition, self._positions.get(partition, 0)):
                for record in records:
                    if record.key == self._view.table.policy.encode():
                        self._take(decode(record.value, ArmsTable), record.timestamp)
                self._positions[partition] = records[-1].offset + 1
        self._view.caught_up()

    def _take(self, table: ArmsTable, broker_at: float) -> None:
        wanted = [v for v in (table.stable, table.canary, table.baseline) if v is not None]
        for version in wanted:
            try:
                self._versions.load(version)
            except RejoinderError as error:
                self._events.warning("version_not_loaded", version=version.version, reason=error.reason)
                if version is table.stable:
                    # Without its stable the table cannot be served: the one in force stays.
                    return
        self._view.receive(table, broker_at)
        self._versions.keep([*wanted, Version(digest=self._view.table.stable.digest)])
