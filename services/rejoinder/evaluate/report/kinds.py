"""Reports of other commands that the page draws: `rejoinder evaluate ranking|factors|probes` and `round ranking`, each
as `--json` printed it, known by its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile
from rejoinder.evaluate.report.reading import At

#: Such a report has some kilobytes.
MOST_BYTES = 8 << 20
SLICES = tuple((how, part) for how in ("summed", "per_token") for part in ("all", "length_matched"))


@dataclass(frozen=True)
class Kind:
    """command: that prints it. fields: that it has, and no other kind. read: its values, checked."""

    command: str
    fields: frozenset[str]
    read: Callable[[At], dict[str, Any]]


def load(path: Path) -> dict[str, Any]:
    """The values of one file, with its `kind` and `file`. Raises BadFile, naming the field, or what it is not."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadFile(f"{path.name} is larger than {MOST_BYTES >> 20} MB: no report of evaluate", file=path.name)
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadFile(f"cannot read {path.name}: {(error.strerror or '').lower()}", file=path.name) from None
    except (ValueError, RecursionError):
        raise BadFile(f"{path.name} is no JSON", file=path.name) from None
    names = value.keys() if isinstance(value, dict) else set()
    for name, kind in KINDS.items():
        if kind.fields <= names:
            return {"kind": name, "file": path.name, **kind.read(At(path.name, "", value))}
    known = ", ".join(f"`rejoinder {kind.command} --json`" for kind in KINDS.values())
    has = ", ".join(sorted(map(str, names))[:8])[:200] or "no field"
    raise BadFile(f"{path.name} is of no kind that the page draws ({known}); it has {has}", file=path.name)


def _ranking(at: At) -> dict[str, Any]:
    difficulty = [
        {"n": part["n"].count(), **{name: part[name].number() for name in ("hardest", "before", "after")}}
        for part in at["by_difficulty"].each()
    ]
    best, found = at["idealised"], None
    if not best.absent:
        figures = {name: best[name].figure() for name in ("before", "after", "idealised", "gap")}
        found = {"shares_from": best["shares_from"].text(), **figures}
    flips = {name: at["flips"][name].figure() for name in ("turned_right", "turned_wrong")}
    return {"slices": _slices(at), "flips": flips, "by_difficulty": difficulty, "idealised": found}


def _slices(at: At) -> list[dict[str, Any]]:
    found = []
    for how, part in SLICES:
        here = at[how][part]
        figures = {name: here[name].figure() for name in ("before", "after", "gain", "longer_wins")}
        measured = {"n": here["after"]["n"].count(), "measured": here["after"]["measured"].true()}
        found.append({"how": how, "part": part, **measured, **figures})
    return found


def _arms(at: At) -> dict[str, Any]:
    counts = {name: at[name].count() for name in ("trained_on", "measured_on")}
    return {**counts, "arms": {name: _slices(arm) for name, arm in at["arms"].items()}}


def _factors(at: At) -> dict[str, Any]:
    gaps = []
    for gap in at["gaps"].each():
        factors = {name: _alarming(factor) for name, factor in gap["factors"].items()}
        names = {name: gap[name].text() for name in ("of", "less")}
        gaps.append({**names, "factors": factors, "alignment": gap["alignment"].figure()})
    scores = {who: {name: _known(f) for name, f in found.items()} for who, found in at["scores"].items()}
    return {**_counts(at, "n", "users", "left_out"), "measured": at["measured"].true(), "scores": scores, "gaps": gaps}


def _known(at: At) -> dict[str, Any]:
    """A figure that keeps its place where it has no value."""
    return at.figure() or {"value": None, "low": None, "high": None, "n": at["n"].count()}


def _alarming(at: At) -> dict[str, Any]:
    return {**_known(at), "alarm": at["alarm"].true()}


def _probes(at: At) -> dict[str, Any]:
    probes = {
        name: {
            **{part: probe[part].figure() for part in ("before", "after", "robustness", "bias", "beyond_plain")},
            **_counts(probe, "turned_wrong", "turned_right"),
            "p": probe["p"].number(),
            "alarm": probe["alarm"].true(),
        }
        for name, probe in at["probes"].items()
    }
    before = None if at["before"].absent else at["before"].figure()
    orders = at["both_orders"].true()
    return {
        **_counts(at, "n", "users", "ties", "unanswered"),
        "both_orders": orders,
        "before": before,
        "probes": probes,
    }


def _counts(at: At, *names: str) -> dict[str, int]:
    return {name: at[name].count() for name in names}


KINDS: Mapping[str, Kind] = {
    "ranking": Kind("evaluate ranking", frozenset({"summed", "per_token", "by_difficulty"}), _ranking),
    "factors": Kind("evaluate factors", frozenset({"scores", "gaps", "left_out"}), _factors),
    "probes": Kind("evaluate probes", frozenset({"probes", "ties", "unanswered"}), _probes),
    "arms": Kind("round ranking", frozenset({"arms", "trained_on", "measured_on"}), _arms),
}
