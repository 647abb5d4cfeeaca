"""`rejoinder triton-repo`, `rejoinder triton-keep`: a Triton server's models, written and kept loaded."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import click

from rejoinder.cli.output import json_option, print_json
from rejoinder.core.ending import when_told_to_end


@click.command()
@click.option("--model", type=click.Path(path_type=Path, file_okay=False), help="Folder of an exported encoder.")
@click.option("--registry", default="", help="Or of a version: folder or fsspec address of the registry.")
@click.option("--artefacts", type=click.Path(path_type=Path), help="Its artefacts' folder; by default inside it.")
@click.option("--policy", default="", help="The line of versions.")
@click.option("--version", default="", help="The version.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The model repository.")
@click.option("--name", default="", help="What the server calls the model; by default as its folder is called.")
@click.option(
    "--backend",
    type=click.Choice(["onnxruntime", "python"]),
    default="onnxruntime",
    show_default=True,
    help="Triton's: python needs onnxruntime and numpy<2 in the server's interpreter.",
)
@click.option("--gpu", "gpus", type=click.IntRange(min=0), multiple=True, help="Run on this one (may be repeated).")
@click.option("--instances", type=click.IntRange(1), help="On each GPU, or on the CPU; by default 1, with --batches 2.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of one run on a CPU.")
@click.option("--rows", type=click.IntRange(1), default=64, show_default=True, help="Rows of a batch at most.")
@click.option("--batches/--no-batches", default=None, help="Triton's dynamic batching; by default on GPUs.")
@click.option("--delay-us", type=click.IntRange(0), default=0, show_default=True, help="A batch of it waits for more.")
@click.option(
    "--drop-others", is_flag=True, help="Take the model's other versions out at once, before the server has this one."
)
@json_option
def repo(
    model: Path | None,
    registry: str,
    artefacts: Path | None,
    policy: str,
    version: str,
    out: Path,
    name: str,
    backend: str,
    gpus: tuple[int, ...],
    instances: int | None,
    threads: int,
    rows: int,
    batches: bool | None,
    delay_us: int,
    drop_others: bool,
    as_json: bool,
) -> None:
    """Write an encoder's version into a Triton model repository: a reward head, a reranker, the signal encoder.

    Versions stand beside each other until they are dropped; `rejoinder triton-keep` makes the server follow.
    """
    from rejoinder.registry.artefacts import Artefacts
    from rejoinder.registry.store import open_store
    from rejoinder.runtime.triton.repository import Placing, drop, versions, write

    if (model is None) == (not registry) or (registry and not (policy and version)):
        raise click.UsageError("say --model FOLDER, or --registry with --policy and --version")
    if "://" in registry and artefacts is None:
        raise click.UsageError("say --artefacts FOLDER: a registry at an address holds none of its own")
    source = model
    if source is None:
        kept = Artefacts(open_store(registry), artefacts or Path(registry) / "artefacts")
        source = kept.verify(kept.version(policy, version).digest)
    # A registry's folder is called by its digest.
    name = name or (model.resolve().name if model else policy)
    batches = bool(gpus) if batches is None else batches
    # With one, Triton's batcher sleeps half a second in every twentieth call or so (runtime/triton/NOTES.md).
    instances = instances or (2 if batches else 1)
    placing = Placing(backend, rows, gpus, instances, threads, batches, delay_us=delay_us)  # type: ignore[arg-type]
    number = write(source, out, name, placing)
    others = [each for each in versions(out / name) if each != number]
    if drop_others:
        for each in others:
            drop(out, name, each)
    facts = {"name": name, "version": number, "others": others, "dropped": drop_others, "backend": backend}
    print_json(facts) if as_json else click.echo(f"{out / name / number}: {name} version {number}")


@click.command()
@click.option("--server", default="127.0.0.1:8001", show_default=True, help="The Triton server's gRPC.")
@click.option("--repository", required=True, type=click.Path(path_type=Path, file_okay=False), help="As it was given.")
@click.option("--every", type=click.FloatRange(0.05), default=1.0, show_default=True, help="Seconds between two looks.")
def keep(server: str, repository: Path, every: float) -> None:
    """Make a Triton server have what its repository holds, and load anew what has died, until told to end.

    One beside each server, which was started with --model-control-mode=explicit.
    """
    from rejoinder.runtime.logging import event_log
    from rejoinder.runtime.triton.keeper import Keeper, connected

    ended = threading.Event()
    when_told_to_end(ended.set)
    with connected(server) as client:
        Keeper(client, repository, event_log("triton", sys.stderr)).run(ended, every)
