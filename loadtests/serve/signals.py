"""Turns through the signal worker, beside the bare session on the same texts and beside batches as they come: in fp32,
and the worker in the quickest precision that reads alike."""

from __future__ import annotations

from pathlib import Path

from loadtests.processes import ROOT, Measured
from loadtests.report import Row
from loadtests.serve.compiled import compiled
from loadtests.serve.measure import Found, Side, Taken, alternated, compared
from loadtests.serve.models import Models

TURNS, THREADS = 128, 1
MODEL = ROOT / "build" / "models" / "signals"


def measured(folder: Path, models: Models, rounds: int) -> tuple[list[Row], Found]:
    tokens = 0.0
    best = compiled(MODEL, folder / "compiled", THREADS)

    def process(model: Path, name: str) -> Measured:
        return Measured(name, folder, ("-m", "loadtests.serve.peers.turns", str(model), str(THREADS)), answers=True)

    with process(MODEL, "turns") as fp32, process(best.folder, f"turns-{best.precision}") as quick:

        def side(way: str, reader: Measured, name: str) -> Side:
            def take(turn: int) -> Taken:
                nonlocal tokens
                found = reader.ask({"way": way, "turn": turn, "count": TURNS})
                tokens = found.get("tokens", tokens)
                return Taken(TURNS, found["cpu_s"], found["wall_s"])

            return Side(f"signals, {name}", take)

        fp32_ways = [side(way, fp32, way) for way in ("worker", "bare", "arrival")]
        found = alternated([*fp32_ways, side("worker", quick, "best"), side("bare", quick, "best, bare")], rounds)
    what = f"turns of {tokens:.0f} tokens"
    rows = []
    for name, ours, bare in (("fp32", "worker", "bare"), (best.precision, "best", "best, bare")):
        said = f"signals through the worker, {name}, {what}"
        rows += compared(
            f"{said} / its bare session in batches", found, f"signals, {ours}", f"signals, {bare}", "turns", 0.8
        )
        # In order of arrival is what is had without batcher and compiler: fp32.
        rows += compared(
            f"{said} / 16 in order of arrival", found, f"signals, {ours}", "signals, arrival", "turns", 2.5
        )
    return [*rows, *best.rows("signals")], found
