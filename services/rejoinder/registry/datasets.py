"""A round's pair sets on disk: rows of JSON Lines that an erasure can empty, and a manifest that still verifies.

A set's identity is a digest over the salted digests of its rows. Erasing a user takes the words out of their rows and
leaves the row digests, so the manifest verifies and says how many rows are redacted; such a round can be checked, and
no longer repeated (F16, U11).

    <folder>/manifest.json   {"name", "rows": n, "digest", "counts", "made_of": {…}}
    <folder>/rows.jsonl      {"digest", "pair": {…} | null}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rejoinder.core.errors import DataLoss, NotFound
from rejoinder.core.ids import digest_of
from rejoinder.core.types import Candidate, Message, Preference, Provenance, Role

MANIFEST, ROWS = "manifest.json", "rows.jsonl"


class Covers(Protocol):
    """Whether a record of this tenant and user, accepted at this time (seconds), must go. events: ids of what it was
    made of, by which one that names no user is known."""

    def __call__(self, tenant: str, user_id: str, accepted_at: float, events: Sequence[str] = ()) -> bool: ...


@dataclass(frozen=True)
class DataSet:
    """A set as its manifest says. made_of: digests of what it was built from (window, recipe, models)."""

    name: str
    rows: int
    digest: str
    counts: Mapping[str, int] = field(default_factory=dict)
    made_of: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """holds: the manifest's digest is that of the rows. redacted: emptied by erasures; altered: changed otherwise."""

    holds: bool
    redacted: int
    altered: int


def write(
    folder: Path,
    name: str,
    pairs: Sequence[Preference],
    salt: bytes,
    counts: Mapping[str, int],
    made_of: Mapping[str, str],
    accepted_at: float,
) -> DataSet:
    """Writes a set; the folder appears whole or not at all. accepted_at: of the latest evidence in it, seconds."""
    digests = [_row_digest(salt, pair) for pair in pairs]
    rows = [
        {"digest": digest, "pair": {**_plain(pair), "accepted_at": accepted_at}}
        for digest, pair in zip(digests, pairs, strict=True)
    ]
    made = DataSet(name, len(rows), _set_digest(digests), dict(counts), dict(made_of))
    aside = folder.with_name(f".{folder.name}.aside")
    aside.mkdir(parents=True, exist_ok=True)
    _put(aside / ROWS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    _put(aside / MANIFEST, json.dumps(asdict(made), indent=1, sort_keys=True) + "\n")
    os.rename(aside, folder)
    return made


def read_manifest(folder: Path) -> DataSet:
    """Raises NotFound."""
    try:
        return DataSet(**json.loads((folder / MANIFEST).read_text("utf-8")))
    except FileNotFoundError:
        raise NotFound("no data set stands there", folder=folder.name) from None


def read(folder: Path) -> Iterator[Preference]:
    """The pairs that are left. Raises NotFound."""
    for row in _rows(folder):
        if row["pair"] is not None:
            yield _preference(row["pair"])


def keep(folder: Path, evidence: Set[tuple[str, str]]) -> int:
    """Empties the rows that were made of other evidence than this (tenant, id): of what was erased meanwhile. Answers
    how many. Raises NotFound."""
    rows = list(_rows(folder))
    gone = [
        row
        for row in rows
        if (pair := row["pair"]) is not None and (pair["tenant"], pair["provenance"]["evidence"]) not in evidence
    ]
    if gone:
        _empty(folder / ROWS, rows, gone)
    return len(gone)


def check(folder: Path, salt: bytes) -> Checked:
    """Holds a set against its manifest. Raises NotFound."""
    manifest, rows = read_manifest(folder), list(_rows(folder))
    left = [row for row in rows if row["pair"] is not None]
    altered = sum(_row_digest(salt, _preference(row["pair"])) != row["digest"] for row in left)
    holds = _set_digest([row["digest"] for row in rows]) == manifest.digest
    return Checked(holds, len(rows) - len(left), altered)


class PairSets:
    """Every set below a root, as a store that erasure reaches. owns: nothing; the files are the state.

    Layout: `<root>/<policy>/<round>/<set>/rows.jsonl`; files right in a round's folder are made from its sets and from
    those of earlier rounds, and are made again when they are missing. So are files right in `<root>/.*/work`, which go
    whoever is erased: one may have been left by a killed writer whose sets were emptied since.
    """

    name = "pair_sets"

    def __init__(self, root: Path) -> None:
        self._root = root

    def erase(self, covers: Covers) -> int:
        """Empties the rows of covered users; answers how many."""
        removed = 0
        for left in self._root.glob(".*/work/*.jsonl"):
            left.unlink(missing_ok=True)
        for path, rows, gone in self._covered(covers):
            if not removed:
                # Before the first row goes: killed in between, the next call finds the row and comes here again.
                self._unlink_derived()
            _empty(path, rows, gone)
            removed += len(gone)
        if removed:
            # What was made meanwhile of rows that were still there; who makes one looks at the sets again afterwards.
            self._unlink_derived()
        for path in self._half_written(covers):
            path.unlink()
        return removed

    def holds(self, covers: Covers) -> int:
        """How many rows of covered users there are."""
        return sum(len(gone) for _, _, gone in self._covered(covers)) + len(self._half_written(covers))

    def _unlink_derived(self) -> None:
        for derived in self._root.glob("*/*/*.jsonl"):
            derived.unlink(missing_ok=True)

    def _half_written(self, covers: Covers) -> list[Path]:
        """What a killed writer left, with a covered row or a torn one: whoever still writes it makes it again."""
        return [path for path in self._root.rglob(f".{ROWS}.aside") if _torn_or_covered(path, covers)]

    def _covered(self, covers: Covers) -> Iterator[tuple[Path, list[dict[str, Any]], list[dict[str, Any]]]]:
        """The file of each set with covered rows, all its rows, and those."""
        for path in sorted(self._root.rglob(ROWS)):
            rows = list(_rows(path.parent))
            if gone := [row for row in rows if row["pair"] is not None and _goes(row["pair"], covers)]:
                yield path, rows, gone


def _torn_or_covered(path: Path, covers: Covers) -> bool:
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return any(row["pair"] is not None and _goes(row["pair"], covers) for row in rows)


def _empty(path: Path, rows: Sequence[dict[str, Any]], gone: Sequence[dict[str, Any]]) -> None:
    """Their digests stay."""
    for row in gone:
        row["pair"] = None
    _put(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _goes(pair: Mapping[str, Any], covers: Covers) -> bool:
    events = pair["provenance"]["event_ids"]
    return covers(pair["tenant"], pair["user_id"], pair["accepted_at"], events)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        with (folder / ROWS).open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except FileNotFoundError:
        raise NotFound("no data set stands there", folder=folder.name) from None
    except ValueError:
        raise DataLoss("a data set's rows cannot be read", folder=folder.name) from None


def _put(path: Path, text: str) -> None:
    """Writes aside and renames, so that a kill leaves the old file or the new one."""
    aside = path.with_name(f".{path.name}.aside")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def _row_digest(salt: bytes, pair: Preference) -> str:
    return digest_of({"salt": salt.hex(), "pair": _plain(pair)})


def _set_digest(digests: Sequence[str]) -> str:
    return digest_of(sorted(digests))


def _plain(pair: Preference) -> dict[str, Any]:
    return asdict(pair)


def _preference(value: Mapping[str, Any]) -> Preference:
    plain = {key: item for key, item in value.items() if key != "accepted_at"}
    made = plain.pop("provenance")
    return Preference(
        **{
            **plain,
            "prompt": messages_of(plain["prompt"]),
            "candidates": tuple(Candidate(**c) for c in plain["candidates"]),
            "order": tuple(plain["order"]),
            "reasons": tuple(plain["reasons"]),
            "provenance": Provenance(
                **{
                    **made,
                    "event_ids": tuple(made["event_ids"]),
                    "interaction_ids": tuple(made["interaction_ids"]),
                }
            ),
        }
    )


def messages_of(plain: Sequence[Mapping[str, str]]) -> tuple[Message, ...]:
    """Messages from their plain form, whatever the letter case of the role."""
    return tuple(Message(Role(m["role"].upper()), m["content"]) for m in plain)


def trl_row(pair: Preference) -> dict[str, Any]:
    """TRL's conversational preference format: prompt, chosen and rejected as messages."""
    return {
        "prompt": [{"role": m.role.value.lower(), "content": m.content} for m in pair.prompt],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
    }


def training_row(pair: Preference) -> dict[str, Any]:
    """A line of the train stage's pairs file (training/STAGE.md); a list keeps its scored answers beside its ends."""
    ranked = [pair.candidates[i] for i in pair.order]
    scored = pair.relation == "list" and all(c.score is not None for c in ranked)
    listed = {"candidates": [{"text": c.response, "value": c.score} for c in ranked]} if scored else {}
    return listed | {
        "id": pair.id,
        "prompt": [{"role": m.role.value.lower(), "content": m.content} for m in pair.prompt],
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "weight": pair.weight,
        "margin": pair.margin,
        "flip_probability": pair.flip_probability,
        "group": digest_of([pair.tenant, pair.user_id or pair.conversation_id or pair.id]),
    }


def turned(row: Mapping[str, Any]) -> dict[str, Any]:
    """A training row with its order the other way round: what was worst is chosen, a list's values on other answers."""
    listed = row.get("candidates", [])
    values = [candidate["value"] for candidate in listed]
    candidates = [{"text": c["text"], "value": v} for c, v in zip(reversed(listed), values, strict=True)]
    ends = {"chosen": row["rejected"], "rejected": row["chosen"]}
    return {**row, **ends} | ({"candidates": candidates} if listed else {})
