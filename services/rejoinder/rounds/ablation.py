"""Which part of a recipe does it: a grid of runs in which one part at a time is swapped (arXiv 2406.09279).

Every cell starts from the bare base, learns from as many tokens as the base recipe's own run would, passing over its
pairs again as often as that takes, and is measured on the same pairs: those that the base recipe makes of the gate's
and the evaluation's users. A cell is known by a digest of what it is trained by and on; one that has run is taken from
there. Killed anywhere, the same call goes on: pair sets and finished cells stay, a run under way resumes from its
checkpoint, and the evidence is what it was.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from rejoinder.core.arms import Salts
from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings, FailedPrecondition, NoSuchHead
from rejoinder.core.ids import derived_id, digest_of
from rejoinder.core.types import Feedback, Interaction, Message, Preference, Sampling
from rejoinder.evaluate.effects import Floats, Levels, compared, grid, main_effect, spread
from rejoinder.evaluate.ranking_accuracy import Scored
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.registry import datasets
from rejoinder.registry.artefacts import folder_digest
from rejoinder.registry.store import FolderStore
from rejoinder.rounds.build import build_pairs
from rejoinder.rounds.gate import prompts_of
from rejoinder.rounds.overlays import BASE, Cell, Level, needs_of, resolve, unread
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.pairs.consensus import agreed
from rejoinder.rounds.pairs.context import Context, Likelihood, Sampled, Sampler, Scorer
from rejoinder.rounds.pairs.split import apart, side_of, split
from rejoinder.rounds.plan import HOLDOUT_SHARE
from rejoinder.rounds.ranking import likelihood, write
from rejoinder.rounds.recipe import Gate
from rejoinder.rounds.runner import swap
from rejoinder.rounds.stages import TRAINING, Stages, paths
from rejoinder.runtime.files import put_whole

#: Raised when what a cell does with the same inputs changes.
CODE = "ablation/1"
#: Below the rounds' folder: pair sets lie where erasure finds those of rounds.
FOLDER = ".ablation"
MEASURES = ("pair_accuracy", "ranking_accuracy", "longer_likelier", "kl")
#: What a cell cost: processor seconds and tokens of its training; answers sampled for its pairs, their tokens, answers
#: scored, and seconds that making its pairs took, those in which services were waited for included.
COSTS = ("cpu_s", "tokens", "samples", "sampled_tokens", "scored", "pairs_s")
#: Evidence that a prompt of a file stands as.
_OF_FILE = "prompt:"
#: Before what a pair set cost, among its counts.
_COST = "cost."


@dataclass(frozen=True)
class Grid:
    """slots: slot → its levels, the base's first; every slot that is varied, and no other. full: every combination,
    else one level at a time. most: cells times seeds that may be run. tokens: each learns from; None: as the base."""

    slots: Mapping[str, Sequence[Level]]
    full: bool = True
    most: int = 16
    seeds: tuple[int, ...] = (0,)
    tokens: int | None = None

    @property
    def names(self) -> dict[str, list[str]]:
        return {slot: [level.name for level in levels] for slot, levels in self.slots.items()}


@dataclass(frozen=True)
class Bench:
    """What cells are made with. folder: of all ablations (FOLDER below the rounds'). held: tenant and id of the
    evidence that the ledger has now. at: of the latest evidence, seconds. run: runs the training room's commands."""

    folder: Path
    base: Path
    salt: bytes
    context: Context
    run: Callable[[Sequence[str]], dict[str, Any]]
    clock: Clock
    held: Callable[[], Set[tuple[str, str]]]
    at: float = 0.0
    told: Callable[[str], None] = lambda line: None


def cells_of(base: Mapping[str, Any], grid_of: Grid) -> dict[Levels, Cell]:
    """Every cell by its levels. Raises BadSettings: a bad overlay, a part that nothing reads, too many cells."""
    for slot, names in grid_of.names.items():
        if len(set(names)) < len(names):
            raise BadSettings(f"{slot}: two levels have one name ({', '.join(names)})", field=slot)
    levels = {(slot, level.name): level for slot, found in grid_of.slots.items() for level in found}
    wanted = grid(grid_of.names, grid_of.full)
    runs = len(wanted) * len(grid_of.seeds)
    if runs > grid_of.most:
        raise BadSettings(
            f"{len(wanted)} cells by {len(grid_of.seeds)} seeds are {runs} runs, more than {grid_of.most}", field="most"
        )
    made = {names: resolve(base, [levels[pair] for pair in zip(grid_of.slots, names, strict=True)]) for names in wanted}
    for cell in made.values():
        asked(cell)
    if slot := unread(grid_of.slots, list(made.values())):
        asking = ", ".join(row.name for row in BUILDERS.values() if "scorer" in row.traits.get("needs", ()))
        raise BadSettings(f"{slot}: no builder of any cell reads it; {asking} would", field=slot)
    return made


def pinned(folder: Path, kind: Any, evidence: Sequence[Evidence]) -> tuple[list[Evidence], Path]:
    """The evidence that an unfinished call of the same kind began with, as far as it is there, and the file that says
    so: whoever comes to an end takes it away. kind: the base recipe and whose answers are read."""
    path = folder / "open" / f"{digest_of(kind)}.json"
    names = {_mark(piece): piece for piece in evidence}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        put_whole(path, json.dumps(sorted(names)))
    wanted = set(json.loads(path.read_text("utf-8")))
    return [piece for name, piece in names.items() if name in wanted], path


def _mark(piece: Evidence) -> str:
    read = piece.signal.event_id if piece.signal else ""
    return derived_id("evidence", piece.tenant, piece.id, piece.interaction.event_id, read)[:16]


class Counted:
    """Sampler and scorer as one, and what was asked of them, from as many threads as there are. owns: the counts."""

    def __init__(self, sampler: Sampler | None, scorer: Scorer | None) -> None:
        self._sampler, self._scorer = sampler, scorer
        self._one = Lock()
        self.counts = Counter(samples=0, sampled_tokens=0, scored=0)

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> Sequence[Sampled]:
        found = self._sampler.sample(messages, sampling, n, version)
        with self._one:
            self.counts.update(samples=len(found), sampled_tokens=sum(answer.tokens for answer in found))
        return found

    def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str
    ) -> Sequence[Likelihood]:
        return self._sampler.likelihood(messages, continuations, version)

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> Sequence[float]:
        with self._one:
            self.counts.update(scored=len(responses))
        return self._scorer.score(messages, responses)

    def heads(self) -> Mapping[str, str]:
        return self._scorer.heads()

    def under(self, head: str) -> Scorer:
        return self._scorer.under(head)


@dataclass(frozen=True)
class Made:
    """Pairs of a cell on all sides, and what they cost."""

    pairs: tuple[Preference, ...]
    cost: Mapping[str, float] = field(default_factory=dict)


class Ablation:
    """owns: the stages that finished, and the work under way, both below the bench's folder."""

    def __init__(self, bench: Bench, evidence: Sequence[Evidence]) -> None:
        self._bench = bench
        self._evidence = evidence
        self._stages = Stages(FolderStore(bench.folder), self._heard)
        self._work = bench.folder / "work"
        self._work.mkdir(parents=True, exist_ok=True)
        self._base = folder_digest(bench.base)
        self._taken = False

    def run(self, cells: Mapping[Levels, Cell], grid_of: Grid) -> dict[str, Any]:
        """The report. The first cell is the base's. Raises FailedPrecondition where a builder's port is not there, and
        where one of the sides is empty."""
        slots = grid_of.names
        first = next(iter(cells.values()))
        self._refuse_unable(cells.values())
        self._bench.told("pairs of the base")
        sides = split((p for p in self._made(first).pairs if not _of_nobody(p)), Salts(), HOLDOUT_SHARE).sides
        measured = [*sides["gate"], *sides["evaluation"]]
        if not measured:
            raise FailedPrecondition("an ablation needs pairs of users who only measure, and the base makes none")
        held = write(self._work / "measured.jsonl", measured)
        known = _content(held)
        tokens = grid_of.tokens or self._tokens(first, measured)
        found = {}
        for names, cell in cells.items():
            said = ", ".join(f"{slot}={name}" for slot, name in zip(slots, names, strict=True))
            found[names] = self._cell(cell, said, measured, held, known, tokens, grid_of.seeds)
        held.unlink(missing_ok=True)
        groups = next(iter(found.values()))["groups"]
        kept = [
            {name: value for name, value in one.items() if name not in ("of_pair", "groups")} for one in found.values()
        ]
        return {
            "base": first.recipe.name,
            "grid": "full" if grid_of.full else "one",
            "slots": slots,
            "seeds": list(grid_of.seeds),
            "measured_on": len(groups),
            "users": len(set(groups)),
            "token_budget": tokens,
            "cells": [
                {"levels": dict(zip(slots, names, strict=True)), **one} for names, one in zip(found, kept, strict=True)
            ],
            "effects": effects(slots, found, groups, grid_of.seeds[0]),
        }

    def _refuse_unable(self, cells: Sequence[Cell] | Any) -> None:
        for cell in cells:
            if missing := self._bench.context.missing(sorted(cell.needs)):
                told = ", ".join(f"a {name}" for name in missing)
                raise FailedPrecondition(
                    f"{cell.recipe.name}: a builder needs {told}; run it beside `rejoinder up`, or name the services"
                )

    def _heard(self, stage: str, how: str) -> None:
        self._taken = how == "taken"

    def _head(self, cell: Cell) -> str:
        """Digest of the head that scores a cell's candidates, "" where none does. Raises NoSuchHead."""
        if "scorer" not in cell.needs:
            return ""
        heads = self._bench.context.scorer.heads()
        if cell.head not in heads:
            known = ", ".join(name for name in heads if name)
            raise NoSuchHead(f"the reward service has no head called {cell.head}; it has {known}", head=cell.head)
        return heads[cell.head]

    def _made(self, cell: Cell) -> Made:
        """Pairs of a cell, made once for all cells that have the same."""
        bench = self._bench
        version = bench.context.version if "sampler" in cell.needs else ""
        made_of = {
            "code": CODE,
            "data": cell.data(),
            "head": self._head(cell),
            "version": version,
            "evidence": digest_of(sorted(map(_mark, self._evidence))),
        }
        key = digest_of(made_of)
        folder = bench.folder / "sets" / key[:16]
        if not (folder / datasets.MANIFEST).exists():
            shutil.rmtree(folder, ignore_errors=True)
            began, scorer = bench.clock.monotonic(), bench.context.scorer
            counted = Counted(bench.context.sampler, scorer.under(cell.head) if scorer and cell.head else scorer)
            pairs, counts = self._built(cell, counted)
            spent = round(1000 * (bench.clock.monotonic() - began))
            told = {**counts, **{f"{_COST}{name}": n for name, n in counted.counts.items()}, f"{_COST}ms": spent}
            datasets.write(folder, "ablation", pairs, bench.salt, told, {"inputs": key}, bench.at)
            # Whoever was erased while the pairs were made is in none of them.
            datasets.keep(folder, bench.held() | {("", piece.id) for piece in asked(cell)})
        counts = datasets.read_manifest(folder).counts
        cost = {name.removeprefix(_COST): n for name, n in counts.items() if name.startswith(_COST)}
        return Made(tuple(datasets.read(folder)), {**cost, "pairs_s": cost["ms"] / 1000})

    def _built(self, cell: Cell, counted: Counted) -> tuple[list[Preference], Mapping[str, int]]:
        """A builder that samples under a reward is asked the cell's prompts, every other one the window's."""
        known = self._bench.context
        context = replace(
            known,
            seed=cell.recipe.seed,
            sampler=counted if known.sampler else None,
            scorer=counted if known.scorer else None,
        )
        if not cell.prompts:
            return build_pairs(self._evidence, cell.recipe, context)
        sampling = tuple(c for c in cell.recipe.builders if "scorer" in needs_of(c))
        others = tuple(c for c in cell.recipe.builders if c not in sampling)
        pairs, counts = build_pairs(self._evidence, replace(cell.recipe, builders=others), context)
        more, counted_too = build_pairs(asked(cell), replace(cell.recipe, builders=sampling), context)
        return [*pairs, *more], counts + counted_too

    def _learnt(self, cell: Cell, made: Made, measured: Sequence[Preference]) -> list[dict[str, Any]]:
        """Rows of the train stage's file: of users who may be learnt from, and of prompts that are nobody's."""
        may = [p for p in made.pairs if _of_nobody(p) or side_of(p, Salts(), HOLDOUT_SHARE) == "pairs"]
        kept, _ = apart(may, measured)
        pairs = agreed(kept, self._evidence, cell.recipe.consensus, Salts(), HOLDOUT_SHARE).pairs
        rows = [datasets.training_row(pair) for pair in pairs]
        swap(rows, cell.recipe.train.swap_share, cell.recipe.seed)
        return rows

    def _put(self, name: str, cell: Cell, rows: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Path]:
        """The train stage's manifest and pairs, as files."""
        manifest, pairs = self._work / f"{name}.manifest.json", self._work / f"{name}.jsonl"
        manifest.write_text(json.dumps({"contract": "train/v1", "train": {**cell.recipe.train.settings, **more}}))
        pairs.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        return {"manifest": manifest, "pairs": pairs}

    def _tokens(self, cell: Cell, measured: Sequence[Preference]) -> int:
        """What the base recipe's own run learns from: every cell's budget."""
        rows = self._enough(cell, BASE, self._learnt(cell, self._made(cell), measured))
        settings = {"train": cell.recipe.train.settings}
        inputs = {"code": CODE, "base": self._base, "pairs": _rows_digest(rows), **settings}

        def make(key: str) -> Mapping[str, Any]:
            named = self._put(key[:16], cell, rows)
            try:
                return self._bench.run([*TRAINING, "count", *paths(**named, base=self._bench.base)])
            finally:
                _unlink(named.values())

        return int(self._stages.run("ablation-tokens", inputs, make).output["tokens"])

    def _enough(self, cell: Cell, said: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(rows) < cell.recipe.train.min_pairs:
            raise FailedPrecondition(
                f"{said}: {len(rows)} pairs to learn from, {cell.recipe.train.min_pairs} are needed"
            )
        return rows

    def _cell(
        self,
        cell: Cell,
        said: str,
        measured: Sequence[Preference],
        held: Path,
        known: str,
        tokens: int,
        seeds: Sequence[int],
    ) -> dict[str, Any]:
        """Measures of a cell, means over its seeds; `of_pair` has them by measured pair."""
        made = self._made(cell)
        rows = self._enough(cell, said, self._learnt(cell, made, measured))
        runs, outputs = [], []
        for seed in seeds:
            self._bench.told(f"{said}, seed {seed}")
            settings = {**cell.recipe.train.settings, "seed": seed, "token_budget": tokens}
            inputs = {
                "code": CODE,
                # Name, gate and the like change nothing here; data, reward and prompts are in the pairs, too.
                "data": cell.data() | {"swap_share": cell.recipe.train.swap_share},
                "train": settings,
                "head": self._head(cell),
                "pairs": _rows_digest(rows),
                "measured": known,
                "base": self._base,
            }
            make = partial(self._trained, cell=cell, rows=rows, held=held, settings=settings)
            done = self._stages.run("ablation-cell", inputs, make)
            runs.append({"seed": seed, "hash": done.key, "taken": self._taken})
            outputs.append(done.output)
        of_pair = {name: np.mean([output["of_pair"][name] for output in outputs], axis=0) for name in MEASURES}
        training = {name: sum(output["cost"][name] for output in outputs) for name in outputs[0]["cost"]}
        return {
            "runs": runs,
            "trained_on": outputs[0]["trained_on"],
            "measures": {name: float(values.mean()) for name, values in of_pair.items()},
            "cost": {name: {**made.cost, **training}[name] for name in COSTS},
            "groups": outputs[0]["groups"],
            "of_pair": of_pair,
        }

    def _trained(
        self, key: str, cell: Cell, rows: Sequence[Mapping[str, Any]], held: Path, settings: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Trains and measures; numbers only, so that no word outlives its pair set."""
        bench, name = self._bench, key[:16]
        named, out, scored = (
            self._put(name, cell, rows, **settings),
            self._work / name,
            self._work / f"{name}.rows.jsonl",
        )
        bench.run([*TRAINING, "run", *paths(**named, base=bench.base, out=out)])
        metrics = json.loads((out / "metrics.json").read_text("utf-8"))
        found = likelihood(held, bench.base, out / "adapter", scored, bench.run)
        places = {group: i for i, group in enumerate(dict.fromkeys(row["group"] for row in found))}
        shutil.rmtree(out)
        _unlink([*named.values(), scored])
        return {
            "trained_on": metrics["pairs"]["trained"],
            "groups": [places[row["group"]] for row in found],
            "of_pair": {name: values.tolist() for name, values in figures(found).items()},
            "cost": {"cpu_s": metrics["cpu_seconds"], "tokens": metrics["learnt_tokens"]},
        }


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    """What is measured without a generated word, by pair (N,): is the chosen answer likelier per token (the gate's
    `pair_accuracy`), and as a whole (ranking accuracy); is the longer one likelier as a whole, a half where both are as
    long; KL to the original, nats a token."""
    scored = Scored.of(rows)
    whole = scored.right(False)
    gap = np.sign(scored.chosen_tokens - scored.rejected_tokens)
    longer = np.where(gap == 0, 0.5, np.where(gap > 0, whole, 1 - whole))
    moved = np.array([row["kl_to_original"] for row in rows], dtype=np.float64)
    return dict(zip(MEASURES, (scored.right(True), whole, longer, moved), strict=True))


def effects(
    slots: Mapping[str, Sequence[str]], found: Mapping[Levels, Mapping[str, Any]], groups: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """Of every level but the base's: what it changes in each measure, with a 95 % interval by user, and in the cost."""
    made = []
    for slot, levels in slots.items():
        for level in levels[1:]:
            twins = compared(slots, list(found), slot, level)
            measures = {}
            for name in MEASURES:
                values, _ = main_effect(slots, {cell: one["of_pair"][name] for cell, one in found.items()}, slot, level)
                measures[name] = spread(values, groups, seed)
            cost = {
                name: float(np.mean([found[one]["cost"][name] - found[other]["cost"][name] for one, other in twins]))
                for name in COSTS
            }
            made.append({"slot": slot, "level": level, "comparisons": len(twins), "measures": measures, "cost": cost})
    return made


def asked(cell: Cell) -> list[Evidence]:
    """The prompts of a cell's file as evidence of nobody. Raises BadFile."""
    if not cell.prompts:
        return []
    rows = prompts_of(Gate(prompts=cell.prompts))
    return [
        Evidence(f"{_OF_FILE}{row['id']}", "", Feedback(), Interaction(messages=datasets.messages_of(row["prompt"])))
        for row in rows
    ]


def _of_nobody(pair: Preference) -> bool:
    return pair.provenance.evidence.startswith(_OF_FILE)


def _rows_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    return digest_of(list(rows))


def _content(path: Path) -> str:
    return digest_of(path.read_text("utf-8").splitlines())


def _unlink(files: Any) -> None:
    for path in files:
        path.unlink(missing_ok=True)
