"""Runs the miniatures and prints them: `python -m tests.miniatures.measure [NAME …] [--write]`.

Always the long form. --write keeps the figures in figures.json, which METHODS.md is made from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tests.miniatures import (
    ablation,
    chat,
    contrast,
    dove,
    drift,
    factors,
    kto,
    ln_dpo,
    logic,
    nextquill,
    norms,
    online,
    orpo,
    probes,
    rankings,
    rdpo,
    rpo,
    teachers,
    thoughts,
    tpo,
    vpo,
    wildfeedback,
)
from tests.miniatures.paired import Claim, Found, said, shown
from tests.miniatures.size import LONG, SHORT

FIGURES = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class Miniature:
    """number: of the research system, or a name where it has none. file: where its world and claims stand. measure:
    seeds → what was found. seeds: of the kept figures."""

    number: str
    file: str
    measure: Callable[[Sequence[int]], Found]
    seeds: Sequence[int] = LONG


def _labels(seeds: Sequence[int]) -> Found:
    return wildfeedback.measure(chat.world(), seeds)


def _loop(seeds: Sequence[int]) -> Found:
    return wildfeedback.measure_loop(chat.world(), seeds[: len(SHORT)])


MINIATURES: Mapping[str, Miniature] = {
    "wildfeedback": Miniature("15", "wildfeedback.py", _labels),
    "wildfeedback_loop": Miniature("15", "wildfeedback.py", _loop),
    "online": Miniature("103", "online.py", online.measure),
    "rdpo": Miniature("40", "rdpo.py", rdpo.measure),
    "ln_dpo": Miniature("77", "ln_dpo.py", ln_dpo.measure),
    "rankings": Miniature("11", "rankings.py", rankings.measure),
    "factors": Miniature("8", "factors.py", factors.measure, factors.FRESH),
    "probes": Miniature("88", "probes.py", probes.measure),
    "norms": Miniature("118", "norms.py", norms.measure),
    "drift": Miniature("93", "drift.py", drift.measure),
    "ablation": Miniature("18", "ablation.py", ablation.measure),
    "contrast": Miniature("29", "contrast.py", contrast.measure),
    "dove": Miniature("28", "dove.py", dove.measure),
    "logic": Miniature("54", "logic.py", logic.measure),
    "tpo": Miniature("97", "tpo.py", tpo.measure),
    "nextquill": Miniature("127", "nextquill.py", nextquill.measure),
    "teachers": Miniature("102", "teachers.py", teachers.measure),
    "rpo": Miniature("100", "rpo.py", rpo.measure),
    "orpo": Miniature("106", "orpo.py", orpo.measure),
    "thoughts": Miniature("106", "thoughts.py", thoughts.measure),
    "vpo": Miniature("108", "vpo.py", vpo.measure),
    "kto": Miniature("KTO", "kto.py", kto.measure, kto.FRESH),
    "kto_lopsided": Miniature("KTO", "kto.py", kto.measure_lopsided),
}


def kept(miniature: Miniature, found: Found) -> dict[str, Any]:
    """The figures of one row as they are kept, to three places and without a negative zero."""

    def listed(claims: Sequence[Claim]) -> list[dict[str, Any]]:
        figures = [{k: round(v, 3) + 0 for k, v in asdict(c.interval).items()} for c in claims]
        heads = [{"claim": c.name, "floor": c.floor, "holds": c.holds} for c in claims]
        return [head | row for head, row in zip(heads, figures, strict=True)]

    return {
        "row": miniature.number,
        "file": miniature.file,
        "shown": shown(found.claims) and not shown(found.control),
        "claims": listed(found.claims),
        "control": listed(found.control),
        "beside": {name: str(value) for name, value in found.beside.items()},
    }


def main(names: Sequence[str], write: bool) -> None:
    figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    for name in names or MINIATURES:
        miniature = MINIATURES[name]
        found = miniature.measure(miniature.seeds)
        print(f"row {miniature.number}, {name}\n{said(found.claims)}\ncontrol\n{said(found.control)}")
        print(*(f"beside: {what}: {value}" for what, value in found.beside.items()), sep="\n", end="\n\n")
        figures[name] = kept(miniature, found)
    if write:
        ordered = {name: figures[name] for name in MINIATURES if name in figures}
        FIGURES.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main([a for a in sys.argv[1:] if a != "--write"], "--write" in sys.argv)
