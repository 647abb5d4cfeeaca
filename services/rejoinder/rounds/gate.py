"""The gate stage: both versions on the same pairs, prompts and seeds; then the recipe's measures and their verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.errors import BadFile
from rejoinder.core.ids import digest_of
from rejoinder.core.types import Sampling
from rejoinder.evaluate.measured import verdict
from rejoinder.evaluate.measures import MEASURES
from rejoinder.evaluate.measures.inputs import Answered, GateInputs, Guarded
from rejoinder.evaluate.topics import Topics
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.datasets import messages_of
from rejoinder.rounds.guarded import sampled
from rejoinder.rounds.pairs.context import Sampled, Sampler, Scorer
from rejoinder.rounds.recipe import Gate
from rejoinder.rounds.stages import CODE, TRAINING, paths

#: Prompts under way at once.
AT_ONCE = 64
#: What the name of a file of kept answers begins with.
ANSWERS = "answers-"


@dataclass(frozen=True)
class Asked:
    """pairs: the gate's file. folder: where rows may lie. base: Hugging Face folder. stable "" is the base itself.

    digests: of stable and candidate; with them, answers to the recipe's own prompts are kept from round to round.
    """

    pairs: Path
    folder: Path
    base: Path
    stable: str
    candidate: str
    digests: tuple[str, str] | None = None


def adapter_of(artefacts: Artefacts, policy: str, version: str) -> Path | None:
    """The trained adapter of a version; None for the base."""
    trained = artefacts.version(policy, version).facts.get("train") if version else None
    return artefacts.path(trained) / "adapter" if trained else None


def likelihoods(
    asked: Asked, stable: Path | None, candidate: Path, run: Callable[[Sequence[str]], dict[str, Any]]
) -> tuple[list[Any], list[Any]]:
    """Rows of the gate's pairs under stable and candidate; none where there are no pairs."""
    if not asked.pairs.read_text("utf-8").strip():
        return [], []
    found = []
    for name, adapter in (("stable", stable), ("candidate", candidate)):
        out = asked.folder / f"gate.{name}.jsonl"
        named = {"pairs": asked.pairs, "base": asked.base, "out": out} | ({"adapter": adapter} if adapter else {})
        run([*TRAINING, "likelihood", *paths(**named)])
        found.append([json.loads(line) for line in out.read_text("utf-8").splitlines()])
    return found[0], found[1]


def answered(asked: Asked, gate: Gate, sampler: Sampler | None, scorer: Scorer | None) -> list[Answered]:
    """Gate prompts answered by both versions with the same seed, then the recipe's own; none without a sampler.

    What the stable version answered to the recipe's own in an earlier round's gate is taken from there.
    """
    if sampler is None:
        return []
    with asked.pairs.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, gate.samples)]
    own = len(rows)
    rows += [{"group": row["id"], **row} for row in prompts_of(gate)]

    prompts = [messages_of(row["prompt"]) for row in rows]

    def sampled(version: str, number: int) -> Sampled:
        sampling = Sampling(gate.temperature, max_tokens=gate.max_tokens, seed=number)
        return sampler.sample(prompts[number], sampling, 1, version)[0]

    def scored(number: int, stable: Sampled, candidate: Sampled) -> Sequence[float | None]:
        return scorer.score(prompts[number], [stable.text, candidate.text]) if scorer else (None, None)

    def all_of(pool: ThreadPoolExecutor, version: str, digest: str) -> list[Sampled]:
        kept = Kept(asked.folder, digest, gate, own, rows[own:]) if digest else None
        earlier = kept.found() if kept else []
        missing = range(own if earlier else len(rows))
        found = [*pool.map(sampled, [version] * len(missing), missing), *earlier]
        if kept:
            kept.keep(found[own:])
        return found

    numbers = range(len(rows))
    versions = zip((asked.stable, asked.candidate), asked.digests or ("", ""), strict=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # One version after the other: the services batch what comes together, and a batch is of one version.
        stable, candidate = (all_of(pool, version, digest) for version, digest in versions)
        scores = list(pool.map(scored, numbers, stable, candidate))
    return [
        Answered(row["id"], row["group"], row["prompt"], one.text, two.text, one.tokens, two.tokens, *judged)
        for row, one, two, judged in zip(rows, stable, candidate, scores, strict=True)
    ]


def guarded(asked: Asked, topics: Topics | None, gate: Gate, sampler: Sampler | None) -> list[Guarded]:
    """The topics' prompts answered by both versions with the same seeds; none without topics or a sampler."""
    if topics is None or sampler is None:
        return []
    sampling = Sampling(gate.temperature, max_tokens=gate.max_tokens)
    stable, candidate = (
        sampled(topics, sampler, version, sampling, topics.answers) for version in (asked.stable, asked.candidate)
    )
    return [Guarded(a.topic, a.prompt, a.texts, b.texts) for a, b in zip(stable, candidate, strict=True)]


class Kept:
    """Answers of one version to the recipe's own prompts, in a file of the round's folder; nobody's words are in it.

    They are known by all that they hang on: the version's digest, the prompts, the seeds from `first` on, the sampling.
    Where the service decides how long an answer may be (max_tokens 0), nothing is kept. owns: nothing but the name.
    """

    def __init__(self, folder: Path, digest: str, gate: Gate, first: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._count = len(rows) if gate.max_tokens else 0
        hangs_on = [CODE, digest, first, gate.temperature, gate.max_tokens, [row["prompt"] for row in rows]]
        self._folder, self._name = folder, f"{ANSWERS}{digest_of(hangs_on)}.json"

    def found(self) -> list[Sampled]:
        """Of any round of this policy; none where there is none, or a torn one."""
        for path in self._folder.parent.glob(f"*/{self._name}"):
            try:
                answers = [Sampled(*answer) for answer in json.loads(path.read_text("utf-8"))]
            except (OSError, ValueError, TypeError):
                continue
            if len(answers) == self._count:
                return answers
        return []

    def keep(self, answers: Sequence[Sampled]) -> None:
        if self._count:
            plain = [astuple(answer) for answer in answers]
            (self._folder / self._name).write_text(json.dumps(plain, ensure_ascii=False), "utf-8")


def forget_earlier(folder: Path) -> None:
    """Takes away what the gates of other rounds have kept: what is of use stands in this round's folder, too."""
    for path in folder.parent.glob(f"*/{ANSWERS}*.json"):
        if path.parent != folder:
            path.unlink(missing_ok=True)


def prompts_of(gate: Gate) -> list[dict[str, Any]]:
    """The recipe's own prompts. Raises BadFile."""
    if not gate.prompts:
        return []
    try:
        rows = [json.loads(line) for line in Path(gate.prompts).read_text("utf-8").split("\n") if line.strip()]
        for row in rows:
            messages_of(row["prompt"])
        return [{"id": str(row["id"]), "prompt": row["prompt"]} for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadFile(f"gate.prompts {gate.prompts} holds no prompts", file=gate.prompts) from None


def measured(inputs: GateInputs, gate: Gate, seed: int) -> Mapping[str, Any]:
    """The gate's report: passed, reasons, every measure; its digest is what a verdict refers to."""
    rng = np.random.default_rng(seed)
    found = []
    for chosen in gate.measures:
        row = MEASURES.resolve(chosen.row)
        found.append(row.make(inputs, row.with_params(chosen.params), rng))
    passed, reasons = verdict(found)
    measures = [{**asdict(m), "outcome": m.outcome.value, "facts": dict(m.facts)} for m in found]
    report = {"passed": passed, "reasons": list(reasons), "measures": measures}
    return {"digest": digest_of(report), **report}
