"""Pairs of answers that somebody judged, from any file that holds such: what factors and probes are measured on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile
from rejoinder.core.types import Message, Role
from rejoinder.reward import pairfile
from rejoinder.training import pairs as trainfile

Prompt = tuple[Message, ...]


@dataclass(frozen=True)
class JudgedPair:
    """Two answers to one prompt, `chosen` preferred; where `tie`, nobody preferred either. group: the user."""

    id: str
    group: str
    prompt: Prompt
    chosen: str
    rejected: str
    tie: bool = False


def read(path: Path) -> list[JudgedPair]:
    """From JSON Lines {id, group, messages, a, b, pref}, gzipped or not, or a pairs file of a train stage {id, prompt,
    chosen, rejected, group}; a line without two answers to one prompt is left out. Raises BadFile."""
    if "messages" in _first(path):
        found = [_of_judged(row, number) for number, row in enumerate(pairfile.read(path), 1)]
    else:
        found = of_rows(vars(pair) for pair in _train_pairs(path))
    if not found:
        raise BadFile(f"{path.name} holds no pair of answers", file=path.name)
    if len({pair.id for pair in found}) < len(found):
        raise BadFile(f"{path.name}: an id stands twice", file=path.name)
    return found


def of_rows(rows: Iterable[Mapping[str, Any]]) -> list[JudgedPair]:
    """From rows of the train stage's pairs file; one without two answers to one prompt is left out."""
    return [
        JudgedPair(row["id"], row["group"], _prompt(row["prompt"], "content"), row["chosen"], row["rejected"])
        for row in rows
        if None not in (row.get("chosen"), row.get("rejected")) and row.get("rejected_prompt") is None
    ]


def train_lines(pairs: Sequence[JudgedPair]) -> str:
    """The pairs as a train stage's file, for what only takes such; a tie's first answer stands as the chosen one."""
    rows = [
        {
            "id": pair.id,
            "group": pair.group,
            "prompt": [{"role": m.role.value.lower(), "content": m.content} for m in pair.prompt],
            "chosen": pair.chosen,
            "rejected": pair.rejected,
        }
        for pair in pairs
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _first(path: Path) -> Mapping[str, Any]:
    """The first value of a file, which says what kind it is. Raises BadFile."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            line = next((line for line in lines if line.strip()), "{}")
        value = json.loads(line)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadFile(f"{path.name} cannot be read: {type(error).__name__}", file=path.name) from None
    except (ValueError, RecursionError):
        raise BadFile(f"{path.name} line 1 is no JSON", file=path.name, line=1) from None
    if not isinstance(value, dict):
        raise BadFile(f"{path.name} line 1 is no JSON object", file=path.name, line=1)
    return value


def _train_pairs(path: Path) -> list[trainfile.Pair]:
    try:
        found = list(trainfile.read_pairs(path))
    except UnicodeDecodeError:
        raise BadFile(f"{path.name} is no UTF-8", file=path.name) from None
    for pair in found:
        if not all(message["role"].upper() in set(Role) for message in pair.prompt):
            raise BadFile(f"{path.name}: a message of a prompt has a role that there is not", file=path.name)
    return found


def _of_judged(row: Mapping[str, Any], number: int) -> JudgedPair:
    better, worse = ("a", "b") if row["pref"] >= 0.5 else ("b", "a")
    name, prompt = str(row.get("id") or number), _prompt(row["messages"], "text")
    return JudgedPair(name, str(row["group"]), prompt, row[better], row[worse], row["pref"] == 0.5)


def _prompt(messages: Iterable[Mapping[str, Any]], text: str) -> Prompt:
    return tuple(Message(Role(message["role"].upper()), message[text]) for message in messages)
