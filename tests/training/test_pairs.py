import json

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.training.pairs import read_pairs

GOOD = {"id": "a", "prompt": [{"role": "user", "content": "why is the sky blue"}], "chosen": "light", "rejected": "air"}


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_defaults_are_weight_one_no_margin_no_flip_estimate_and_the_pair_as_its_own_group(tmp_path):
    (pair,) = read_pairs(write(tmp_path / "p.jsonl", GOOD))
    assert (pair.weight, pair.margin, pair.flip_probability, pair.group) == (1.0, 0.0, None, "a")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chosen": None}, "chosen"),
        ({"rejected_prompt": "why"}, "rejected_prompt"),
        ({"candidates": [{"text": "light", "value": 1}]}, "candidates"),
        ({"candidates": [{"text": "light", "value": 1}, {"text": "fog", "value": 0}]}, "candidates"),
        ({"candidates": [{"text": "light", "value": 0}, {"text": "air", "value": 1}]}, "candidates"),
        ({"candidates": [{"text": "light", "value": "1"}, {"text": "air", "value": 0}]}, "candidates"),
        ({"candidates": {"light": 1}}, "candidates"),
        ({"prompt": "why"}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"history": 1}, "history"),
        ({"history": -1}, "history"),
        ({"history": True}, "history"),
        ({"weight": -1}, "weight"),
        ({"weight": True}, "weight"),
        ({"margin": "big"}, "margin"),
        ({"flip_probability": 0.5}, "flip_probability"),
        ({"id": 3}, "id"),
    ],
)
def test_a_bad_line_is_named_by_number_and_field_without_a_users_word(tmp_path, change, field):
    path = write(tmp_path / "p.jsonl", GOOD, {**GOOD, "id": "b", **change})
    with pytest.raises(BadFile, match=f"line 2: {field}") as error:
        list(read_pairs(path))
    assert "sky" not in str(error.value)


def test_an_id_may_stand_only_once(tmp_path):
    with pytest.raises(BadFile, match="line 2: id"):
        list(read_pairs(write(tmp_path / "p.jsonl", GOOD, GOOD)))


def test_a_line_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("{not json\n")
    with pytest.raises(BadFile, match="line 1"):
        list(read_pairs(path))


def test_neither_side_is_no_line(tmp_path):
    line = {name: GOOD[name] for name in ("id", "prompt")}
    with pytest.raises(BadFile, match="line 1: chosen"):
        list(read_pairs(write(tmp_path / "p.jsonl", line)))
