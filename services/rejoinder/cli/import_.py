"""`rejoinder import`: other people's chat logs into a data folder, or into a running feedback service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rejoinder.cli.datafolder import DataFolder, data_option, tenant_option
from rejoinder.cli.output import json_option, print_json, print_table, progress
from rejoinder.cli.supervisor import address_of
from rejoinder.core import yamlfile
from rejoinder.core.types import Consent, Feedback, Interaction, RecordOutcome
from rejoinder.observe.events import ImportAs, events_of
from rejoinder.observe.formats import FORMATS
from rejoinder.observe.reader import Reading, conversations

if TYPE_CHECKING:
    from rejoinder.feedback.redact import Redactor

#: Events of one request.
CHUNK = 500

T = TypeVar("T")
#: File, its counts, and who hears how much was read → its events.
Events = Callable[[Path, Reading, Callable[[int], None]], Iterator[Any]]
#: Topic and events → what became of each: (outcome, reason).
Record = Callable[[str, Sequence[Any]], Iterable[tuple[RecordOutcome, str]]]


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_option
@click.option(
    "--address",
    help="The feedback service (host:port); by default that of `rejoinder up`, if it runs, else the folder.",
)
@click.option("--format", "format_name", type=click.Choice(["auto", *FORMATS]), default="auto", show_default=True)
@click.option(
    "--map",
    "map_file",
    type=click.Path(path_type=Path),
    help="YAML: a field map for another format, in the language of `rejoinder observe`.",
)
@tenant_option
@click.option("--policy", default="observed", show_default=True, help="The line of versions that the models belong to.")
@click.option("--no-train", is_flag=True, help="Count these conversations, but let them enter no window and no pair.")
@click.option(
    "--redact", "kinds", metavar="KINDS", help="Put placeholders for these into every text first: all, or email,phone,…"
)
@click.option("--no-signals", is_flag=True, help="Do not read the follow-ups now.")
@json_option
def command(
    files: tuple[Path, ...],
    data: Path,
    address: str | None,
    format_name: str,
    map_file: Path | None,
    tenant: str,
    policy: str,
    no_train: bool,
    kinds: str | None,
    no_signals: bool,
    as_json: bool,
) -> None:
    """Read chat logs: OpenAssistant trees, hh-rlhf, ShareGPT, WildChat, OpenAI, evaluation files, Langfuse, or by
    a field map; JSON Lines, one JSON array or CSV, plain or gzip.

    The same file twice records nothing twice.
    """
    if map_file is not None and format_name != "auto":
        raise click.UsageError("--map says what the records are: leave out --format")
    consent = Consent.NO_TRAIN if no_train else Consent.UNSPECIFIED

    def as_target(format_of: str) -> ImportAs:
        return ImportAs(tenant, policy, f"import:{format_of}", consent)

    events = _by_format(format_name, as_target) if map_file is None else _by_map(map_file, as_target("map"))
    redactor = _redactor(kinds) if kinds else None
    address = address_of(data, "feedback", address)
    if address:
        report = _to_service(address, files, events, redactor)
    else:
        report = _to_folder(data, files, events, redactor, tenant, read_signals=not no_signals)
    print_json(report) if as_json else _print(report)


def _by_format(format_name: str, as_target: Callable[[str], ImportAs]) -> Events:
    def events(path: Path, reading: Reading, advance: Callable[[int], None]) -> Iterator[Any]:
        for conversation in conversations(path, reading, format_name, advance):
            yield from events_of(conversation, as_target(reading.format))

    return events


def _by_map(map_file: Path, target: ImportAs) -> Events:
    """Raises BadSettings for a map that cannot be meant, before a file is opened."""
    from rejoinder.observe.fieldmap import FieldMap
    from rejoinder.observe.mapped import Mapper
    from rejoinder.observe.reader import mapped

    mapper = Mapper(FieldMap(yamlfile.read(map_file), map_file.name), target)
    return lambda path, reading, advance: mapped(path, reading, mapper, advance)


def _redactor(kinds: str) -> Redactor:
    """The step of the ingest service, here. Raises UnknownRow."""
    from rejoinder.core.finders import KINDS
    from rejoinder.feedback.redact import Redactor
    from rejoinder.feedback.settings import RedactTheme

    names = tuple(KINDS) if kinds == "all" else tuple(name.strip() for name in kinds.split(","))
    return Redactor(names, RedactTheme().phone_regions)


def _to_service(address: str, files: Sequence[Path], events: Events, redactor: Redactor | None) -> dict[str, Any]:
    from rejoinder.clients.connection import Connection
    from rejoinder.clients.feedback import FeedbackClient

    with FeedbackClient(Connection(address)) as client:

        def record(topic: str, events: Sequence[Any]) -> Iterable[tuple[RecordOutcome, str]]:
            send = client.record_interactions if topic == "interactions" else client.record_feedback
            events = events if redactor is None else [redactor.event(event)[0] for event in events]
            return [(result.outcome, result.reason) for result in send(events)]

        return {"files": [_read(path, events, record) for path in files]}


def _to_folder(
    data: Path, files: Sequence[Path], events: Events, redactor: Redactor | None, tenant: str, read_signals: bool
) -> dict[str, Any]:
    from rejoinder.cli.satisfaction import overview
    from rejoinder.cli.signals import read

    with DataFolder(data, create=True, redactor=redactor) as opened:

        def record(topic: str, events: Sequence[Any]) -> Iterable[tuple[RecordOutcome, str]]:
            return [(result.outcome, result.reason) for result in opened.record(topic, events)]

        report: dict[str, Any] = {"files": [_read(path, events, record) for path in files]}
        with progress("joining", None):
            opened.project()
        if read_signals:
            waiting = sum(file["feedback"] for file in report["files"])
            with progress("reading follow-ups", waiting) as advance:
                report["read"] = read(opened, None, advance)
        return {**report, **overview(opened, tenant, "reason")}


def _read(path: Path, events: Events, record: Record) -> dict[str, Any]:
    """Imports one file; answers its counts."""
    reading = Reading(path)
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    size = path.stat().st_size if path.is_file() else None
    with progress(path.name, size) as advance:
        for chunk in _chunks(events(path, reading, advance), CHUNK):
            for topic, kind in (("interactions", Interaction), ("feedback", Feedback)):
                part = [event for event in chunk if isinstance(event, kind)]
                kinds.update(e.kind_name if isinstance(e, Feedback) else "interaction" for e in part)
                for outcome, reason in record(topic, part) if part else ():
                    outcomes[reason or outcome.value] += 1
    return {
        "file": path.name,
        "format": reading.format,
        "conversations": reading.conversations,
        "interactions": kinds.pop("interaction", 0),
        "feedback": sum(kinds.values()),
        "kinds": dict(sorted(kinds.items())),
        "outcomes": dict(sorted(outcomes.items())),
        "refused_lines": dict(reading.refused),
    }


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _print(report: dict[str, Any]) -> None:
    from rejoinder.cli.satisfaction import print_overview

    def told(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in counts.items()) or "–"

    rows = [
        (f["file"], f["format"], f["conversations"], f["interactions"], told(f["kinds"]), told(f["outcomes"]))
        for f in report["files"]
    ]
    print_table("Imported", ("file", "format", "conversations", "answers", "feedback", "outcome"), rows)
    for file in report["files"]:
        for cause, count in file["refused_lines"].items():
            click.echo(f"{file['file']}: {count} lines refused: {cause}", err=True)
    if "rows" in report:
        print_overview(report)
