"""Which part of a recipe does it: a grid of runs in which one part at a time is swapped (arXiv 2406.09279).

Every cell starts from the bare base, learns from as many tokens as the base recipe's own run would, passing over its
pairs again as often as that takes, and is measured on the same pairs: those that the base recipe makes of the gate's
and the evaluation's users. A cell is known by a digest of what it is trained by and on; one that has run is taken from
there. Killed anywhere, the same call goes on: pair sets and finished cells stay, a run under way resumes from its
checkpoint, and the evidence is what it was. Words are read from the pair sets anew for every run, so that whoever is
erased meanwhile is in none of the later ones.
"""

from __future__ import annotations

import fcntl
import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rejoinder.core.errors import BadSettings, ClaimTaken, FailedPrecondition
from rejoinder.core.ids import digest_of
from rejoinder.core.types import Preference
from rejoinder.evaluate.effects import Floats, Levels, compared, grid, main_effect, spread
from rejoinder.evaluate.ranking_accuracy import Scored
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.registry import datasets
from rejoinder.registry.artefacts import folder_digest
from rejoinder.registry.store import FolderStore, create_json, read_json
from rejoinder.rounds.cellpairs import CODE, Bench, CellPairs, asked, mark
from rejoinder.rounds.overlays import BASE, Cell, Level, reads, resolve, unread
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.ranking import likelihood, write
from rejoinder.rounds.stages import TRAINING, Done, Stages, paths

T = TypeVar("T")
Rows = list[dict[str, Any]]

#: Below the rounds' folder: pair sets lie where erasure finds those of rounds, and files made of them, `work/*.jsonl`,
#: where it takes those of rounds away.
FOLDER = ".ablation"
MEASURES = ("pair_accuracy", "ranking_accuracy", "longer_likelier", "kl")
#: What a cell cost: processor seconds and tokens of its training; answers sampled for its pairs, their tokens, answers
#: scored, and seconds that making its pairs took, those in which services were waited for included.
COSTS = ("cpu_s", "tokens", "samples", "sampled_tokens", "scored", "pairs_s")


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


def cells_of(base: Mapping[str, Any], grid_of: Grid) -> dict[Levels, Cell]:
    """Every cell by its levels. Raises BadSettings: a bad overlay, a part that nothing reads, too many cells."""
    for slot, names in grid_of.names.items():
        if len(set(names)) < len(names):
            raise BadSettings(f"{slot}: two levels have one name ({', '.join(names)})", field=slot)
    levels = {(slot, level.name): level for slot, found in grid_of.slots.items() for level in found}
    others = [len(names) for names in grid_of.names.values()]
    count = math.prod(others) if grid_of.full else 1 + sum(others) - len(others)
    runs = count * len(grid_of.seeds)
    if runs > grid_of.most:
        raise BadSettings(
            f"{count} cells by {len(grid_of.seeds)} seeds are {runs} runs, more than {grid_of.most}", field="most"
        )
    wanted = grid(grid_of.names, grid_of.full)
    made = {names: resolve(base, [levels[pair] for pair in zip(grid_of.slots, names, strict=True)]) for names in wanted}
    for cell in made.values():
        asked(cell)
    # One at a time, a slot is compared with the base's other parts alone.
    compared_in = made.values() if grid_of.full else [next(iter(made.values()))]
    if slot := unread(grid_of.slots, list(compared_in)):
        asking = ", ".join(row.name for row in BUILDERS.values() if "scorer" in row.traits.get("needs", ()))
        raise BadSettings(f"{slot}: no builder of any cell reads it; {asking} would", field=slot)
    return made


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the ablations' folder for this call. Raises ClaimTaken while another living one does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ClaimTaken("another ablation is under way on this data folder") from None
        yield


def kind_of(recipe: Any, evidence: str, grid_of: Grid) -> dict[str, Any]:
    """What makes two calls the same: only then does one go on with the evidence of the other."""
    levels = {slot: [[level.name, level.overlay] for level in found] for slot, found in grid_of.slots.items()}
    plain = {"full": grid_of.full, "seeds": list(grid_of.seeds), "tokens": grid_of.tokens}
    return {"recipe": recipe, "evidence": evidence, "levels": levels, **plain}


def pinned(folder: Path, kind: Any, evidence: Sequence[Evidence], as_of: float) -> tuple[list[Evidence], float, Path]:
    """The evidence that an unfinished call of the same kind began with, as far as it is there, of when that was
    (seconds), and the file that says so: whoever comes to an end takes it away."""
    store, path = FolderStore(folder), f"open/{digest_of(kind)}.json"
    names = {mark(piece): piece for piece in evidence}
    with suppress(ClaimTaken):
        create_json(store, path, {"as_of": as_of, "evidence": sorted(names)})
    begun = read_json(store, path)
    wanted = set(begun["evidence"])
    return [piece for name, piece in names.items() if name in wanted], begun["as_of"], folder / path


@dataclass(frozen=True)
class Measured:
    """What every cell is measured on. base: whose pairs they are. digest: of their rows."""

    base: Cell
    pairs: Sequence[Preference]
    digest: str


class _Erased(Exception):
    """Somebody was erased between reading and writing: it is to be done again, on what is left."""


class Ablation:
    """owns: the stages that finished, and the work under way, both below the bench's folder."""

    def __init__(self, bench: Bench, evidence: Sequence[Evidence]) -> None:
        self._bench = bench
        self._pairs = CellPairs(bench, evidence)
        self._stages = Stages(FolderStore(bench.folder), self._heard)
        self._work = bench.folder / "work"
        self._work.mkdir(parents=True, exist_ok=True)
        # What a killed call left: runs that go on make theirs again.
        _remove(self._work.glob("*.jsonl"))
        self._base = folder_digest(bench.base)
        self._taken = False

    def run(self, cells: Mapping[Levels, Cell], grid_of: Grid) -> dict[str, Any]:
        """The report. The first cell is the base's. Raises FailedPrecondition where a builder's port is not there, and
        where one of the sides is empty."""
        slots = grid_of.names
        first = next(iter(cells.values()))
        self._pairs.refuse_unable(cells.values())
        self._bench.told("pairs of the base")
        pairs = self._pairs.measured(first)
        if not pairs:
            raise FailedPrecondition("an ablation needs pairs of users who only measure, and the base makes none")
        measured = Measured(first, pairs, _rows_digest([datasets.training_row(pair) for pair in pairs]))
        tokens = grid_of.tokens or _until_whole(partial(self._tokens, measured))
        found = {}
        for names, cell in cells.items():
            said = ", ".join(f"{slot}={name}" for slot, name in zip(slots, names, strict=True))
            found[names] = self._cell(cell, said, measured, tokens, grid_of.seeds)
        groups = next(iter(found.values()))["groups"]
        kept = [
            {name: value for name, value in one.items() if name not in ("of_pair", "groups")} for one in found.values()
        ]
        return {
            "base": first.recipe.name,
            "as_of": self._bench.at,
            "grid": "full" if grid_of.full else "one",
            "slots": slots,
            "seeds": list(grid_of.seeds),
            "measured_on": len(groups),
            "users": len(set(groups)),
            "token_budget": tokens,
            "cells": [
                {"levels": dict(zip(slots, names, strict=True)), **one} for names, one in zip(found, kept, strict=True)
            ],
            "effects": effects(slots, cells, found, groups, grid_of.seeds[0]),
        }

    def _heard(self, stage: str, how: str) -> None:
        self._taken = how == "taken"

    def _rows(self, cell: Cell, said: str, measured: Measured) -> Rows:
        """What a cell learns from, as its pair set is now. Raises FailedPrecondition: too few, or the measured pairs
        are not what they were."""
        if self._pairs.measured(measured.base) != measured.pairs:
            raise FailedPrecondition(
                "somebody who is measured was erased meanwhile: no two cells are alike; ask for it again"
            )
        rows = self._pairs.learnt(cell, self._pairs.made(cell), measured.pairs)
        if len(rows) < cell.recipe.train.min_pairs:
            raise FailedPrecondition(
                f"{said}: {len(rows)} pairs to learn from, {cell.recipe.train.min_pairs} are needed"
            )
        return rows

    def _put(
        self, name: str, cell: Cell, rows: Rows, now: Callable[[], Rows], settings: Mapping[str, Any]
    ) -> dict[str, Path]:
        """The train stage's manifest and pairs, as files. now: the rows as they are then; raises _Erased where one
        went between reading and writing: what goes later, the eraser takes from here."""
        manifest, pairs = self._work / f"{name}.manifest.json", self._work / f"{name}.jsonl"
        manifest.write_text(json.dumps({"contract": "train/v1", "train": {**cell.recipe.train.settings, **settings}}))
        pairs.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        if now() != rows:
            raise _Erased
        return {"manifest": manifest, "pairs": pairs}

    def _tokens(self, measured: Measured) -> int:
        """What the base recipe's own run learns from: every cell's budget."""
        cell = measured.base
        now = partial(self._rows, cell, BASE, measured)
        rows = now()
        settings = {"train": cell.recipe.train.settings}
        inputs = {"code": CODE, "base": self._base, "pairs": _rows_digest(rows), **settings}

        def make(key: str) -> Mapping[str, Any]:
            try:
                named = self._put(key[:16], cell, rows, now, {})
                with _unless_erased(named["pairs"]):
                    return self._bench.run([*TRAINING, "count", *paths(**named, base=self._bench.base)])
            finally:
                _remove(self._work.glob(f"{key[:16]}*"))

        return int(self._stages.run("ablation-tokens", inputs, make).output["tokens"])

    def _cell(self, cell: Cell, said: str, measured: Measured, tokens: int, seeds: Sequence[int]) -> dict[str, Any]:
        """Measures of a cell, means over its seeds; `of_pair` has them by measured pair."""
        runs, outputs = [], []
        for seed in seeds:
            self._bench.told(f"{said}, seed {seed}")
            # However many steps it takes: the budget ends them.
            settings = {**cell.recipe.train.settings, "seed": seed, "token_budget": tokens, "max_steps": None}
            done = _until_whole(partial(self._seed, cell, said, measured, settings))
            # Only now: what is half taken away could be neither resumed nor taken for done.
            _remove(self._work.glob(f"{done.key[:16]}*"))
            runs.append({"seed": seed, "hash": done.key, "taken": self._taken})
            outputs.append(done.output)
        of_pair = {name: np.mean([output["of_pair"][name] for output in outputs], axis=0) for name in MEASURES}
        training = {name: sum(output["cost"][name] for output in outputs) for name in outputs[0]["cost"]}
        return {
            "runs": runs,
            "trained_on": outputs[0]["trained_on"],
            "measures": {name: float(values.mean()) for name, values in of_pair.items()},
            "cost": {name: {**self._pairs.made(cell).cost, **training}[name] for name in COSTS},
            "groups": outputs[0]["groups"],
            "of_pair": of_pair,
        }

    def _seed(self, cell: Cell, said: str, measured: Measured, settings: Mapping[str, Any]) -> Done:
        """One run of a cell, on the rows that are there now. Raises _Erased."""
        now = partial(self._rows, cell, said, measured)
        rows = now()
        inputs = {
            "code": CODE,
            # Name, gate and the like change nothing here; data, reward and prompts are in the pairs, too.
            "data": cell.data() | {"swap_share": cell.recipe.train.swap_share},
            "train": settings,
            "head": self._pairs.head(cell),
            "pairs": _rows_digest(rows),
            "measured": measured.digest,
            "teacher": {name: folder_digest(Path(path)) for name, path in (settings.get("teacher") or {}).items()},
            "base": self._base,
        }

        def make(key: str) -> Mapping[str, Any]:
            try:
                named = self._put(key[:16], cell, rows, now, settings)
                return self._trained(key[:16], named, measured, now)
            except _Erased:
                if now() != rows:
                    # Nothing goes on with what was learnt of them.
                    _remove(self._work.glob(f"{key[:16]}*"))
                raise
            finally:
                # Words stand in the pair sets alone, however it ended.
                _remove(self._work.glob(f"{key[:16]}*.jsonl"))

        return self._stages.run("ablation-cell", inputs, make)

    def _trained(
        self, name: str, named: Mapping[str, Path], measured: Measured, now: Callable[[], Rows]
    ) -> Mapping[str, Any]:
        """Trains and measures; numbers only, so that no word outlives its pair set."""
        bench, out = self._bench, self._work / name
        with _unless_erased(named["pairs"]):
            bench.run([*TRAINING, "run", *paths(**named, base=bench.base, out=out)])
        held = write(self._work / f"{name}.measured.jsonl", measured.pairs)
        now()
        with _unless_erased(held):
            found = likelihood(held, bench.base, out / "adapter", self._work / f"{name}.rows.jsonl", bench.run)
        metrics = json.loads((out / "metrics.json").read_text("utf-8"))
        places = {group: i for i, group in enumerate(dict.fromkeys(row["group"] for row in found))}
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
    slots: Mapping[str, Sequence[str]],
    cells: Mapping[Levels, Cell],
    found_in: Mapping[Levels, Mapping[str, Any]],
    groups: Sequence[int],
    seed: int,
) -> list[dict[str, Any]]:
    """Of every level but the base's: what it changes in each measure, with a 95 % interval by user, and in the cost.
    Over the cells that read its slot: the others are the same by design."""
    made = []
    for slot, levels in slots.items():
        found = {names: one for names, one in found_in.items() if reads(cells[names], slot)}
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


@contextmanager
def _unless_erased(file: Path) -> Iterator[None]:
    """What fails because the eraser took the file before it was read raises _Erased."""
    try:
        yield
    except (FailedPrecondition, OSError):
        if file.exists():
            raise
        raise _Erased from None


def _until_whole(once: Callable[[], T]) -> T:
    while True:
        with suppress(_Erased):
            return once()


def _rows_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    return digest_of(list(rows))


def _remove(found: Iterable[Path]) -> None:
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
