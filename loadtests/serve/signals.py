"""Turns through the signal worker, beside the bare session on the same texts and beside batches as they come."""

from __future__ import annotations

from pathlib import Path

from loadtests.processes import ROOT, Measured
from loadtests.report import Row
from loadtests.serve.measure import Found, Side, Taken, alternated, compared
from loadtests.serve.models import Models

TURNS, THREADS = 128, 1
MODEL = ROOT / "build" / "models" / "signals"


def measured(folder: Path, models: Models, rounds: int) -> tuple[list[Row], Found]:
    tokens = 0.0
    command = ("-m", "loadtests.serve.peers.turns", str(MODEL), str(THREADS))
    with Measured("turns", folder, command, answers=True) as process:

        def side(way: str) -> Side:
            def take(turn: int) -> Taken:
                nonlocal tokens
                found = process.ask({"way": way, "turn": turn, "count": TURNS})
                tokens = found.get("tokens", tokens)
                return Taken(TURNS, found["cpu_s"], found["wall_s"])

            return Side(f"signals, {way}", take)

        found = alternated([side("worker"), side("bare"), side("arrival")], rounds)
    name = f"signals through the worker, turns of {tokens:.0f} tokens"
    ours = "signals, worker"
    return [
        *compared(f"{name} / the bare session in batches", found, ours, "signals, bare", "turns", 0.8),
        *compared(f"{name} / 16 in order of arrival", found, ours, "signals, arrival", "turns", 2.5),
    ], found
