"""The pairs that a cell of an ablation learns from: made once for all cells that have the same, and what that cost."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from rejoinder.core.arms import Salts
from rejoinder.core.clock import Clock
from rejoinder.core.errors import FailedPrecondition, NoSuchHead
from rejoinder.core.ids import derived_id, digest_of
from rejoinder.core.types import Feedback, Interaction, Message, Preference, Sampling
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.registry import datasets
from rejoinder.registry.reviews import reviewed
from rejoinder.rounds.build import build_pairs
from rejoinder.rounds.gate import prompts_of
from rejoinder.rounds.overlays import Cell, needs_of
from rejoinder.rounds.pairs.consensus import agreed
from rejoinder.rounds.pairs.context import Context, Likelihood, Sampled, Sampler, Scorer, present
from rejoinder.rounds.pairs.split import apart, side_of, split
from rejoinder.rounds.plan import HOLDOUT_SHARE
from rejoinder.rounds.recipe import Gate
from rejoinder.rounds.runner import swap

#: Raised when what a cell does with the same inputs changes.
CODE = "ablation/1"
#: Evidence that a prompt of a file stands as.
_OF_FILE = "prompt:"
#: Before what a pair set cost, among its counts.
_COST = "cost."


@dataclass(frozen=True)
class Bench:
    """What cells are made with. folder: of all ablations (FOLDER below the rounds'). held: tenant and id of the
    evidence that the ledger has now. at: of the latest evidence, seconds. run: runs the training room's commands.
    verdicts: what people said of pairs, pair digest → verdict."""

    folder: Path
    base: Path
    salt: bytes
    context: Context
    run: Callable[[Sequence[str]], dict[str, Any]]
    clock: Clock
    held: Callable[[], Set[tuple[str, str]]]
    at: float = 0.0
    told: Callable[[str], None] = lambda line: None
    verdicts: Mapping[str, str] = field(default_factory=dict)


class Counted:
    """Sampler and scorer as one, and what was asked of them, from as many threads as there are. owns: the counts."""

    def __init__(self, sampler: Sampler | None, scorer: Scorer | None) -> None:
        self._sampler, self._scorer = sampler, scorer
        self._one = Lock()
        self.counts = Counter(samples=0, sampled_tokens=0, scored=0)

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> Sequence[Sampled]:
        found = present(self._sampler).sample(messages, sampling, n, version)
        with self._one:
            self.counts.update(samples=len(found), sampled_tokens=sum(answer.tokens for answer in found))
        return found

    def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str
    ) -> Sequence[Likelihood]:
        return present(self._sampler).likelihood(messages, continuations, version)

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> Sequence[float]:
        with self._one:
            self.counts.update(scored=len(responses))
        return present(self._scorer).score(messages, responses)

    def heads(self) -> Mapping[str, str]:
        return present(self._scorer).heads()

    def under(self, head: str) -> Scorer:
        return present(self._scorer).under(head)


@dataclass(frozen=True)
class Made:
    """Pairs of a cell on all sides, and what they cost."""

    pairs: tuple[Preference, ...]
    cost: Mapping[str, float] = field(default_factory=dict)


class CellPairs:
    """owns: the pair sets below the bench's folder."""

    def __init__(self, bench: Bench, evidence: Sequence[Evidence]) -> None:
        self._bench = bench
        self._evidence = evidence

    def refuse_unable(self, cells: Iterable[Cell]) -> None:
        """Raises FailedPrecondition where a builder's port is not there."""
        for cell in cells:
            if missing := self._bench.context.missing(sorted(cell.needs)):
                told = ", ".join(f"a {name}" for name in missing)
                raise FailedPrecondition(
                    f"{cell.recipe.name}: a builder needs {told}; run it beside `rejoinder up`, or name the services"
                )

    def head(self, cell: Cell) -> str:
        """Digest of the head that scores a cell's candidates, "" where none does. Raises NoSuchHead."""
        if "scorer" not in cell.needs:
            return ""
        heads = present(self._bench.context.scorer).heads()
        if cell.head not in heads:
            known = ", ".join(name for name in heads if name)
            raise NoSuchHead(f"the reward service has no head called {cell.head}; it has {known}", head=cell.head)
        return heads[cell.head]

    def made(self, cell: Cell) -> Made:
        """Pairs of a cell, made once for all cells that have the same."""
        bench = self._bench
        version = bench.context.version if "sampler" in cell.needs else ""
        made_of = {
            "code": CODE,
            "data": cell.data(),
            "head": self.head(cell),
            "version": version,
            "evidence": digest_of(sorted(map(mark, self._evidence))),
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

    def measured(self, cell: Cell) -> list[Preference]:
        """A cell's pairs of users who only measure, without those that a person rejected."""
        pairs = reviewed(self.made(cell).pairs, self._bench.verdicts)
        sides = split((p for p in pairs if not of_nobody(p)), Salts(), HOLDOUT_SHARE).sides
        return [*sides["gate"], *sides["evaluation"]]

    def learnt(self, cell: Cell, made: Made, measured: Sequence[Preference]) -> list[dict[str, Any]]:
        """Rows of the train stage's file: of users who may be learnt from, and of prompts that are nobody's."""
        pairs = reviewed(made.pairs, self._bench.verdicts)
        may = [p for p in pairs if of_nobody(p) or side_of(p, Salts(), HOLDOUT_SHARE) == "pairs"]
        kept, _ = apart(may, measured)
        agreeing = agreed(kept, self._evidence, cell.recipe.consensus, Salts(), HOLDOUT_SHARE).pairs
        rows = [datasets.training_row(pair) for pair in agreeing]
        swap(rows, cell.recipe.train.swap_share, cell.recipe.seed)
        return rows


def mark(piece: Evidence) -> str:
    read = piece.signal.event_id if piece.signal else ""
    return derived_id("evidence", piece.tenant, piece.id, piece.interaction.event_id, read)[:16]


def asked(cell: Cell) -> list[Evidence]:
    """The prompts of a cell's file as evidence of nobody. Raises BadFile."""
    if not cell.prompts:
        return []
    rows = prompts_of(Gate(prompts=cell.prompts))
    return [
        Evidence(f"{_OF_FILE}{row['id']}", "", Feedback(), Interaction(messages=datasets.messages_of(row["prompt"])))
        for row in rows
    ]


def of_nobody(pair: Preference) -> bool:
    """Of a file's prompt. A client may give its feedback such an id, but not without an event of its own."""
    return pair.provenance.evidence.startswith(_OF_FILE) and not pair.provenance.event_ids
