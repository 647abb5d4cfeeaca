"""Files of log-probabilities and of raters' shares, as `rejoinder evaluate` is given them: checked line by line."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from rejoinder.cli.jsonlines import values
from rejoinder.core.errors import BadFile

NUMBERS = ("chosen_logp", "rejected_logp", "chosen_tokens", "rejected_tokens")
SHARES = ("share", "flip_probability")


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Raises BadFile that names the line."""
    found = []
    for where, row in _objects(file):
        for name in NUMBERS:
            if not _is_number(row.get(name)):
                raise BadFile(f"{where}: {name} must be a finite number", file=file.name)
        if min(row["chosen_tokens"], row["rejected_tokens"]) <= 0:
            raise BadFile(f"{where}: a response has one token at least", file=file.name)
        for name in SHARES:
            if name in row and not (_is_number(row[name]) and 0 <= row[name] <= 1):
                raise BadFile(f"{where}: {name} must be between 0 and 1", file=file.name)
        found.append({**row, "group": str(row.get("group") or row["id"])})
    return found


def shares_of(file: Path) -> dict[str, float]:
    """Raises BadFile that names the line."""
    found = {}
    for where, row in _objects(file):
        if not (_is_number(row.get("share")) and 0 <= row["share"] <= 1):
            raise BadFile(f"{where}: share must be between 0 and 1", file=file.name)
        found[row["id"]] = float(row["share"])
    return found


def _objects(file: Path) -> Sequence[tuple[str, dict[str, Any]]]:
    out, seen = [], set()
    for where, number, row in values(file):
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise BadFile(f"{where} is no object with an id", file=file.name, line=number)
        if row["id"] in seen:
            raise BadFile(f"{where}: its id stands twice", file=file.name, line=number)
        seen.add(row["id"])
        out.append((where, row))
    if not out:
        raise BadFile(f"{file.name} holds no pair", file=file.name)
    return out


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
