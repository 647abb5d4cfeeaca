from __future__ import annotations

import gzip
import json
from collections import Counter

import numpy as np
import pytest
from rejoinder.training.heads.pairs import fold_of, length_feature, read


def test_files_are_read_plain_or_gzipped(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"n": 1}) + "\n\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"n": 2}\n'))
    assert read([tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"]) == [{"n": 1}, {"n": 2}]


def test_rows_keep_sides_preference_and_group(rows):
    assert (rows[1].pref, rows[1].group) == (1.0, "1")
    assert rows[0].a != rows[0].b
    assert rows[0].a.ids[0] == 101
    assert rows[0].a.ids[-1] == 102


def test_a_groups_fold_is_always_the_same_and_folds_are_about_equal():
    assert fold_of("g", 5) == fold_of("g", 5)
    counts = Counter(fold_of(str(i), 5) for i in range(2000))
    assert min(counts.values()) > 330


def test_the_length_feature_is_of_the_answer_alone(rows):
    assert {length_feature(row.a) for row in rows if "help"} <= {np.log1p(n) for n in range(4, 9)}
    assert length_feature(rows[0].a) == pytest.approx(length_feature(rows[6].a))
