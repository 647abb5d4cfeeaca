"""`rejoinder evaluate`: measures of a policy, of people's choices and of judges, from files that anybody can write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rejoinder.cli import drift, factors, probes
from rejoinder.cli import report as page
from rejoinder.cli.likelihoods import rows_of, shares_of
from rejoinder.cli.output import json_option, print_json, print_table, span
from rejoinder.core.errors import BadFile

file_argument = click.Path(path_type=Path, dir_okay=False)


@click.group()
def command() -> None:
    """Measures of a policy, of people's choices and of judges; a page about your own rounds."""


command.add_command(drift.command, "drift")
command.add_command(factors.command, "factors")
command.add_command(probes.command, "probes")
command.add_command(page.command, "report")


@command.command()
@click.argument("before", type=file_argument)
@click.argument("after", type=file_argument)
@click.option("--shares", type=file_argument, help="JSON Lines {id, share}: of the raters who prefer the chosen one.")
@click.option("--beta", type=click.FloatRange(min=0, min_open=True), help="Of the objective; for what it could reach.")
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
@json_option
def ranking(before: Path, after: Path, shares: Path | None, beta: float | None, seed: int, as_json: bool) -> None:
    """Ranking accuracy of two policies on the same pairs, and what the objective could reach (arXiv 2405.19534).

    BEFORE and AFTER: JSON Lines {id, group?, chosen_logp, rejected_logp, chosen_tokens, rejected_tokens}, log p summed
    over the response in nats; `python -m rejoinder.training likelihood` writes them. Idealised accuracy and the
    alignment gap are of the pairs with a share of raters, or a flip_probability in BEFORE.
    """
    import numpy as np

    from rejoinder.evaluate.ranking_accuracy import rank_report

    old, new = rows_of(before), rows_of(after)
    if [row["id"] for row in old] != [row["id"] for row in new]:
        raise BadFile("before and after must hold the same pairs in the same order", file=after.name)
    if shares is not None:
        given = shares_of(shares)
        old = [{**row, "share": given[row["id"]]} if row["id"] in given else row for row in old]
    report = rank_report(old, new, generator=np.random.default_rng(seed), beta=beta)
    print_json(report) if as_json else _print(report)


def _print(report: Mapping[str, Any]) -> None:
    rows = [
        (how, part, report[how][part]["after"]["n"], *map(span, report[how][part].values()))
        for how in ("summed", "per_token")
        for part in ("all", "length_matched")
    ]
    print_table("Ranking accuracy", ("log p", "pairs", "n", "before", "after", "gain", "longer wins"), rows)
    parts = [(part["n"], part["hardest"], part["before"], part["after"]) for part in report["by_difficulty"]]
    print_table("By difficulty", ("pairs", "hardest, nats", "before", "after"), parts)
    if found := report["idealised"]:
        names = ("before", "after", "idealised", "gap")
        figures = [(name, found[name]["n"], span(found[name])) for name in names]
        print_table(f"What the objective could reach, by {found['shares_from']}", ("figure", "n", "value"), figures)
