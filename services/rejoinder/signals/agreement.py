"""Agreement with a person about reasons: F1 by reason, overlap of evidence, beside the keyword floor.

    python -m rejoinder.signals.agreement FILE MODEL_FOLDER

FILE holds turns of the evaluation format with `reasons: [{reason, start, end}]`. A reason is scored where a person
gave it at least `least` times; of rarer ones nothing could be said. The overlap is intersection over union of
characters, on reasons that both gave.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rejoinder.core.types import Reason
from rejoinder.signals import keywords
from rejoinder.signals.extractors import minilm
from rejoinder.signals.package import load


def f1_by_reason(given: Sequence[set[str]], said: Sequence[set[str]], least: int = 1) -> dict[str, float]:
    """F1 of every reason given at least `least` times."""
    counts = {name: sum(name in g for g in given) for g in given for name in g}
    out = {}
    for name in sorted(n for n, c in counts.items() if c >= least):
        both = sum(name in g and name in s for g, s in zip(given, said, strict=True))
        out[name] = 2 * both / (counts[name] + sum(name in s for s in said))
    return out


def overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Intersection over union of two character ranges."""
    shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    union = max(a[1], b[1]) - min(a[0], b[0]) if shared else (a[1] - a[0]) + (b[1] - b[0])
    return shared / union if union else 0.0


def agree(records: Sequence[Mapping], found: Sequence[Sequence[Reason]], least: int = 3) -> dict[str, object]:
    """macro_f1 of the readings and of the keywords, F1 by reason, mean overlap of spans. records, found: aligned."""
    given = [{r["reason"] for r in record["reasons"]} for record in records]
    said = [{reason.rubric for reason in reasons} for reasons in found]
    floor = [keywords.reasons(record["followup"]) for record in records]
    by, below = f1_by_reason(given, said, least), f1_by_reason(given, floor, least)
    hits = [
        overlap((r["start"], r["end"]), (reason.start, reason.end))
        for record, reasons in zip(records, found, strict=True)
        for r in record["reasons"]
        for reason in reasons
        if reason.rubric == r["reason"]
    ]
    return {
        "n": len(records),
        "macro_f1": float(np.mean(list(by.values()))) if by else float("nan"),
        "keyword_macro_f1": float(np.mean(list(below.values()))) if below else float("nan"),
        "span_overlap": float(np.mean(hits)) if hits else float("nan"),
        "by_reason": by,
        "keyword_by_reason": below,
    }


def main(path: str, folder: str) -> None:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line]
    turns = [(record["messages"][-1]["text"], record["followup"]) for record in records]
    verdicts = minilm.read(turns, minilm.Params(), load(Path(folder)))
    print(json.dumps(agree(records, [v.reasons for v in verdicts]), indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
