"""Retention, compaction and the end of the dedupe time, now and then, in the process that owns the log."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from rejoinder.core.errors import RejoinderError
from rejoinder.runtime.logging import EventLog
from rejoinder.stream.sqlite import SqliteLog


async def keep_house(log: SqliteLog, every_s: float, events: EventLog, stop: asyncio.Event) -> None:
    """Cleans the log every so many seconds until told to stop. A round that fails is told and tried again later."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
        if stop.is_set():
            return
        try:
            events.info("log_cleaned", removed=await asyncio.to_thread(log.keep_house))
        except RejoinderError as error:
            events.warning("log_not_cleaned", reason=error.reason)
