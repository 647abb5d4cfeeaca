"""`rejoinder evaluate probes`: what makes a judge of answers change its mind that should not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rejoinder.cli.asking import Server, server_options
from rejoinder.cli.judged import data_option, file_argument, model_option, pairs_of, recipe_option, scorer
from rejoinder.cli.output import json_option, print_json, print_table, span
from rejoinder.core.errors import BadFile


@click.command()
@file_argument
@data_option
@recipe_option
@model_option
@server_options("An OpenAI-compatible server up to /v1, instead of a head: it is sent the pairs' words.")
@click.option("--both-orders", is_flag=True, help="Average the judge over both orders: no position is preferred then.")
@click.option("--texts", type=click.Path(path_type=Path, dir_okay=False), help="Other probes; English by default.")
@json_option
def command(
    file: Path | None,
    data: Path | None,
    recipe: str,
    model: Path | None,
    server: Server,
    both_orders: bool,
    texts: Path | None,
    as_json: bool,
) -> None:
    """How far position, bandwagon, authority, distraction and a show of thinking move a judge (arXiv 2504.09946).

    FILE: JSON Lines {id, group, messages, a, b, pref}, or a train stage's pairs. Bias: of the pairs the judge had
    right, the share that the probe turned wrong, less what it turned right. The probes' words are English.
    """
    from rejoinder.evaluate.bias_probes import TEXTS, load, probe_report
    from rejoinder.evaluate.judges import ChatJudge, Judge, OrderAveraged, ScoreJudge

    if server.url and model:
        raise click.UsageError("give --model or --judge-url, one of them")
    probes = load(texts or TEXTS)
    pairs = pairs_of(file, data, recipe, as_json)
    missed: Counter[str] = Counter()
    judge: Judge
    judge = ChatJudge(server.chat(missed).ask, server.parallel) if server.url else ScoreJudge(scorer(model, as_json))
    report = probe_report(OrderAveraged(judge) if both_orders else judge, pairs, probes)
    report |= {"both_orders": both_orders, "missed": dict(missed)}
    print_json(report) if as_json else _print(report)


def _print(report: Mapping[str, Any]) -> None:
    found = report["probes"]
    if not found:
        causes = ", ".join(f"{why} {count}" for why, count in report["missed"].items())
        raise BadFile(f"there is no pair with a verdict ({report['unanswered']} unanswered{causes and ': ' + causes})")
    rows = [
        (
            name,
            *(span(row[part]) for part in ("after", "robustness", "bias")),
            span(row["beyond_plain"]) if row["beyond_plain"] else None,
            f"{row['turned_wrong']}/{row['turned_right']}",
            row["p"],
            "alarm" if row["alarm"] else "",
        )
        for name, row in found.items()
    ]
    left_out = f"{report['ties']} ties and {report['unanswered']} without a verdict left out"
    orders = ", order averaged" if report["both_orders"] else ""
    title = f"Probes [95 %]: {report['n']} pairs of {report['users']} users, {left_out}{orders}"
    print_table(title, ("probe", "right after", "unmoved", "bias", "beyond plain", "turned wrong/right", "p", ""), rows)
    click.echo(f"right before: {span(report['before'])}")
