"""The single writer of a log file: one thread, one connection, every waiting job in one commit.

What arrives while a commit is being fsynced makes up the next one; nothing waits for a timer. Futures resolve after
the COMMIT has returned, never before.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rejoinder.core.clock import Clock
from rejoinder.core.errors import LogReplaced, LogUnavailable, QueueFull, RejoinderError
from rejoinder.stream.files import file_identity, translated
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.store import Batch, View, load_view

logger = logging.getLogger(__name__)


@dataclass
class _Job:
    """work runs inside the transaction; its result is the future's once that is committed."""

    work: Callable[[Batch], Any]
    records: int
    size: int
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """owns: the writing connection, its thread, the queue and the published view.

    connect: opens the writing connection. published: called after every commit, from the writer's thread.
    """

    def __init__(
        self,
        path: str,
        connect: Callable[[], sqlite3.Connection],
        settings: LogSettings,
        clock: Clock,
        published: Callable[[], None],
    ) -> None:
        self._path = path
        self._connect = connect
        self._settings = settings
        self._clock = clock
        self._published = published
        self._connection: sqlite3.Connection | None = connect()
        self._file = file_identity(path)
        self.view: View = load_view(self._connection)
        self._jobs: deque[_Job] = deque()
        self._records = self._bytes = 0
        self._commit_s = 0.01
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Batch], Any], records: int = 0, size: int = 0) -> Future[Any]:
        """Queues a job of so many records and bytes. The future fails at once with QueueFull or LogUnavailable."""
        job = _Job(work, records, size)
        # A caller that gives up must not cancel a commit that others' records share.
        job.future.set_running_or_notify_cancel()
        with self._changed:
            if self._closing:
                job.future.set_exception(LogUnavailable("the log is closed"))
            elif self._jobs and (
                self._records + records > self._settings.queue_records
                or self._bytes + size > self._settings.queue_bytes
            ):
                commits = 1 + self._records / self._settings.batch_records
                wait_s = max(0.05, self._commit_s * commits)
                job.future.set_exception(QueueFull("too much waits for the log", retry_after_s=wait_s))
            else:
                self._jobs.append(job)
                self._records += records
                self._bytes += size
                self._changed.notify()
        return job.future

    def close(self) -> None:
        """Writes what waits, then closes the connection. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def durability(self) -> dict[str, str]:
        """What the writing connection says about itself: journal_mode and synchronous ("2" is FULL)."""
        names = ("journal_mode", "synchronous")
        return self.submit(
            lambda batch: {name: str(batch.connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in names}
        ).result()

    def _run(self) -> None:
        while jobs := self._next_jobs():
            started = time.monotonic()
            try:
                self._transact(jobs)
            except RejoinderError as error:
                logger.warning("log write failed reason=%s jobs=%d", error.reason, len(jobs))
                _fail(jobs, error)
            except Exception as error:
                logger.exception("log write failed jobs=%d", len(jobs))
                _fail(jobs, error)
            self._commit_s = 0.8 * self._commit_s + 0.2 * (time.monotonic() - started)
        if self._connection is not None:
            self._connection.close()

    def _next_jobs(self) -> list[_Job]:
        """Waits for work; what came, up to one commit's worth. [] when the log is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closing)
            jobs: list[_Job] = []
            records = 0
            while self._jobs and (not jobs or records + self._jobs[0].records <= self._settings.batch_records):
                job = self._jobs.popleft()
                records += job.records
                self._records -= job.records
                self._bytes -= job.size
                jobs.append(job)
            return jobs

    def _transact(self, jobs: list[_Job]) -> None:
        done: list[tuple[_Job, Any]] = []
        refused: list[tuple[_Job, RejoinderError]] = []
        connection = self._connection
        try:
            if connection is None:
                connection = self._connection = self._connect()
                self.view = load_view(connection)
            connection.execute("BEGIN IMMEDIATE")
            batch = Batch(connection, self.view, self._clock.now(), self._settings.dedupe_s)
            for job in jobs:
                try:
                    done.append((job, job.work(batch)))
                except RejoinderError as error:
                    refused.append((job, error))
            view = batch.finish()
            connection.execute("COMMIT")
            if batch.empties:
                # Where a reader is in the way, or the disk full, it stays for the next time: what was committed holds.
                with suppress(sqlite3.Error):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._undo(error)
            raise translated(error, self._path) from error
        except BaseException:
            self._undo(None)
            raise
        if file_identity(self._path) != self._file:
            raise LogReplaced("the log file was moved or replaced under its owner", path=self._path)
        self.view = view
        self._published()
        for job, result in done:
            job.future.set_result(result)
        for job, refusal in refused:
            job.future.set_exception(refusal)

    def _undo(self, error: sqlite3.Error | None) -> None:
        """Rolls back. After anything but a full disk the connection is made anew: what it holds in memory of the
        file is not to be trusted once a write or an fsync has failed."""
        connection, full = self._connection, getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            full = False
        if error is not None and not full:
            self._connection = None
            connection.close()


def _fail(jobs: list[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
