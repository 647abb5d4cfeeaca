"""`rejoinder evaluate report`: the rounds of a data folder as one page, with other measures' figures beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.datafolder import data_option, tenant_option
from rejoinder.cli.ledger import password_option
from rejoinder.cli.output import OutFile, json_option, print_json
from rejoinder.core.errors import BadFile, NotFound

if TYPE_CHECKING:
    from rejoinder.ledger.stores.dialect import Where
    from rejoinder.registry.store import Store


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@data_option
@tenant_option
@click.option("--policy", default="assist", show_default=True, help="The line of versions.")
@click.option("--registry", help="Where rounds are published: a folder, or an address; that of the data folder.")
@click.option("--store", help="A ledger's SQLite file or PostgreSQL address, instead of the data folder's.")
@password_option
@click.option(
    "--audit", type=click.Path(path_type=Path, dir_okay=False), help="A sheet of `rejoinder signals audit`, filled in."
)
@click.option("--out", type=OutFile(), default="report.html", show_default=True, help="The page.")
@json_option
def command(
    files: tuple[Path, ...],
    data: Path,
    tenant: str,
    policy: str,
    registry: str | None,
    store: str | None,
    password_file: Path | None,
    audit: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """One page about your own rounds: gates, satisfaction, reasons, pairs, KL, over-optimisation, calibration.

    FILES: what `rejoinder evaluate ranking|factors|probes` or `round ranking` printed with --json, drawn below. The
    page is one file without scripts or requests and without a word of any user. Nothing is changed; beside a running
    `rejoinder up` it reads what the ledger has got so far. --json prints the figures that the page shows.
    """
    from rejoinder.evaluate.report import page

    report = _gather(data, tenant, policy, registry, store, password_file, audit, files)
    text = page(report)
    try:
        _write(out, text)
    except OSError as error:
        raise BadFile(f"cannot write {out}: {(error.strerror or '').lower()}", file=out) from None
    print_json({"page": str(out), **report}) if as_json else click.echo(
        f"{out}: {len(report['rounds'])} rounds of {policy}"
    )


def _gather(
    data: Path,
    tenant: str,
    policy: str,
    registry: str | None,
    store: str | None,
    password_file: Path | None,
    audit: Path | None,
    files: Sequence[Path],
) -> dict[str, Any]:
    """Everything that the page shows, as plain values."""
    from importlib.metadata import version

    from rejoinder.core.clock import SystemClock
    from rejoinder.evaluate.report.kinds import load
    from rejoinder.evaluate.report.parted import parted
    from rejoinder.ledger.stores.dialect import where_of
    from rejoinder.registry.store import open_store

    measures = [load(path) for path in files]
    where = where_of(store, password_file) if store else data / "ledger.db"
    if not store and not (data / "log.db").exists():
        raise NotFound(f"{data} is no data folder yet; `rejoinder import FILE --data {data}` makes one")
    found = {
        "policy": policy,
        "tenant": tenant,
        "made_at": SystemClock().now(),
        "by": f"rejoinder {version('rejoinder')}",
        **_rounds(open_store(registry or str(data / "registry"), read_only=True), policy),
        "satisfaction": _satisfaction(where, tenant),
        "calibration": _calibration(audit) if audit else None,
        "measures": measures,
    }
    return {**found, "parted": parted(found)}


def _rounds(store: Store, policy: str) -> dict[str, Any]:
    from rejoinder.evaluate.report.rounds import round_of
    from rejoinder.registry.claims import claims, reported
    from rejoinder.registry.served import current

    stable = ""
    with _reading("what is served"), suppress(NotFound):
        stable = current(store, policy).version
    with _reading("the rounds' claims"):
        known = claims(store, policy)
    back = {name.removesuffix(".json") for name in store.names(f"rolled_back/{policy}")}
    found = []
    for claim in known:
        with _reading(f"round {claim.number}"):
            ended = reported(store, policy, claim.number) if claim.outcome else {}
            found.append(round_of(claim.number, claim.at, ended, ended.get("version") in back))
    return {"stable": stable, "base": _base(store, policy), "policies": store.names("rounds"), "rounds": found}


def _base(store: Store, policy: str) -> str:
    """The name under which the untrained policy is served, "" where there is none yet."""
    from rejoinder.registry.bootstrap import BASE
    from rejoinder.registry.store import read_json

    with _reading("the versions"):
        for name in store.names(f"versions/{policy}"):
            version = read_json(store, f"versions/{policy}/{name}")
            if version["kind"] == BASE:
                return str(version["version"])
    return ""


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Raises BadFile for what is no JSON, or JSON of another shape."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadFile(f"{what} cannot be read from the registry: {type(error).__name__}", file=what) from None


def _satisfaction(where: Where, tenant: str) -> dict[str, Any]:
    import numpy as np

    from rejoinder.ledger.reading.queries import joining, versions
    from rejoinder.ledger.settings import Rules
    from rejoinder.ledger.stores.store import Store

    with closing(Store(where, read_only=True)) as opened:
        joined = joining(opened, Rules(), tenant)
        rows = [asdict(row) for row in versions(opened, tenant, np.random.default_rng(0))]
    return {"versions": rows, "join_rate": joined.rate, "unlinked": dict(joined.unlinked)}


def _calibration(sheet: Path) -> dict[str, Any]:
    """Of the labels of an audit's sheet; its words are not read."""
    import numpy as np

    from rejoinder.evaluate.reliability import reliability
    from rejoinder.signals.audit.estimates import Labelled, agreements, calibrations, table_of, weights
    from rejoinder.signals.audit.sheet import read

    design, given = read(sheet)
    if not given:
        raise BadFile(f"{sheet} has no label yet", file=sheet.name)
    turns = [
        Labelled(name, said.stratum, given[name], said.p, said.confidence)
        for name, said in sorted(design.turns.items())
        if name in given
    ]
    rng, weight = np.random.default_rng(design.seed), weights(design.population, turns)
    figures = agreements(table_of(design.population, turns), rng)
    figures["ece"], figures["ece_debiased"], null = calibrations(turns, weight, rng)
    bins = reliability([turn.confidence for turn in turns], [turn.right for turn in turns], list(weight))
    return {
        "sheet": sheet.name,
        "version": design.version,
        "labels": len(turns),
        "bins": [asdict(one) for one in bins],
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "ece_null_95": null,
    }


def _write(out: Path, text: str) -> None:
    """Whole or not at all: a page that is open is never seen half."""
    aside = out.with_name(f".{out.name}.aside")
    aside.write_text(text, "utf-8")
    os.replace(aside, out)
