"""`rejoinder deadletters`: what a worker could not use, by reason, and the way back once the cause is mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rejoinder.cli.datafolder import DataFolder, data_option
from rejoinder.cli.ledger import process_settings, settings_option
from rejoinder.cli.output import json_option, print_json, print_table
from rejoinder.cli.supervisor import addresses
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.types import Coordinate, DeadLetter
from rejoinder.stream.deadletters import coordinate_of, letters, replay
from rejoinder.stream.port import Log

if TYPE_CHECKING:
    from rejoinder.observe.replay import Again

reason_option = click.option("--reason", "reasons", multiple=True, help="Of this reason alone; may be given again.")
whose_option = click.option("--tenant", help="Of this tenant alone.")
observe_option = click.option(
    "--observe",
    "observed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings of `rejoinder observe`: records of its topics are read again, by its map as it is now.",
)
at_option = click.option("--at", help="Of one record: topic/partition/offset, as `list` says it.")


@click.group()
def command() -> None:
    """Dead letters: what could not be used, and why. No user's words are shown."""


@command.command("list")
@data_option
@settings_option
@reason_option
@whose_option
@json_option
def list_command(data: Path, settings: Path | None, reasons: Sequence[str], tenant: str | None, as_json: bool) -> None:
    """What lies on the log of a data folder, or with --settings (or REJOINDER_LEDGER__LOG__…) of a ledger process."""
    with _log(data, settings) as log:
        rows = [_row(letter) for _, letter in letters(log, reasons, tenant)]
    if as_json:
        print_json(rows)
    else:
        names = ("reason", "at", "tenant", "since")
        print_table(f"{len(rows)} dead letters", names, [[row[name] for name in names] for row in rows])


@command.command("replay")
@data_option
@settings_option
@reason_option
@whose_option
@at_option
@observe_option
@json_option
def replay_command(
    data: Path,
    settings: Path | None,
    reasons: Sequence[str],
    tenant: str | None,
    at: str | None,
    observed: Path | None,
    as_json: bool,
) -> None:
    """Put records back on their topics, for every reader to try again: those of a reason, or one by its place.

    With --observe: those that `rejoinder observe` put aside, read again from your own topics once their map is mended.
    What an erased user said stays away. Safe to run again: what comes of a record has the same ids, and is kept once.
    """
    if not reasons and at is None:
        raise InvalidArgument("say which: --reason REASON, or --at TOPIC/PARTITION/OFFSET", field="reason")
    place = None if at is None else coordinate_of(at)
    with _log(data, settings) as log:
        if observed is not None:
            _tell_observed(_observed(observed, log, reasons, tenant, place), as_json)
            return
        done = replay(log, reasons, "rejoinder/deadletters", tenant, place)
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(
            f"{done.put_back} put back, {done.before} were before, {done.erased} stay away: their user is erased"
            + (f", {done.foreign} stay away: they lay on another tenant's topic" if done.foreign else "")
            + (
                f", {done.theirs} are of topics that observe reads: give its settings (--observe)"
                if done.theirs
                else ""
            )
        )


def _observed(file: Path, log: Log, reasons: Sequence[str], tenant: str | None, place: Coordinate | None) -> Again:
    """Here, as most of what it takes need not be there for any other command."""
    from rejoinder.core.clock import SystemClock
    from rejoinder.observe.replay import Replay
    from rejoinder.observe.settings import ObserveSettings
    from rejoinder.observe.sink import ServiceSink
    from rejoinder.observe.topics import open_topics
    from rejoinder.runtime.settings import load

    settings = load(ObserveSettings, "observe", file)
    whose = settings.into.tenant
    if tenant not in (None, whose):
        raise InvalidArgument(f"these settings read for the tenant {whose}", field="tenant")
    mappers, key = settings.mappers(), settings.key()
    with ExitStack() as closing:
        topics = open_topics(settings)
        closing.callback(topics.close)
        reader = topics.reader()
        closing.callback(reader.close)
        sink = ServiceSink(settings.into)
        closing.callback(sink.close)
        again = Replay(reader, sink, mappers, topics.ids, settings.keeping(), key, whose, SystemClock())
        return again.run(log, reasons, place)


def _tell_observed(done: Again, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    click.echo(f"{done.taken} records fit: {done.recorded} events recorded, {done.before} were before")
    for count, what in (
        (done.unmapped, "do not fit the map yet: rejoinder observe --check says which field"),
        (done.passed, "are left out by the map's `where`"),
        (done.gone, "are gone: their topic's retention took them, and their dead letters hold no bytes"),
        (done.anew, "lay on a topic that was made anew since, or on other brokers"),
        (done.elsewhere, "are of topics that these settings do not name"),
        (done.erased, "stay away: their user is erased"),
        *((count, f"events were refused: {reason}") for reason, count in sorted(done.refused.items())),
    ):
        if count:
            click.echo(f"{count} {what}")


def _row(letter: DeadLetter) -> dict[str, str]:
    """Without what it holds: thousands of letters fit a list, their values may not."""
    assert letter.source is not None
    return {
        "reason": letter.reason,
        "at": f"{letter.source.topic}/{letter.source.partition}/{letter.source.offset}",
        "tenant": letter.tenant,
        "since": datetime.fromtimestamp(letter.accepted_at or 0.0, UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def _log(data: Path, settings: Path | None) -> Iterator[Log]:
    """The log of a ledger process where its settings are given, else the folder's: through its owner while it runs."""
    process = process_settings(settings, "log")
    if process is not None:
        from rejoinder.ledger.__main__ import open_log

        log = open_log(process)
    elif "feedback" in (running := addresses(data)):
        from rejoinder.clients.connection import Connection
        from rejoinder.clients.owner import LogOwnerClient
        from rejoinder.stream.follower import FollowerLog

        log = FollowerLog(str(data / "log.db"), LogOwnerClient(Connection(running["feedback"])))
    else:
        with DataFolder(data) as opened:
            yield opened.log
        return
    try:
        yield log
    finally:
        log.close()
