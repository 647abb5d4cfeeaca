"""What commands on judged pairs share: where pairs come from, and heads that score them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.output import progress

if TYPE_CHECKING:
    from rejoinder.evaluate.judged import JudgedPair
    from rejoinder.reward.settings import RewardSettings

file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Instead of FILE: the pairs of a data folder."
)
recipe_option = click.option(
    "--recipe", default="people", show_default=True, help="Of the folder's pairs: which builders and guards."
)
model_option = click.option(
    "--model", type=click.Path(path_type=Path), help="Folder of the exported head; the embedded one by default."
)


def pairs_of(file: Path | None, data: Path | None, recipe: str, quiet: bool) -> list[JudgedPair]:
    """Raises BadFile, and a usage error where both are given or neither."""
    from rejoinder.core.errors import BadFile
    from rejoinder.evaluate import judged

    if (file is None) == (data is None):
        raise click.UsageError("give FILE or --data, one of them")
    if file is not None:
        return judged.read(file)
    from rejoinder.cli.loop import windows_of
    from rejoinder.registry.datasets import training_row
    from rejoinder.rounds import recipe as recipes
    from rejoinder.rounds.plan import pairs_now

    assert data is not None
    with windows_of(data) as (ledger, _), progress("building pairs", 1, quiet=quiet) as told:
        cut, _ = pairs_now(ledger, "", recipes.load(recipe), told=told)
    found = judged.of_rows(training_row(pair) for side in cut.sides.values() for pair in side)
    if not found:
        raise BadFile(f"{data} holds no pair of answers under the recipe {recipe}", file=str(data))
    return found


def head_of(model: Path | None) -> RewardSettings:
    """The head in a folder, or the embedded one."""
    from rejoinder.registry.embedded import folder_of
    from rejoinder.reward.settings import RewardSettings
    from rejoinder.runtime.batching.textmodel import ModelSettings

    return RewardSettings(model=ModelSettings(folder=model or folder_of("reward")))


def scorer(model: Path | None, quiet: bool) -> Callable[[Sequence[tuple[Any, str]]], Any]:
    """Answers with their prompts → (n,) scores by the head in a folder."""
    from rejoinder.core.clock import SystemClock
    from rejoinder.reward.offline import scores

    settings = head_of(model)

    def score(answers: Sequence[tuple[Any, str]]) -> Any:
        with progress("scoring answers", len(answers), quiet=quiet) as told:
            return asyncio.run(scores(answers, settings, SystemClock(), told))

    return score
