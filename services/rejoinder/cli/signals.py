"""`rejoinder signals`: read joined feedback of a data folder; evaluate the extractor on labelled turns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rejoinder.cli.audit import command as audit
from rejoinder.cli.datafolder import DataFolder, data_option
from rejoinder.cli.jsonlines import values
from rejoinder.cli.output import cell, json_option, print_json, print_table, progress
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import BadFile
from rejoinder.registry.embedded import folder_of

#: What reads by default, in the order of the table: the text model, then what people did.
DEFAULT_ROWS = ("minilm", "comment", "ratings", "edit", "actions")

model_option = click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Folder of the exported signal encoder; the embedded one by default.",
)


@click.group()
def command() -> None:
    """Signals: SAT and DSAT, why, and how sure."""


command.add_command(audit, "audit")


def own_calibration() -> Path | None:
    """The file that the worker would take too, so that a folder is read alike by both."""
    named = os.environ.get("REJOINDER_SIGNALS__READ__CALIBRATION")
    return Path(named) if named else None


def read(data: DataFolder, model: Path | None, told: Callable[[int], None] = lambda count: None) -> int:
    """Reads what is joined and not read yet; answers how many pieces of evidence that was."""
    from rejoinder.signals.extractors import EXTRACTORS
    from rejoinder.signals.extractors.evidence import Ports
    from rejoinder.signals.package import load
    from rejoinder.signals.worker import Extractor, SignalWorker

    ports = Ports(load(model or folder_of("signals"), threads=2, own=own_calibration()))
    extractors = [Extractor(EXTRACTORS[name], EXTRACTORS[name].with_params(), ports) for name in DEFAULT_ROWS]
    total = SignalWorker(data.ledger, data.publish, extractors).drain(told)
    data.project()
    return total


@command.command()
@data_option
@model_option
@json_option
def run(data: Path, model: Path | None, as_json: bool) -> None:
    """Read what a data folder has joined and not read yet."""
    with DataFolder(data) as opened:
        opened.project()
        with progress("reading follow-ups", None) as advance:
            count = read(opened, model, advance)
    print_json({"read": count}) if as_json else click.echo(f"{count} pieces of feedback read")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@model_option
@json_option
def evaluate(file: Path, model: Path | None, as_json: bool) -> None:
    """Score the extractor on JSON Lines {id, messages, followup, label: SAT|DSAT|none, level?}."""
    from rejoinder.signals.evaluation import evaluate as evaluated
    from rejoinder.signals.package import load

    records = labelled_turns(file)
    with progress("reading turns", len(records)) as advance:
        text = load(model or folder_of("signals"), threads=2, own=own_calibration())
        report = evaluated(records, text, SystemClock())
        advance(len(records))
    if as_json:
        print_json(report)
    else:
        print_table(
            f"{file.name}: {len(records)} turns", ("measure", "value"), [(k, cell(v)) for k, v in report.items()]
        )


def labelled_turns(file: Path) -> list[dict[str, Any]]:
    """The records of an evaluation file. Raises BadFile that names the line."""
    records = []
    for where, _, record in values(file):
        _check(record, where)
        records.append(record)
    if not records:
        raise BadFile(f"{file.name} holds no turn", file=file.name)
    return records


def _check(record: Any, where: str) -> None:
    if not isinstance(record, dict):
        raise BadFile(f"{where} is no object")
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadFile(f"{where}: messages must be a list that ends with the answer")
    if not all(isinstance(m, dict) and isinstance(m.get("text"), str) and m.get("role") for m in messages):
        raise BadFile(f"{where}: every message needs role and text")
    if not isinstance(record.get("followup"), str):
        raise BadFile(f"{where}: followup must be text")
    if record.get("label") not in (None, "SAT", "DSAT", "none"):
        raise BadFile(f"{where}: label must be SAT, DSAT or none")
    level = record.get("level")
    if level is not None and (isinstance(level, bool) or not isinstance(level, int | float) or not 1 <= level <= 5):
        raise BadFile(f"{where}: level must be a number from 1 to 5")
