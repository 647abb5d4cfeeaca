"""`rejoinder round`: what a round would do, do it, and how two rounds differ."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rejoinder.cli.datafolder import data_option
from rejoinder.cli.output import OutFile, json_option, print_json, print_table, progress, span, stages
from rejoinder.registry.store import open_store
from rejoinder.rounds import recipe as recipes
from rejoinder.runtime.files import put_whole

policy_option = click.option("--policy", default="assist", show_default=True, help="The line of versions.")
recipe_option = click.option("--recipe", default="people", show_default=True, help="A shipped recipe, or a YAML file.")


@click.group()
def command() -> None:
    """Rounds: window → pairs → train → export → gate → publish."""


@command.command()
@data_option
@policy_option
@recipe_option
@click.option("--evidence", default="", help="Only answers of this policy; all by default.")
@json_option
def plan(data: Path, policy: str, recipe: str, evidence: str, as_json: bool) -> None:
    """What a round would use and refuse, without training: counts by kind, builder, reason and cause."""
    from rejoinder.cli.loop import windows_of
    from rejoinder.rounds.plan import plan as planned

    chosen = recipes.load(recipe)
    with windows_of(data) as (ledger, _), progress("building pairs", 1, quiet=as_json) as told:
        report = planned(ledger, open_store(str(data / "registry")), policy, evidence, chosen, told)
    if as_json:
        print_json(report)
        return
    rows = [(name, count) for name, count in report["evidence"].items()] + [
        (name, count) for name, count in report["counts"].items()
    ]
    print_table(f"Round {report['number']} of {policy}, recipe {chosen.name}", ("what", "count"), rows)
    for side, count in report["sides"].items():
        click.echo(f"{side}: {count} pairs")
    click.echo(report["would"])


@command.command()
@data_option
@policy_option
@recipe_option
@click.option("--evidence", default="", help="Only answers of this policy; all by default.")
@click.option("--base", type=click.Path(path_type=Path), help="A Hugging Face folder; the embedded base by default.")
@click.option("--base-export", type=click.Path(path_type=Path), help="The same, exported (`rejoinder models export`).")
@click.option("--policy-address", help="Policy service that regenerates; that of `rejoinder up`, if it runs.")
@click.option("--reward-address", help="Reward service that scores; that of `rejoinder up`, if it runs.")
@json_option
def run(
    data: Path,
    policy: str,
    recipe: str,
    evidence: str,
    base: Path | None,
    base_export: Path | None,
    policy_address: str | None,
    reward_address: str | None,
    as_json: bool,
) -> None:
    """Run a round, or go on with one that was interrupted. Beside a running `rejoinder up` it works through it."""
    from rejoinder.cli.loop import Wanted, round_of
    from rejoinder.cli.supervisor import addresses
    from rejoinder.rounds.runner import STAGES, Round

    chosen = recipes.load(recipe)
    given = {"policy": policy_address, "reward": reward_address}
    services = addresses(data) | {name: address for name, address in given.items() if address}
    wanted = Wanted(policy, evidence, base, base_export)

    with stages("round", len(STAGES), quiet=as_json) as begin:

        def told(stage: str, how: str) -> None:
            begin(f"{stage}: {'running' if how == 'run' else 'found'}")

        with round_of(data, wanted, services, told) as (loop, ports):
            report = Round(loop, chosen, ports).run()
    if as_json:
        print_json(
            {
                "policy": report.policy,
                "number": report.number,
                "outcome": report.outcome,
                "version": report.version,
                "reasons": list(report.reasons),
                "stages": report.stages,
            }
        )
        return
    click.echo(f"round {report.number}: {report.outcome} {report.version}" + _why(report.reasons))
    for measure in report.stages.get("gate", {}).get("measures", ()):
        click.echo(f"  {measure['name']}: {measure['outcome']} {span(measure)}, n {measure['n']}")
    if wishes := report.stages.get("gate", {}).get("wishes"):
        click.echo(f"  {wishes_told(wishes)}")
    if rewards := report.stages.get("gate", {}).get("rewards"):
        click.echo(f"  {rewards_told(rewards)}")


@command.command()
@data_option
@recipe_option
@click.option("--evidence", default="", help="Only answers of this policy; all by default.")
@click.option("--base", type=click.Path(path_type=Path), help="A Hugging Face folder; the embedded base by default.")
@click.option("--seed", default=0, show_default=True)
@json_option
def ranking(data: Path, recipe: str, evidence: str, base: Path | None, seed: int, as_json: bool) -> None:
    """Ranking accuracy before, after SFT, after the recipe's objective, and after it on shuffled pairs."""
    from rejoinder.cli.loop import windows_of
    from rejoinder.registry.embedded import folder_of
    from rejoinder.rounds.plan import pairs_now
    from rejoinder.rounds.ranking import arms, compare
    from rejoinder.rounds.warm import Warm

    chosen = recipes.load(recipe)
    with windows_of(data) as (ledger, _), progress("building pairs", 1, quiet=as_json) as told:
        cut, _ = pairs_now(ledger, evidence, chosen, told=told)
    every = 1 + len(arms(chosen.train))
    with tempfile.TemporaryDirectory() as work, Warm() as run, stages("ranking", every, quiet=as_json) as begin:
        report = compare(cut, chosen.train, base or folder_of("base"), Path(work), seed, begin, run)
    if as_json:
        print_json(report)
        return
    rows = []
    for name, found in report["arms"].items():
        for how in ("summed", "per_token"):
            for part in ("all", "length_matched"):
                figures = found[how][part]
                rows.append((name, how, part, figures["after"]["n"], *map(span, _figures(figures))))
    title = f"Ranking accuracy: trained on {report['trained_on']} pairs, measured on {report['measured_on']}"
    print_table(title, ("trained", "log p", "pairs", "n", "before", "after", "gain", "longer wins"), rows)


def _figures(figures: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [figures[name] for name in ("before", "after", "gain", "longer_wins")]


@command.command()
@data_option
@policy_option
@recipe_option
@click.option(
    "--vary",
    multiple=True,
    required=True,
    metavar="SLOT=FILE[,FILE…]",
    help="data, algorithm, reward or prompts, and YAML overlays of the recipe, each another level. May be repeated.",
)
@click.option(
    "--grid",
    type=click.Choice(("full", "one")),
    default="full",
    show_default=True,
    help="Every combination of levels, or one level at a time against the recipe.",
)
@click.option("--most", default=16, show_default=True, help="Runs (cells by seeds) above which it refuses to begin.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Training runs of every cell.")
@click.option("--tokens", type=click.IntRange(1), help="Each run learns from; as many as the recipe's own by default.")
@click.option("--evidence", default="", help="Only answers of this policy; all by default.")
@click.option("--base", type=click.Path(path_type=Path), help="A Hugging Face folder; the embedded base by default.")
@click.option("--policy-address", help="Policy service that samples; that of `rejoinder up`, if it runs.")
@click.option("--reward-address", help="Reward service that scores; that of `rejoinder up`, if it runs.")
@click.option("--out", type=OutFile(), help="Write the report as JSON to this file, too.")
@json_option
def ablate(
    data: Path,
    policy: str,
    recipe: str,
    vary: Sequence[str],
    grid: str,
    most: int,
    seeds: int,
    tokens: int | None,
    evidence: str,
    base: Path | None,
    policy_address: str | None,
    reward_address: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Which part of a recipe does it: data, algorithm, reward or prompts, one swapped at a time.

    Every cell starts from the bare base and learns from as many tokens; a cell that has run is taken from there.
    """
    from rejoinder.cli.loop import ablation_of
    from rejoinder.cli.supervisor import addresses
    from rejoinder.rounds.ablation import Grid, cells_of
    from rejoinder.rounds.overlays import levels_of

    plain = recipes.values(recipe)
    wanted = Grid(levels_of(vary), grid == "full", most, tuple(range(seeds)), tokens)
    cells = cells_of(plain, wanted)
    given = {"policy": policy_address, "reward": reward_address}
    services = addresses(data) | {name: address for name, address in given.items() if address}
    runs = len(cells) * seeds
    if not as_json:
        click.echo(f"{len(cells)} cells by {seeds} seeds: {runs} runs", err=True)
    with (
        stages("ablation", 1 + runs, quiet=as_json) as begin,
        ablation_of(data, policy, evidence, plain, wanted, services, base, begin) as ablation,
    ):
        report = ablation.run(cells, wanted)
    if out:
        put_whole(out, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if as_json:
        print_json(report)
        return
    _print_ablation(report)


def _print_ablation(report: Mapping[str, Any]) -> None:
    """Cells, then effects."""
    measures, costs = report["cells"][0]["measures"], report["cells"][0]["cost"]
    title = f"{len(report['cells'])} cells of {report['token_budget']} tokens"
    print_table(
        f"{title}, measured on {report['measured_on']} pairs of {report['users']} users",
        (*report["slots"], "cell", "pairs", *measures, *costs),
        [
            (*cell["levels"].values(), cell["runs"][0]["hash"][:12], cell["trained_on"], *_figures_of(cell))
            for cell in report["cells"]
        ],
    )
    rows = []
    for found in report["effects"]:
        spans = map(span, found["measures"].values())
        costs_of = map(_whole, found["cost"].values())
        rows.append((found["slot"], found["level"], found["comparisons"], *spans, *costs_of))
    columns = ("slot", "level", "of", *measures, *costs)
    print_table("Main effects against the recipe, paired, 95 % by user", columns, rows)


def _figures_of(cell: Mapping[str, Any]) -> list[float]:
    return [*cell["measures"].values(), *map(_whole, cell["cost"].values())]


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value


@command.command()
@data_option
@policy_option
@click.argument("one", type=int)
@click.argument("other", type=int)
@json_option
def diff(data: Path, policy: str, one: int, other: int, as_json: bool) -> None:
    """How the pair sets of two rounds differ: pairs, users, reasons, builders, lengths."""
    report = {str(number): _described(data, policy, number) for number in (one, other)}
    if as_json:
        print_json(report)
        return
    names = sorted({name for found in report.values() for name in found})
    rows = [(name, *(found.get(name, 0) for found in report.values())) for name in names]
    print_table(f"Pairs of {policy}", ("what", *(f"round {n}" for n in report)), rows)


def _described(data: Path, policy: str, number: int) -> dict[str, Any]:
    from rejoinder.registry.described import described, sets_of

    return described(sets_of(data / "rounds", policy, number))


def wishes_told(wishes: Mapping[str, Any]) -> str:
    """User-guided evaluation in one line: what could be measured of what evaluation users missed, and how it went."""
    parts = ", ".join(
        f"{100 * wishes[name]:.0f} % {words}"
        for name, words in (
            ("checkable", "checked by rule"),
            ("judged", "read by a judge (none is configured)"),
            ("unmeasured", "unmeasured"),
        )
    )
    rates = ", ".join(f"{name} {span(wishes[name])}" for name in ("before", "after", "gain") if wishes[name])
    met = f"met unasked {rates}, n {wishes['n']}" if rates else "no version answered them"
    return f"wishes of {wishes['said']} dissatisfied turns of evaluation users: {parts}; {met}"


def rewards_told(rewards: Mapping[str, Any]) -> str:
    """What the two heads said in one line; a version that the first likes and the second does not is over-optimised."""
    parts = ", ".join(
        f"{whose} {span(figure) if figure['value'] is not None else 'unmeasured (' + figure['why'] + ')'}"
        for whose, figure in (("training users' head", rewards["train"]), ("gate users' head", rewards["gate"]))
    )
    return f"preferred to stable's answers: {parts}; n {rewards['train']['n']}"


def _why(reasons: tuple[str, ...]) -> str:
    return f", because {', '.join(reasons)}" if reasons else ""
