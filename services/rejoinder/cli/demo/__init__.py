"""`rejoinder demo`: the whole loop on this machine, with simulated people, and a report of what came of it.

Reading order: world.py (processes and people), course.py (the story), pushes.py, watch.py, rewards.py, peak.py.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import click

from rejoinder.cli.output import OutFile, print_table, stages
from rejoinder.core.errors import FailedPrecondition

#: Stands in every folder that a demonstration made, and in no other: what may be removed.
MARK = "demonstration"


@click.command()
@click.option("--seed", default=1, show_default=True, help="Of the people, their questions and every draw of theirs.")
@click.option("--phrases", type=click.Path(path_type=Path), help="A file that replaces every word the people say.")
@click.option(
    "--control",
    type=click.Choice(["permuted-followups", "swapped", "no-training", "sft", "unwished", "permuted-within-kind"]),
    help="What must not learn, or not as much; the last two are shown beside the others.",
)
@click.option("--json", "json_file", type=OutFile(), help="Write the figures here.")
@click.option("--report", type=OutFile(), help="Write the page here.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default="build/demo",
    show_default=True,
    help="Folder of this run; what an earlier run left there is removed.",
)
@click.option("--rounds", type=click.IntRange(1, 9), default=3, show_default=True)
@click.option(
    "--scale", type=click.FloatRange(0.05, 4.0), default=1.0, show_default=True, help="Of all counts of people."
)
@click.option("--anchor", type=click.FloatRange(0.0), help="Another weight of the anchor that protects facts.")
def command(
    seed: int,
    phrases: Path | None,
    control: str | None,
    json_file: Path | None,
    report: Path | None,
    data: Path,
    rounds: int,
    scale: float,
    anchor: float | None,
) -> None:
    """Serve, listen, learn, prove, roll out: three rounds and three pushes with simulated people, then a report."""
    from rejoinder.simulate.report import page

    signal.signal(signal.SIGTERM, _ended)
    result = run(seed, phrases, control or "", data, rounds, scale, anchor)
    for path, text in (
        (json_file, json.dumps(result, indent=1) + "\n"),
        (report or data / "report.html", page(result)),
        (data / "result.json", json.dumps(result, indent=1) + "\n"),
    ):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    show(result)
    click.echo(f"report: {report or data / 'report.html'}")


def run(
    seed: int, phrases_file: Path | None, control: str, data: Path, rounds: int, scale: float, anchor: float | None
) -> dict[str, Any]:
    """The demonstration's figures, as evidence of one run."""
    from rejoinder.cli.demo.course import ROLLOUT, Sizes, Story, Told, commit, machine
    from rejoinder.cli.demo.peak import Peak
    from rejoinder.cli.demo.world import Population, World
    from rejoinder.registry.embedded import folder_of
    from rejoinder.rounds import recipe as recipes
    from rejoinder.simulate import phrases
    from rejoinder.simulate.panel import Panel
    from rejoinder.simulate.reading import load_topics
    from rejoinder.simulate.replies import Mixed

    said = phrases.load(phrases_file) if phrases_file else phrases.load()
    topics = list(load_topics(folder_of("base") / "facts.json"))
    _cleared(data)
    sizes = Sizes(rounds=rounds)
    counts = {name: round(getattr(sizes, name) * scale) for name in ("visits", "most", "panel")}
    sizes = replace(sizes, **counts)
    recipe = _controlled(recipes.load("demo"), control, anchor, seed)
    panel = Panel(topics, said, count=sizes.panel, seed=seed)
    began = time.monotonic()
    who = Population(topics, said, 6000, seed)
    import numpy as np

    world = World(data, "assist", who)
    # The untrained policy's panel; a round's people, itself, its rollout and panel; the pushes; the trace.
    steps = 1 + rounds * (2 if control == "no-training" else 4) + (0 if control else len(sizes.pushes) + 1)
    with stages("demonstration", steps) as begin, Peak() as peak:
        told = Told(_said(begin, began))
        try:
            with world:
                if control.startswith("permuted"):
                    within = control == "permuted-within-kind"
                    world.mixed = Mixed(np.random.default_rng([seed, 7]), within_kind=within)
                story = Story(world, recipe, sizes, panel, topics, told)
                story.run(control)
        finally:
            world.end()
        parity = world.parity()
    ceilings = panel.ceilings()
    return {
        "seed": seed,
        "control": control,
        "seconds": round(time.monotonic() - began, 1),
        "peak_mb": peak.megabytes,
        "machine": machine(),
        "commit": commit(),
        "scale": scale,
        "margin": ROLLOUT["margin"],
        "rounds": story.rounds,
        "rise": story.rise(),
        "reward_heads": story.reward_heads,
        "ceilings": {
            "constant": ceilings.constant,
            "by_kind": ceilings.by_kind,
            "per_user": ceilings.optimum,
            "constant_style": ", ".join(ceilings.constant_style),
        },
        "pushes": story.pushes,
        "verdicts": story.verdicts,
        "trace": story.trace,
        "parity": parity,
        "timeline": told.timeline,
    }


def _said(begin: Callable[..., None], began: float) -> Callable[[str], None]:
    """How the story is told: every line with its time; a stage of a round (indented) is a part of a step."""
    return lambda what: begin(f"{time.monotonic() - began:6.0f} s  {what}", part=what.startswith(" "))


def _controlled(recipe: Any, control: str, anchor: float | None, seed: int) -> Any:
    """The demonstration's recipe as a control or another anchor changes it."""
    settings = {**recipe.train.settings, "seed": seed}
    if control == "sft":
        settings |= {"objective": "sft", "params": {}, "anchor_weight": 0.0}
    if anchor is not None:
        settings["anchor_weight"] = anchor
    builders = recipe.builders
    if control == "unwished":
        # The first answer that the policy gives to the question alone stands against the disliked one.
        plain = {"regenerate": "nothing", "choose": "first"}
        builders = tuple(replace(row, params={**row.params, **plain}) for row in builders)
    return replace(
        recipe,
        seed=seed,
        builders=builders,
        train=replace(recipe.train, settings=settings, swap_share=0.5 if control == "swapped" else 0.0),
    )


def _cleared(data: Path) -> None:
    """An empty folder of ours. Raises FailedPrecondition for one that holds anything else than an earlier run."""
    if data.exists() and any(data.iterdir()):
        if not (data / MARK).exists():
            raise FailedPrecondition(f"{data} holds something that no demonstration left; give another --data")
        shutil.rmtree(data)
    data.mkdir(parents=True, exist_ok=True)
    (data / MARK).touch()


def _ended(signum: int, frame: FrameType | None) -> None:
    """Whoever ends us ends every process we started, as Ctrl-C does."""
    raise KeyboardInterrupt


def show(result: dict[str, Any]) -> None:
    """The figures as tables."""
    from rejoinder.cli.round import wishes_told
    from rejoinder.simulate.report.headline import verdict_of

    def span(figure: dict[str, float] | None) -> str | None:
        if not figure:
            return None
        return f"{100 * figure['value']:.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"

    columns = ("round", "version", "first answer", "after wish", "gain", "facts", "words", "KL", "pairs", "promoted")
    print_table(
        "Hidden satisfaction, points",
        columns,
        [
            (
                row["round"],
                row["version"],
                span(row["first_answer"]),
                span(row["after_wish"]),
                span(row["paired_gain"]),
                row["facts"],
                row["words"],
                row["kl"],
                row["pairs"],
                "yes" if row["promoted"] else ", ".join(row["reasons"]) or "no",
            )
            for row in result["rounds"]
        ],
    )
    for row in result["rounds"]:
        if row.get("wishes"):
            click.echo(f"round {row['round']}, {wishes_told(row['wishes'])}")
    ceilings = result["ceilings"]
    click.echo(
        f"best constant style {100 * ceilings['constant']:.1f}, best style by kind {100 * ceilings['by_kind']:.1f}, "
        f"each person's own {100 * ceilings['per_user']:.1f}; rise {span(result['rise']) or 'none'}"
    )
    if result["pushes"]:
        names = ("kind", "verdict", "action", "reason", "judged", "exposed_users", "holdout_exposed")
        rows = [{**push, "verdict": verdict_of(push)} for push in result["pushes"]]
        print_table("Pushed past the gate", names, [tuple(row.get(name) for name in names) for row in rows])
    click.echo(", ".join(f"{name} {count}" for name, count in result["parity"].items()))
    click.echo(f"{result['seconds']:.0f} s, {result['peak_mb']} MB at most")
