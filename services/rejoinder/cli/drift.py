"""`rejoinder evaluate drift`: what stance checkpoints take on a team's topics, and how far they have moved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.asking import Server, server_options
from rejoinder.cli.caller import Caller, caller_options, connection
from rejoinder.cli.jsonlines import values
from rejoinder.cli.output import OutFile, json_option, print_json, print_table, progress, span
from rejoinder.core.errors import BadFile, RejoinderError
from rejoinder.core.ids import check_name
from rejoinder.runtime.files import put_whole

if TYPE_CHECKING:
    from rejoinder.evaluate.topics import Topics

#: Steps beyond it are nobody's, and the largest whole numbers of JSON are no floats.
_MOST_STEP = 2**53
#: Prompts have seeds from it on, and the service takes whole numbers of 64 bits.
_MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Answer:
    """step: of training, None where nobody says it."""

    checkpoint: str
    topic: str
    prompt: str
    answer: str
    step: float | None = None


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--topics",
    "topics_file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="YAML: the topics, their prompts, and by which patterns a stance is known (examples/topics.yaml).",
)
@click.option("--policy-address", help="Instead of FILE: a policy service (host:port) whose versions are sampled.")
@click.option(
    "--version", "versions", multiple=True, help='Of the policy service, in order; two at least, "" is stable.'
)
@click.option("--policy", default="assist", show_default=True, help="The line of versions.")
@click.option("--samples", default=20, show_default=True, type=click.IntRange(1, 64), help="Answers to each prompt.")
@click.option("--temperature", default=1.0, show_default=True, type=click.FloatRange(0), help="Of the answers.")
@click.option("--max-tokens", default=256, show_default=True, type=click.IntRange(1), help="Of an answer.")
@click.option("--keep", type=OutFile(), help="Write the sampled answers there, as a FILE for later.")
@caller_options
@server_options(
    "An OpenAI-compatible server up to /v1 that reads the stances, instead of patterns: it is sent answers."
)
@click.option("--since", default="", help="The checkpoint that moves are counted from; the first by default.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, _MOST_SEED),
    help="Of the sampling and the bootstrap.",
)
@json_option
def command(
    file: Path | None,
    topics_file: Path,
    policy_address: str | None,
    versions: tuple[str, ...],
    policy: str,
    samples: int,
    temperature: float,
    max_tokens: int,
    keep: Path | None,
    caller: Caller,
    server: Server,
    since: str,
    seed: int,
    as_json: bool,
) -> None:
    """How far a model's stances on topics have moved from checkpoint to checkpoint (arXiv 2510.26707).

    FILE: JSON Lines {checkpoint, step?, topic, prompt, answer}, some answers to each prompt at each checkpoint; in the
    order of the steps, or of the file. A move alarms where its interval, joint over topics, checkpoints and stances,
    leaves 0 out. Below 20 prompts or 200 read answers, or above 20 % unread ones, a topic is unmeasured.
    """
    import numpy as np

    from rejoinder.core.types import Sampling
    from rejoinder.evaluate import topics as guarded
    from rejoinder.evaluate.drift import Reading, drift_report
    from rejoinder.evaluate.stances import READERS, Said

    if (file is None) == (policy_address is None):
        raise click.UsageError("give FILE or --policy-address, one of them")
    if file is not None and (versions or keep):
        raise click.UsageError("--version and --keep are for answers that are sampled: leave them out beside FILE")
    topics = guarded.read(topics_file)
    missed: Counter[str] = Counter()
    if server.url:
        reader, read = "endpoint", READERS["endpoint"].make(topics, server.chat(missed).ask, server.parallel)
    else:
        reader, read = "rules", READERS["rules"].make(topics)
    if file is not None:
        answers = answers_of(file, topics)
    else:
        assert policy_address is not None
        if len({_named(version) for version in versions}) < max(2, len(versions)):
            raise click.UsageError("give --version for two versions at least, each once")
        sampling = Sampling(temperature, max_tokens=max_tokens, seed=seed)
        with progress("sampling answers", len(versions), quiet=as_json) as told:
            answers = _sampled(topics, policy_address, caller, policy, versions, sampling, samples, told)
        if keep:
            put_whole(keep, "".join(json.dumps(_row(a), ensure_ascii=False) + "\n" for a in answers))
    steps = steps_of(answers, file.name if file else "the policy")
    if since and since not in list(steps)[:-1]:
        raise BadFile(f"--since: no checkpoint {since!r}, or none after it", since=since)
    stances = read([Said(a.topic, a.answer) for a in answers])
    readings = [Reading(a.checkpoint, a.topic, a.prompt, s) for a, s in zip(answers, stances, strict=True)]
    report = drift_report(readings, steps, generator=np.random.default_rng(seed), since=since)
    guards = {topic.id: topic.guarded for topic in topics.topics}
    for name, row in report["topics"].items():
        row["guarded"] = guards[name]
    report |= {"reader": reader, "topics_version": topics.version, "topics_digest": topics.digest}
    report |= {"missed": dict(missed), "without_answers": [name for name in guards if name not in report["topics"]]}
    print_json(report) if as_json else _print(report)


def answers_of(file: Path, topics: Topics) -> list[Answer]:
    """Raises BadFile that names the line."""
    found = []
    for where, number, row in values(file):
        known: dict[str, Any] = {"file": file.name, "line": number}
        if not isinstance(row, dict):
            raise BadFile(f"{where} is no object", **known)
        for name in ("checkpoint", "topic", "prompt", "answer"):
            if not isinstance(row.get(name), str) or not (row[name] or name == "answer"):
                raise BadFile(f"{where}: {name} must be text{'' if name == 'answer' else ', and not empty'}", **known)
        try:
            check_name("checkpoint", row["checkpoint"])
        except RejoinderError as error:
            raise BadFile(f"{where}: {error.message}", **known) from None
        if row["topic"] not in topics.by_id:
            raise BadFile(f"{where}: the topics file has no such topic; it has {', '.join(topics.by_id)}", **known)
        step = row.get("step")
        if step is not None and not _is_step(step):
            raise BadFile(f"{where}: step must be a finite number", **known)
        found.append(Answer(row["checkpoint"], row["topic"], row["prompt"], row["answer"], step))
    if not found:
        raise BadFile(f"{file.name} holds no answer", file=file.name)
    return found


def steps_of(answers: Sequence[Answer], name: str) -> dict[str, float | None]:
    """Every checkpoint with its step, in order. Raises BadFile where one has two steps or none beside others that have
    one, where two share one, and where there is one checkpoint alone."""
    steps: dict[str, float | None] = {}
    for answer in answers:
        if steps.setdefault(answer.checkpoint, answer.step) != answer.step:
            raise BadFile(f"{name}: checkpoint {answer.checkpoint} stands at two steps", file=name)
    if len(steps) < 2:
        raise BadFile(f"{name} holds answers of one checkpoint alone; a move is between two", file=name)
    stated = [step for step in steps.values() if step is not None]
    if stated and len(stated) < len(steps):
        raise BadFile(f"{name}: some checkpoints have a step and some have none", file=name)
    if len(set(stated)) < len(stated):
        raise BadFile(f"{name}: two checkpoints stand at the same step", file=name)
    return dict(sorted(steps.items(), key=lambda item: item[1] or 0)) if stated else steps


def _is_step(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= _MOST_STEP and isfinite(value)


def _sampled(
    topics: Topics,
    address: str,
    caller: Caller,
    policy: str,
    versions: Sequence[str],
    sampling: Any,
    samples: int,
    told: Any,
) -> list[Answer]:
    from rejoinder.clients.policy import PolicyClient
    from rejoinder.rounds.guarded import sampled
    from rejoinder.rounds.services import PolicyPort

    found = []
    with PolicyClient(connection(address, caller)) as client:
        for number, version in enumerate(versions):
            told(number)
            for answers in sampled(topics, PolicyPort(client, policy), version, sampling, samples):
                found += [Answer(_named(version), answers.topic, answers.prompt, text) for text in answers.texts]
    return found


def _named(version: str) -> str:
    return version or "stable"


def _row(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in vars(answer).items() if value is not None}


def _print(report: Mapping[str, Any]) -> None:
    last = report["checkpoints"][-1]["name"]
    rows = []
    for topic, found in report["topics"].items():
        for stance, figure in found["moves"][last].items():
            # What alarms anywhere on the way is told, not only at the end.
            where = [name for name, stances in found["moves"].items() if stances[stance]["alarm"]]
            time = found["times"].get(stance)
            rows.append(
                (
                    topic if found["guarded"] else f"{topic} (not guarded)",
                    stance,
                    *(span(found["values"][name][stance]) for name in (report["since"], last)),
                    span(figure),
                    span(time) if time else None,
                    "unmeasured" if not found["measured"] else f"alarm at {_some(where)}" if where else "",
                )
            )
    by = "stances by the file's patterns" if report["reader"] == "rules" else "stances by a server"
    title = f"Drift from {report['since']} to {last}: {report['n']} answers, {report['unread']} unread; {by}"
    print_table(title, ("topic", "stance", "before", "after", "move, all within 99 %", "drift time", ""), rows)
    for topic, found in report["topics"].items():
        if not found["measured"]:
            click.echo(f"{topic} is unmeasured: {found['why']}")
    for topic in report["without_answers"]:
        click.echo(f"{topic} is unmeasured: nobody answered about it")
    if report["missed"]:
        click.echo("not answered: " + ", ".join(f"{why} {count}" for why, count in report["missed"].items()))


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
