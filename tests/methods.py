"""Writes METHODS.md from the tables: which research system stands where, what it claims, and what is not shown yet.

`python tests/methods.py` prints it; `make gen` writes it; `make check` compares. A row is *shown* only when it has its
miniature and the control that must fail; what has code and tests of its parts alone is listed as such.
"""

# A table of prose: its lines are as long as they are.
# ruff: noqa: E501

from __future__ import annotations

import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Table attribute by module.
TABLES = (
    ("rejoinder.signals.extractors", "EXTRACTORS"),
    ("rejoinder.rounds.pairs", "BUILDERS"),
    ("rejoinder.rounds.pairs.summarise", "SUMMARISERS"),
    ("rejoinder.training.objectives", "OBJECTIVES"),
    ("rejoinder.reward.heads", "HEADS"),
    ("rejoinder.rerank.rankers", "RANKERS"),
    ("rejoinder.evaluate.measures", "MEASURES"),
    ("rejoinder.observe.formats", "FORMATS"),
)

#: Research systems of the spine: what there is of each, and what there is not.
# fmt: off
SPINE = (
    ("15", "WildFeedback", "2408.15549", "signals, rounds", "signals with reasons and spans; pairs by regeneration under the wish, leak guard with planted leaks", "satisfaction rising round by round; user-guided checklist evaluation"),
    ("103", "RLHF Workflow (online iterative DPO)", "2405.07863", "rounds", "best and worst of n under the reward service; rounds that resume and are gated", "the comparison with offline DPO at equal pairs"),
    ("40", "rDPO", "2403.00409", "training", "the loss, equal to TRL's `robust`; unbiased under flips by algebra", "policy value restored at 20-40 % flips (the miniature)"),
    ("77", "LN-DPO", "2407.15229", "training", "the loss, equal to TRL's `sigmoid_norm`; coincides with DPO at equal lengths", "shorter answers at equal win rate (the miniature)"),
    ("11", "Preference learning does not learn rankings", "2405.19534", "evaluate", "ranking accuracy summed, per token, length-matched, by difficulty; the idealised one; before, SFT, objective, shuffled on real pairs", "the alignment gap with several votes a pair"),
)
# fmt: on


def methods() -> str:
    lines = [
        "# Methods",
        "",
        "Made by `python tests/methods.py` from the tables in the code; edit those, then `make gen`.",
        "A method is *shown* when its claim in miniature passes and a sabotaged control fails. None of the systems below",
        "is shown in that sense yet; the table says what each has and what it lacks.",
        "",
        "## Research systems",
        "",
        "| row | system | paper | room | built and tested | not built |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row} | {name} | {paper} | {room} | {have} | {lack} |" for row, name, paper, room, have, lack in SPINE
    ]
    for module, attribute in TABLES:
        table = getattr(__import__(module, fromlist=[attribute]), attribute)
        lines += ["", f"## Table: {table.kind}", "", "| row | file | paper | claim |", "| --- | --- | --- | --- |"]
        for row in table.values():
            file = Path(inspect.getsourcefile(inspect.unwrap(row.make)) or "").relative_to(ROOT)
            lines.append(f"| `{row.name}` | `{file}` | {row.paper or 'ours'} | {row.claim} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    if sys.argv[1:] == ["--write"]:
        (ROOT / "METHODS.md").write_text(methods(), "utf-8")
    else:
        print(methods(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
