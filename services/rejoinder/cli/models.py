"""`rejoinder models`: build the embedded models, or export one of your own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import rejoinder
from rejoinder.cli.output import json_option, print_json, progress, refuse_unwritable, stages
from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.ids import digest_of
from rejoinder.core.modelfolder import KINDS
from rejoinder.registry.artefacts import file_digest
from rejoinder.registry.embedded import models_root

PACKAGE = Path(rejoinder.__file__).parent


@dataclass(frozen=True)
class Step:
    """A build in a process of its own. made_from: what below the package decides the result; needs: earlier steps."""

    name: str
    what: str
    module: str
    arguments: tuple[str, ...]
    made_from: tuple[str, ...]
    needs: tuple[str, ...] = ()


#: `{out}` is the step's folder, `{root}` the folder of all.
STEPS = (
    Step(
        "signals",
        "signal encoder",
        "rejoinder.training.extractor",
        ("export", "--out", "{out}"),
        ("training/extractor/export.py", "training/extractor/model.py", "core/modelfolder.py", "signals/data/sat-v1"),
    ),
    Step(
        "heads",
        "reward head and bi-encoder",
        "rejoinder.training.heads",
        ("export", "--out", "{out}"),
        (
            "training/heads",
            "training/extractor/model.py",
            "core/answertext.py",
            "core/modelfolder.py",
            "reward/data",
        ),
    ),
    Step(
        "base",
        "base policy (carried)",
        "rejoinder.training.embedded",
        ("build", "--out", "{out}"),
        ("training/embedded",),
    ),
    Step(
        "policy",
        "base policy for ONNX Runtime GenAI",
        "rejoinder.training",
        ("export-base", "--base", "{root}/base", "--out", "{out}"),
        ("training/export.py",),
        ("base",),
    ),
)


@click.group()
def command() -> None:
    """Embedded models, and your own."""


@command.command()
@click.option("--force", is_flag=True, help="Build again what stands there.")
@click.option("--only", multiple=True, type=click.Choice([s.name for s in STEPS]), help="This one (may be repeated).")
@json_option
def build(force: bool, only: tuple[str, ...], as_json: bool) -> None:
    """Build the embedded models into $REJOINDER_MODELS (build/models): once, then only what has changed."""
    root = models_root()
    root.mkdir(parents=True, exist_ok=True)
    report: dict[str, dict[str, Any]] = {}
    keys: dict[str, str] = {}
    with stages("models", len(only) or len(STEPS), quiet=as_json) as begin:
        for step in STEPS:
            keys[step.name] = key = _key(step, keys)
            if only and step.name not in only:
                continue
            mark = root / f"{step.name}.key"
            fresh = not force and mark.is_file() and mark.read_text() == key and (root / step.name).is_dir()
            began = time.monotonic()
            if not fresh:
                begin(f"building the {step.what}")
                _run(step, root)
                mark.write_text(key)
            took = time.monotonic() - began
            report[step.name] = {"built": not fresh, "seconds": round(took, 1), "folder": str(root / step.name)}
    if "base" in report:
        report["base"]["measured"] = figures = _measured(root / "base" / "probe.json")
    if as_json:
        print_json(report)
        return
    for name, built in report.items():
        if built["built"]:
            click.echo(f"built {name} in {built['seconds']:.0f} s: {built['folder']}")
    if "base" in report:
        for what, (least, share) in figures.items():
            click.echo(f"base policy: {what} {100 * share:.1f} % (at least {100 * least:.0f} %)")


def _measured(probe: Path) -> dict[str, tuple[float, float]]:
    """What the base can express, and so what a demonstration on it can learn: figure → (least, measured) shares."""
    found = json.loads(probe.read_text("utf-8"))
    return {
        "stated wish followed": (0.80, found["followed_system"]),
        "facts right": (0.95, found["right"]),
        "rarest style of a kind, unasked": (0.03, found["rarest"]),
    }


def _key(step: Step, keys: dict[str, str]) -> str:
    """Digest of what the step is made from, and of the steps it needs."""
    files = [file for part in step.made_from for file in _files(PACKAGE / part)]
    contents = {str(path.relative_to(PACKAGE)): file_digest(path) for path in files}
    return digest_of({"files": contents, "needs": [keys[name] for name in step.needs], "arguments": step.arguments})


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc")


def _run(step: Step, root: Path) -> None:
    """Builds aside and renames, so that a build cut short is no model."""
    out, aside = root / step.name, root / f".{step.name}.aside"
    shutil.rmtree(aside, ignore_errors=True)
    arguments = [a.format(out=aside, root=root) for a in step.arguments]
    done = subprocess.run(
        [sys.executable, "-m", step.module, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise FailedPrecondition(f"building the {step.what} failed: {last[0]}", step=step.name)
    shutil.rmtree(out, ignore_errors=True)
    aside.rename(out)


@command.command()
@click.option("--model", required=True, help="A Hugging Face model: a local folder, or a name in the local hub cache.")
@click.option("--revision", default="", help="Commit, tag or branch of a name in the hub's cache.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="policy",
    help="A language model that answers; a classifier of one label (reward model, cross-encoder); a sentence encoder.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@json_option
def export(model: str, revision: str, kind: str, out: Path, as_json: bool) -> None:
    """Export a model of yours for policy, reward or rerank (fp32; a policy takes adapters while it serves)."""
    from rejoinder.rounds.stages import TRAINING
    from rejoinder.rounds.stages import command as run

    refuse_unwritable(out.parent / f".{out.name}.written")
    with progress("exporting", None, quiet=as_json):
        named = ["--base", model, "--revision", revision, "--kind", kind]
        facts = run([*TRAINING, "export-base", *named, "--out", str(out)])
    print_json(facts) if as_json else click.echo(f"exported to {out}")
