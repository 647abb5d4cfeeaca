"""`rejoinder signals audit`: a sheet for a person to label, and what the labels say of the extractor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.datafolder import data_option, tenant_option
from rejoinder.cli.ledger import password_option
from rejoinder.cli.output import cell, json_option, print_json, print_table
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import BadFile
from rejoinder.registry.embedded import folder_of

if TYPE_CHECKING:
    from rejoinder.ledger.reading.evidence import NumberedEvidence
    from rejoinder.ledger.stores.dialect import Where
    from rejoinder.signals.extractors.evidence import TextModel

_DAY_S = 86_400.0


@click.command()
@data_option
@tenant_option
@click.option("--store", help="A ledger's SQLite file or PostgreSQL address, instead of a data folder's.")
@password_option
@click.option("--sheet", type=click.Path(path_type=Path, dir_okay=False), default="audit.csv", show_default=True)
@click.option("--sample", type=click.IntRange(1, 100_000), help="Write a sheet of so many turns; without, read it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--days", type=click.FloatRange(0, 36_500, min_open=True), help="Only of the last days; all by default.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the signal encoder; the embedded by default.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="REJOINDER_SIGNALS__READ__CALIBRATION",
    help="The calibration that the traffic was read with.",
)
@click.option("--precision", type=click.FloatRange(0, 1), default=0.8, show_default=True, help="Of SAT and of DSAT.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the recalibration: signals' read.calibration."
)
@json_option
def command(
    data: Path,
    tenant: str,
    store: str | None,
    password_file: Path | None,
    sheet: Path,
    sample: int | None,
    seed: int,
    days: float | None,
    model: Path | None,
    calibration: Path | None,
    precision: float,
    out: Path | None,
    as_json: bool,
) -> None:
    """Have a person label turns of your own traffic, and see how well they are read.

    With --sample it writes a sheet (CSV, or JSON Lines where its name ends in .jsonl), as many turns of each predicted
    class; fill in `label` (SAT, DSAT or none; leave empty what you cannot tell). Without, it reads the sheet and prints
    precision, recall, kappa and calibration of the whole traffic, and what the labels would change.
    """
    if sample is None:
        report = _read(sheet, precision, out)
        print_json(report) if as_json else _print_read(sheet, report)
        return
    from rejoinder.ledger.stores.dialect import where_of
    from rejoinder.signals.package import load

    where = where_of(store, password_file) if store else data / "ledger.db"
    after = None if days is None else SystemClock().now() - days * _DAY_S
    text = load(model or folder_of("signals"), threads=2, own=calibration)
    report = _write(data, sheet, sample, seed, after, where, tenant, text)
    print_json(report) if as_json else _print_written(sheet, report)


def _write(
    data: Path, sheet: Path, size: int, seed: int, after: float | None, where: Where, tenant: str, text: TextModel
) -> dict[str, Any]:
    """data: where it is recorded who has it. after: seconds since the epoch; what was said before is left out."""
    from rejoinder.cli.looks import shown
    from rejoinder.ledger.reading.evidence import pieces_by_event, said_by
    from rejoinder.ledger.stores.store import Store
    from rejoinder.runtime.looks import Seen
    from rejoinder.signals.audit.ask import ask
    from rejoinder.signals.audit.sheet import write
    from rejoinder.signals.extractors.minilm import NAME

    store = Store(where, read_only=True)
    try:
        said = said_by(store, tenant, NAME, text.version, after)
        users: set[tuple[str, str]] = set()

        def fetch(ids: Sequence[str]) -> Iterator[NumberedEvidence]:
            for piece in pieces_by_event(store, tenant, ids):
                users.update((tenant, part.user_id) for part in (piece.interaction, piece.feedback))
                yield piece

        turns, design = ask(said, fetch, text, size, seed)
    finally:
        store.close()
    shown(data, Seen("sheet", tenant, [turn.id for turn in turns], users))
    write(sheet, turns, design)
    drawn = {name: sum(read.stratum == name for read in design.turns.values()) for name in design.population}
    return {"sheet": str(sheet), "version": text.version, "population": design.population, "drawn": drawn}


def _print_written(sheet: Path, report: dict[str, Any]) -> None:
    rows = [(name, count, report["drawn"][name]) for name, count in report["population"].items()]
    print_table(f"{sheet}: turns read by {report['version']}", ("predicted", "of the traffic", "in the sheet"), rows)
    click.echo(f"Fill in the column label (SAT, DSAT or none), then: rejoinder signals audit --sheet {sheet}")
    click.echo("The sheet holds users' words, and an erasure does not reach it: remove it when it was read.")


def _read(sheet: Path, precision: float, out: Path | None) -> dict[str, Any]:
    from rejoinder.signals.audit.report import report
    from rejoinder.signals.audit.sheet import read

    design, given = read(sheet)
    if not given:
        raise BadFile(f"{sheet} has no label yet", file=sheet.name)
    found = report(design, given, precision)
    made = found.refit
    written = out if made.helps else None
    if written:
        try:
            written.write_text(made.found.to_json(), "utf-8")
        except OSError as error:
            raise BadFile(f"cannot write {written}: {type(error).__name__}", file=written.name) from None
    held_out = {"log_loss": made.loss, "ece_debiased": made.ece_debiased}
    return {
        "version": found.version,
        "population": found.population,
        "drawn": found.drawn,
        "labelled": found.labelled,
        "covered": found.covered,
        "unknown_language": found.unknown_language,
        **{name: asdict(figure) for name, figure in found.figures.items()},
        "ece_null_95": found.ece_null_95,
        "calibration": asdict(made.found),
        "held_out": {name: {"shipped": before, "recalibrated": after} for name, (before, after) in held_out.items()},
        "helps": made.helps,
        "unreached": made.unreached,
        "written": str(written) if written else None,
    }


def _interval(figure: dict[str, float]) -> str:
    return f"[{cell(figure['low'])}, {cell(figure['high'])}]"


def _print_read(sheet: Path, report: dict[str, Any]) -> None:
    strata = [(name, *(report[part][name] for part in ("population", "drawn", "labelled"))) for name in report["drawn"]]
    columns = ("predicted", "of the traffic", "in the sheet", "labelled")
    print_table(f"{sheet}: turns read by {report['version']}", columns, strata)
    figures = [
        (name, *((None, None) if isnan(value["value"]) else (value["value"], _interval(value))))
        for name, value in report.items()
        if isinstance(value, dict) and set(value) == {"value", "low", "high"}
    ]
    print_table("Of the whole traffic", ("figure", "value", "95 %"), figures)
    if report["covered"] < 1:
        click.echo(f"of {report['covered']:.1%} of the traffic, to be exact: the other classes have no label")
    held, found = report["held_out"], report["calibration"]
    rows = [(name, pair["shipped"], pair["recalibrated"]) for name, pair in held.items()]
    print_table("On labels held out", ("figure", "shipped", "recalibrated"), rows)
    shift = ", ".join(cell(part) for part in found["shift"])
    click.echo(f"a calibrated reader's ECE stays under {cell(report['ece_null_95'])} in 95 of 100 such samples")
    click.echo(f"temperature {cell(found['temperature'])}, shift of DSAT, none, SAT {shift}")
    for pole in ("DSAT", "SAT"):
        least = "not to be had" if pole in report["unreached"] else f"from {cell(found[f'least_{pole.lower()}'])}"
        click.echo(f"{pole} with the precision asked for: {least}")
    if report["written"]:
        click.echo(f"written to {report['written']}; the worker takes it as read.calibration")
    elif not report["helps"]:
        click.echo("on labels held out the recalibration is not surely better than what is shipped; nothing is written")
