"""`rejoinder compile`: an exported encoder in other precisions, each with its measured cost and speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli import jsonlines
from rejoinder.cli.output import json_option, print_json, print_table, progress, refuse_unwritable
from rejoinder.core.errors import BadFile, RejoinderError

if TYPE_CHECKING:
    from rejoinder.runtime.compiling.making import Said, Variant

#: The order in which they are made; the rows of the precision table.
ALL = ("fp32", "bf16", "int8", "fp16")
#: People's turns that the package carries (MIT): real lengths, where nobody gives texts of their own.
_CARRIED = ("signals", "data", "labelled", "hh_train.jsonl")
#: Texts that are compared: an order of as many rows is known to a percent.
_MOST = 256


@click.command()
@click.option(
    "--model",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of an exported encoder: a reward head, a reranker, the signal encoder, one of your own.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="A folder for each goes here."
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(ALL),
    help="This one (may be repeated); all by default.",
)
@click.option(
    "--texts",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Your own texts to measure with, JSON Lines {messages, followup}, {messages, a, b} or {text}: the first 256.",
)
@click.option(
    "--threads", type=click.IntRange(1), multiple=True, help="Try so many (may be repeated); powers of two by default."
)
@click.option(
    "--cosine",
    type=click.FloatRange(0, 1),
    default=0.999,
    show_default=True,
    help="Of every output with fp32's, the correlation as well, from which a variant counts as the same model.",
)
@click.option(
    "--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Measured for each thread count."
)
@json_option
def command(
    model: Path,
    out: Path,
    precisions: tuple[str, ...],
    texts: Path | None,
    threads: tuple[int, ...],
    cosine: float,
    seconds: float,
    as_json: bool,
) -> None:
    """Make variants of an exported encoder (fp32, bf16, int8, fp16): what each costs in exactness and gains in speed.

    Each is a folder with a digest of its own; name it where the model's folder is named: the service computes it so.
    """
    from rejoinder.core.modelfolder import verified
    from rejoinder.runtime.backends import cores
    from rejoinder.runtime.compiling.making import Maker, Measuring, usual_threads

    if threads and max(threads) > cores():
        raise click.BadParameter(f"this process has {cores()} cores", param_hint="--threads")
    wanted = [name for name in ALL if name in (precisions or ALL)]
    for name in wanted:
        if (out / name).exists():
            raise BadFile(f"{out / name} is there already; name another --out or take it away", file=name)
    refuse_unwritable(out / ".written")
    source = verified(model)
    tried = tuple(sorted(set(threads))) or usual_threads()
    made: dict[str, Variant] = {}
    unmade: dict[str, RejoinderError] = {}
    with progress("compiling", 1 + len(wanted) * len(tried), quiet=as_json) as advance:
        steps = iter(range(1, 2 + len(wanted) * len(tried)))
        maker = Maker(source, list(islice(said_of(texts), _MOST)), Measuring(tried, seconds))
        advance(next(steps))
        for name in wanted:
            try:
                made[name] = maker.made(name, out / name, lambda: advance(next(steps)))
            except RejoinderError as error:
                # The others can be made all the same.
                unmade[name] = error
    if not made:
        raise next(iter(unmade.values()))
    best = best_of(made, cosine)
    rows = [_row(name, made, unmade, cosine) for name in wanted]
    if as_json:
        print_json({"made_from": source.digest, "best": best, "variants": rows})
        return
    _table(rows)
    for name, reason in unmade.items():
        click.echo(f"{name} was not made: {reason.message}")
    if best:
        click.echo(f"quickest that is the same model (cosine and correlation ≥ {cosine}): {out / best}")


def said_of(file: Path | None) -> Iterator[Said]:
    """What a file's lines say, in this order of fields: a follow-up after its answer, two answers, a text alone. Raises
    BadFile with the line at fault, never with what stood in it."""
    import rejoinder
    from rejoinder.runtime.compiling.making import Said

    file = file or Path(rejoinder.__file__).parent.joinpath(*_CARRIED)
    for where, number, value in jsonlines.values(file):
        if not isinstance(value, Mapping):
            raise BadFile(f"{where} is no JSON object", file=file.name, line=number)
        turns = tuple(_turns(value.get("messages", ()), where, file, number))
        found = [value[name] for name in ("followup", "a", "b", "text") if name in value]
        if not found or not all(map(_is_text, found)):
            raise BadFile(f"{where} needs a followup, a and b, or a text", file=file.name, line=number)
        for text in found:
            yield Said(turns, text)


def _turns(messages: Any, where: str, file: Path, number: int) -> Iterator[str]:
    for message in messages if isinstance(messages, list | tuple) else [None]:
        if not isinstance(message, Mapping) or not _is_text(message.get("text")):
            raise BadFile(f"{where} needs messages with a text each", file=file.name, line=number)
        yield message["text"]


def _is_text(value: Any) -> bool:
    """Half a surrogate pair, which JSON can say, is no text that a tokenizer reads."""
    return isinstance(value, str) and value.encode("utf-8", "replace").decode() == value


def best_of(made: Mapping[str, Variant], cosine: float) -> str | None:
    """The quickest by the clock whose outputs are those of fp32 up to `cosine`; fp16 is for another machine."""
    fit = [name for name, one in made.items() if name != "fp16" and one.exact.least >= cosine]
    return max(fit, key=lambda name: made[name].speed.tokens_per_s, default=None)


def _row(name: str, made: Mapping[str, Variant], unmade: Mapping[str, RejoinderError], cosine: float) -> dict[str, Any]:
    if name in unmade:
        return {"precision": name, "made": False, "because": unmade[name].message}
    one = made[name]
    return {
        "precision": name,
        "made": True,
        "folder": str(one.folder),
        "digest": one.digest,
        "backend": one.run.backend,
        "threads": one.speed.threads,
        "lanes": one.speed.lanes,
        "graph_bytes": one.graph_bytes,
        "cosine": dict(one.exact.cosine),
        "correlation": dict(one.exact.correlation),
        "least": one.exact.least,
        "same_model": one.exact.least >= cosine,
        "agreement": one.exact.agreement,
        "difference_sd": one.exact.difference,
        "tokens_per_s": one.speed.tokens_per_s,
        "tokens_per_cpu_s": one.speed.tokens_per_cpu_s,
        "speeds": [vars(each) for each in one.speeds],
    }


def _table(rows: list[dict[str, Any]]) -> None:
    made = [row for row in rows if row["made"]]
    columns = (
        "",
        "backend",
        "threads × lanes",
        "MB",
        "cosine, correlation",
        "ordered alike",
        "difference/sd",
        "tokens/s",
        "tokens/CPU-s",
    )
    cells = [
        (
            row["precision"],
            row["backend"],
            f"{row['threads']} × {row['lanes']}",
            round(row["graph_bytes"] / 1e6),
            f"{row['least']:.6f}",
            f"{row['agreement']:.4f}",
            f"{row['difference_sd']:.4f}",
            round(row["tokens_per_s"]),
            round(row["tokens_per_cpu_s"]),
        )
        for row in made
    ]
    print_table("compiled, beside fp32", columns, cells)
