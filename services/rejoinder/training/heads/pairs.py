"""Pairs that people judged, as rows of tokens. Records: {id, group, messages, a, b, pref}, pref the share for a."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.answertext import AnswerBudget, TokenRow, answer_row
from rejoinder.core.turntext import marks


@dataclass(frozen=True)
class PairRows:
    """a, b: rows of the encoder. pref: share of the judges for a, 0 to 1. group: what never crosses a split."""

    a: TokenRow
    b: TokenRow
    pref: float
    group: str


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Records of JSON Lines files, gzipped or not."""
    records: list[dict[str, Any]] = []
    for path in paths:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        records += [json.loads(line) for line in data.decode("utf-8").split("\n") if line.strip()]
    return records


def tokenised(records: Sequence[dict[str, Any]], tokenizer_file: Path, budget: AnswerBudget) -> list[PairRows]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    cls, sep = marks(tokenizer)
    rows = []
    for record in records:
        texts = [*(m["text"] for m in record["messages"]), record["a"], record["b"]]
        *context, a, b = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        both = [answer_row(context, answer, cls=cls, sep=sep, budget=budget) for answer in (a, b)]
        rows.append(PairRows(both[0], both[1], float(record["pref"]), str(record["group"])))
    return rows


def fold_of(group: str, folds: int) -> int:
    """A group's fold, by hash: the same wherever and in whatever order it is asked."""
    return int(hashlib.sha256(group.encode()).hexdigest(), 16) % folds


def length_feature(row: TokenRow) -> float:
    """Log of one more than the answer's tokens; at most log 191, because the row is cut."""
    return float(np.log1p(sum(row.types)))
