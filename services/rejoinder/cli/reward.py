"""`rejoinder reward`: how well the reward head agrees with people's choices."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rejoinder.cli.output import cell, json_option, print_json, print_table, progress
from rejoinder.core.clock import SystemClock


@click.group()
def command() -> None:
    """Reward: scores of answers by what people prefer."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--model", type=click.Path(path_type=Path), help="Folder of the exported head; the embedded one by default."
)
@json_option
def evaluate(file: Path, model: Path | None, as_json: bool) -> None:
    """Score the head on JSON Lines {id, group, messages, a, b, pref}: pref 1 = a preferred, 0 = b, 0.5 = a tie."""
    from rejoinder.registry.embedded import folder_of
    from rejoinder.reward.offline import evaluate_file
    from rejoinder.reward.settings import RewardSettings
    from rejoinder.runtime.textmodel import ModelSettings

    settings = RewardSettings(model=ModelSettings(folder=model or folder_of("reward")))
    with progress("scoring pairs", None):
        report = asyncio.run(evaluate_file(file, settings, SystemClock()))
    if as_json:
        print_json(report)
    else:
        rows = [(name, cell(value)) for name, value in report.items()]
        print_table(f"{file.name}: {report['n']} pairs", ("measure", "value"), rows)
