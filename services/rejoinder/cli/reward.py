"""`rejoinder reward`: how well the reward head agrees with people's choices."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rejoinder.cli.judged import head_of, model_option
from rejoinder.cli.output import cell, json_option, print_json, print_table, progress
from rejoinder.core.clock import SystemClock


@click.group()
def command() -> None:
    """Reward: scores of answers by what people prefer."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@model_option
@json_option
def evaluate(file: Path, model: Path | None, as_json: bool) -> None:
    """Score the head on JSON Lines {id, group, messages, a, b, pref}: pref 1 = a preferred, 0 = b, 0.5 = a tie."""
    from rejoinder.reward.offline import evaluate_file

    with progress("scoring pairs", None):
        report = asyncio.run(evaluate_file(file, head_of(model), SystemClock()))
    if as_json:
        print_json(report)
    else:
        rows = [(name, cell(value)) for name, value in report.items()]
        print_table(f"{file.name}: {report['n']} pairs", ("measure", "value"), rows)
