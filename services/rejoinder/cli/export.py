"""`rejoinder export`: pairs for anybody's trainer."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rejoinder.cli.datafolder import DataFolder, data_option
from rejoinder.cli.looks import shown
from rejoinder.cli.output import OutFile, json_option, print_json, progress
from rejoinder.ledger.stores.rows import DEFAULT_TENANT
from rejoinder.rounds import recipe as recipes
from rejoinder.runtime.looks import ALL, Seen


@click.command()
@data_option
@click.option("--out", required=True, type=OutFile(), help="JSON Lines to write.")
@click.option("--recipe", default="people", show_default=True, help="Which builders and guards; a name or a YAML file.")
@click.option("--side", type=click.Choice(["pairs", "gate", "evaluation"]), default="pairs", show_default=True)
@click.option("--evidence", default="", help="Only answers of this policy; all by default.")
@json_option
def command(data: Path, out: Path, recipe: str, side: str, evidence: str, as_json: bool) -> None:
    """Write the pairs of everything known so far in TRL's conversational preference format."""
    from rejoinder.registry.datasets import trl_row
    from rejoinder.rounds.plan import pairs_now

    with DataFolder(data) as opened, progress("building pairs", 1, quiet=as_json) as told:
        opened.project()
        cut, counts = pairs_now(opened.ledger, evidence, recipes.load(recipe), told=told)
    rows = cut.sides[side]
    users = {(pair.tenant or DEFAULT_TENANT, pair.user_id) for pair in rows}
    shown(data, Seen("export", ALL, users=users, count=len(rows)))
    with out.open("w", encoding="utf-8") as file:
        for pair in rows:
            file.write(json.dumps(trl_row(pair), ensure_ascii=False) + "\n")
    report = {"file": str(out), "pairs": len(rows), "counts": dict(sorted(counts.items()))}
    print_json(report) if as_json else click.echo(f"{len(rows)} pairs written to {out}")
