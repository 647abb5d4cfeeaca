"""A folder of variants from an exported encoder, each a model folder of its own with its own digest."""

from __future__ import annotations

import json
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rejoinder.core.answertext import TokenRow
from rejoinder.core.errors import BadFile, FailedPrecondition, RejoinderError
from rejoinder.core.modelfolder import DIGEST, FACTS, GRAPH, MEASURED, TOKENIZER, ModelFolder, Run, seal
from rejoinder.core.turntext import Budget, TurnRow, both, layout
from rejoinder.runtime.backends import BACKENDS, Backend, cores
from rejoinder.runtime.batching.layouts import Layouts
from rejoinder.runtime.batching.textmodel import Words, pad, words_of
from rejoinder.runtime.compiling.costs import Batch, Exactness, Speed, exactness, quickest, speed
from rejoinder.runtime.compiling.variants import PRECISIONS, first_line, write_graph
from rejoinder.runtime.own import EXPORTED

CARD = "card.md"
#: Tokens of a batch while it is measured, as the batcher's default.
_TOKENS = 384
#: Rows below which an order says nothing.
LEAST = 16


@dataclass(frozen=True)
class Said:
    """What rows are made of. turns: a conversation, oldest first; text: what stands after it."""

    turns: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Variant:
    """One of them as it was made. exact: beside the folder that it is made from. speeds: by threads, rising; speed: the
    quickest of them, by which a service takes its threads."""

    precision: str
    folder: Path
    digest: str
    run: Run
    graph_bytes: int
    exact: Exactness
    speeds: tuple[Speed, ...]

    @property
    def speed(self) -> Speed:
        return quickest(self.speeds)


@dataclass(frozen=True)
class Measuring:
    """threads: to try, rising. least_s: seconds that each of them is measured for."""

    threads: tuple[int, ...]
    least_s: float = 2.0


def usual_threads() -> tuple[int, ...]:
    """Powers of two up to the cores that this process may use, and that number."""
    there = cores()
    return tuple(sorted({*(2**n for n in range(there.bit_length()) if 2**n <= there), there}))


def batches_of(folder: ModelFolder, said: Sequence[Said]) -> list[Batch]:
    """Padded batches, longest rows first, laid out as whoever serves the folder does. Raises BadFile where the facts
    are of no layout that we know, or there is no text."""
    if (folder.path / EXPORTED["policy"]).is_file():
        raise BadFile(f"{folder.path} holds a causal model; these are variants of encoders", file=EXPORTED["policy"])
    if len(said) < LEAST:
        raise BadFile(f"{len(said)} texts say nothing of an order; give {LEAST} or more", field="texts")
    with _readable(folder.path / TOKENIZER):
        words = words_of(folder.path / TOKENIZER)
    with _readable(folder.path / FACTS):
        rows = sorted(_rows(folder, words, said), key=lambda row: -len(row.ids))
    cut: list[list[TokenRow | TurnRow]] = []
    for row in rows:
        if cut and (len(cut[-1]) + 1) * len(cut[-1][0].ids) <= _TOKENS:
            cut[-1].append(row)
        else:
            cut.append([row])
    return [pad(part) for part in cut]


def _rows(folder: ModelFolder, words: Words, said: Sequence[Said]) -> list[TokenRow | TurnRow]:
    outputs = folder.facts.get("outputs", ())
    if "rubric" in folder.facts:
        cls, sep = both(words.cls, words.sep)
        budget = Budget(**folder.facts["budget"])
        found: list[TokenRow | TurnRow] = []
        for one in said:
            answer, text = words.encode([one.turns[-1] if one.turns else "", one.text])
            found.append(layout(answer, text, cls=cls, sep=sep, budget=budget))
        return found
    layouts = Layouts(folder.facts)
    if "score" in outputs:
        return [row for one in said for row in layouts.answers(words, one.turns, [one.text])]
    if "embedding" in outputs:
        return list(layouts.texts(words, [one.text for one in said]))
    raise BadFile(f"{folder.path}: of {', '.join(outputs) or 'no outputs'} no rows are known", file=FACTS)


class Maker:
    """owns: the outputs of the folder that variants are measured beside."""

    def __init__(self, source: ModelFolder, said: Sequence[Said], how: Measuring) -> None:
        """Takes as long as the texts take in fp32. Raises FailedPrecondition for a folder that is compiled itself."""
        if "run" in source.facts:
            raise FailedPrecondition(f"{source.path} is compiled; name the folder that it was made from")
        self._source = source
        self._how = how
        self._batches = batches_of(source, said)
        with _opened(source, how.threads[-1], 1) as graph:
            with _readable(source.path / GRAPH):
                self._fp32 = [graph.infer(batch) for batch in self._batches]

    def made(self, precision: str, out: Path, told: Callable[[], None] = lambda: None) -> Variant:
        """The variant in `out`, which must not be there; told: after each number of threads.

        Raises FailedPrecondition where this machine or environment cannot make it, BadFile for a graph that cannot be.
        """
        aside = out.with_name(f".{out.name}.{uuid.uuid4().hex}.part")
        aside.mkdir(parents=True)
        try:
            for path in self._source.path.iterdir():
                if path.is_file() and path.name not in (GRAPH, FACTS, DIGEST):
                    shutil.copyfile(path, aside / path.name)
            write_graph(precision, self._source.path / GRAPH, aside / GRAPH)
            variant = self._measured(precision, aside, told)
            _write_facts(self._source, aside, variant)
            digest = seal(aside)
            aside.rename(out)
            return replace(variant, folder=out, digest=digest)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _measured(self, precision: str, aside: Path, told: Callable[[], None]) -> Variant:
        run: Run = PRECISIONS[precision].traits["run"]
        unsealed = ModelFolder(aside, "", {**self._source.facts, "run": asdict(run)})
        speeds, exact = [], None
        for threads in self._how.threads:
            lanes = max(1, cores() // threads)
            with _opened(unsealed, threads, lanes) as graph:
                if exact is None:
                    with _readable(aside / GRAPH):
                        found = [graph.infer(batch) for batch in self._batches]
                    self._refuse_other_shapes(precision, found)
                    exact = exactness(self._fp32, found, self._batches)
                speeds.append(speed(graph, threads, lanes, self._batches, least_s=self._how.least_s))
            told()
        assert exact is not None
        return Variant(precision, aside, "", run, (aside / GRAPH).stat().st_size, exact, tuple(speeds))

    def _refuse_other_shapes(self, precision: str, found: Sequence[Batch]) -> None:
        for mine, its in zip(self._fp32, found, strict=True):
            for name, values in mine.items():
                if name not in its or its[name].shape != values.shape:
                    shape = list(its[name].shape) if name in its else "missing"
                    raise BadFile(
                        f"in {precision} the output {name} is {shape} where it is {list(values.shape)}: its backend"
                        " reads the graph otherwise",
                        output=name,
                    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What libraries raise of a file of somebody's as BadFile."""
    try:
        yield
    except RejoinderError:
        raise
    except Exception as error:
        raise BadFile(f"{path} cannot be used: {first_line(error)}", file=path.name) from None


@contextmanager
def _opened(folder: ModelFolder, threads: int, lanes: int) -> Iterator[Backend]:
    """A folder's graph by its own backend, let go of at the end. Raises BadFile, FailedPrecondition."""
    row = BACKENDS[folder.run.backend]
    params = {"threads": threads, **({"lanes": lanes} if row.name == "openvino" else {})}
    with _readable(folder.path / GRAPH):
        graph = row.make(folder, row.with_params(params))
    try:
        yield graph
    finally:
        graph.close()


def _write_facts(source: ModelFolder, aside: Path, variant: Variant) -> None:
    """What the model is into the facts, what was measured of it beside them."""
    facts = {**source.facts, "run": asdict(variant.run), "compiled_from": source.digest}
    (aside / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True), "utf-8")
    measured = {
        "threads": variant.speed.threads,
        "lanes": variant.speed.lanes,
        "machine": _machine(),
        "cores": cores(),
        "beside_fp32": asdict(variant.exact),
        "speeds": [asdict(one) for one in variant.speeds],
    }
    (aside / MEASURED).write_text(json.dumps(measured, indent=1), "utf-8")
    card = aside / CARD
    before = card.read_text("utf-8") if card.is_file() else ""
    card.write_text(before.rstrip() + _section(source, variant), "utf-8")


def _section(source: ModelFolder, variant: Variant) -> str:
    return f"""

## Compiled: {variant.precision}

{PRECISIONS[variant.precision].claim}; made from `{source.digest}` by `rejoinder compile`. What it costs in exactness
and gains in speed stands in {MEASURED}, of the machine that made it.
"""


def _machine() -> str:
    """The processor as the system calls it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            named = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        named = []
    return named[0] if named else platform.machine()
