"""`rejoinder evaluate factors`: what people, a policy's likelihood and a reward head prefer, factor by factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.judged import data_option, file_argument, model_option, pairs_of, recipe_option, scorer
from rejoinder.cli.likelihoods import rows_of
from rejoinder.cli.output import json_option, print_json, print_table, span
from rejoinder.core.errors import BadFile

if TYPE_CHECKING:
    from rejoinder.evaluate.judged import JudgedPair

folder = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@file_argument
@data_option
@recipe_option
@model_option
@click.option("--head/--no-head", default=True, show_default=True, help="Whether a reward head chooses too.")
@click.option(
    "--likelihood",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON Lines {id, chosen_logp, rejected_logp, chosen_tokens, rejected_tokens}: a policy chooses too.",
)
@click.option("--base", type=folder, help="Or the policy itself, a folder of transformers: needs the training extra.")
@click.option("--adapter", type=folder, help="The version's adapter on --base.")
@click.option(
    "--summed", is_flag=True, help="Compare log p of whole answers, which the shorter one wins; else a token."
)
@click.option("--seed", default=0, show_default=True, help="Of the intervals' draws.")
@json_option
def command(
    file: Path | None,
    data: Path | None,
    recipe: str,
    model: Path | None,
    head: bool,
    likelihood: Path | None,
    base: Path | None,
    adapter: Path | None,
    summed: bool,
    seed: int,
    as_json: bool,
) -> None:
    """What is preferred in answers, factor by factor, and whether two who choose differ (arXiv 2410.06965).

    FILE: JSON Lines {id, group, messages, a, b, pref}, or a train stage's pairs. A factor's score is Kendall's tau-b of
    its difference between two answers with the choice, its interval a bootstrap by user at 95 %. A gap alarms where its
    interval leaves 0 out: those of all gaps hold together at 99 %, as wide as the largest Studentised gap under random
    signs of the users needs. Hedging and readability know English alone.
    """
    import numpy as np

    from rejoinder.evaluate.factor_scores import PEOPLE, differences, factor_report, of_people

    if adapter and not base:
        raise click.UsageError("--adapter needs --base")
    if base and likelihood:
        raise click.UsageError("give --likelihood or --base, one of them")
    pairs = pairs_of(file, data, recipe, as_json)
    choices = {PEOPLE: of_people(pairs)}
    if base:
        choices["policy"] = _leaning(pairs, _computed(pairs, base, adapter), summed)
    elif likelihood:
        choices["policy"] = _leaning(pairs, rows_of(likelihood), summed)
        if not np.isfinite(choices["policy"]).any():
            raise BadFile(f"{likelihood.name} holds none of the pairs' ids", file=likelihood.name)
    if head:
        from rejoinder.evaluate.judges import Asked, ScoreJudge

        asked = [Asked(pair.prompt, pair.chosen, pair.rejected) for pair in pairs]
        choices["head"] = ScoreJudge(scorer(model, as_json)).prefers(asked)
    report = factor_report(
        differences(pairs), choices, [pair.group for pair in pairs], generator=np.random.default_rng(seed)
    )
    print_json(report) if as_json else _print(report)


def _leaning(pairs: Sequence[JudgedPair], rows: Sequence[Mapping[str, Any]], summed: bool) -> Any:
    """(N,) log p of the chosen answer less that of the rejected one, NaN where no row tells it."""
    import numpy as np

    def side(row: Mapping[str, Any], name: str) -> float:
        return float(row[f"{name}_logp"]) / (1 if summed else row[f"{name}_tokens"])

    found = {row["id"]: side(row, "chosen") - side(row, "rejected") for row in rows}
    return np.array([found.get(pair.id, float("nan")) for pair in pairs])


def _computed(pairs: Sequence[JudgedPair], base: Path, adapter: Path | None) -> list[dict[str, Any]]:
    """Log-probabilities under a policy, by a process of the room that has torch."""
    from rejoinder.evaluate.judged import train_lines
    from rejoinder.rounds.ranking import likelihood
    from rejoinder.rounds.stages import command as run

    with TemporaryDirectory() as work:
        asked = Path(work) / "pairs.jsonl"
        asked.write_text(train_lines(pairs), "utf-8")
        return likelihood(asked, base, adapter, Path(work) / "rows.jsonl", run)


def _print(report: Mapping[str, Any]) -> None:
    scores = report["scores"]
    if not scores:
        raise BadFile("there is no pair on which everybody chose")
    rows = [
        (name, figure["n"], *(span(scores[who][name]) for who in scores)) for name, figure in _first(scores).items()
    ]
    title = f"Preferred, tau-b [95 %]: {report['n']} pairs of {report['users']} users, {report['left_out']} left out"
    print_table(title, ("factor", "differs in", *scores), rows)
    for gap in report["gaps"]:
        rows = [
            (name, figure["n"], span(figure), "alarm" if figure["alarm"] else "")
            for name, figure in gap["factors"].items()
        ]
        title = f"{gap['of']} less {gap['less']}: ranks agree {span(gap['alignment'])}"
        print_table(title, ("factor", "differs in", "gap, all within 99 %", ""), rows)
    if not report["measured"]:
        click.echo("too few pairs or users: no gap is judged")


def _first(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(iter(scores.values()))
    return found
