"""cli/compile: what a person gives and sees."""

from __future__ import annotations

import json

import pytest
from rejoinder.cli.compile import best_of
from rejoinder.cli.main import main
from rejoinder.core.modelfolder import Run, verified
from rejoinder.runtime.compiling.costs import Exactness, Speed
from rejoinder.runtime.compiling.making import Variant

from tests.runtime.compiling.encoders import encoder


def said(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as ended:
        main(["compile", *map(str, arguments)])
    assert ended.value.code == code
    return capsys.readouterr()


@pytest.fixture
def texts(tmp_path):
    lines = [
        {
            "messages": [{"role": "user", "text": "where is it"}, {"role": "assistant", "text": "here"}],
            "followup": "no",
        },
        {"messages": [{"role": "user", "text": "is it here"}], "a": "yes", "b": "it is there"},
        {"text": "thanks"},
    ]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines * 4))
    return file


def test_variants_with_their_figures_and_the_best_of_them(tmp_path, texts, capsys):
    source = encoder(tmp_path / "source")
    given = ["--model", source.path, "--out", tmp_path / "out", "--texts", texts, "--threads", 1, "--seconds", 0.1]
    found = json.loads(said(capsys, *given, "--precision", "int8", "--precision", "fp32", "--json").out)
    assert found["made_from"] == source.digest
    assert [row["precision"] for row in found["variants"]] == ["fp32", "int8"]
    for row in found["variants"]:
        assert verified(tmp_path / "out" / row["precision"]).digest == row["digest"]
        assert row["tokens_per_s"] > 0
    assert found["variants"][0]["least"] == pytest.approx(1)
    assert "there already" in said(capsys, *given, "--precision", "int8", code=2).err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[]", "line 1 is no JSON object"),
        ('{"followup": 3}', "line 1 needs a followup"),
        ('{"messages": [{"role": "user"}], "text": "t"}', "line 1 needs messages with a text each"),
        ("", "0 texts say nothing of an order"),
        ('{"text": "\\ud800"}', "line 1 needs a followup"),
    ],
)
def test_a_bad_file_of_texts_is_told_by_its_line(line, words, tmp_path, capsys):
    (tmp_path / "texts.jsonl").write_text(line + "\n")
    source = encoder(tmp_path / "source")
    told = said(capsys, "--model", source.path, "--out", tmp_path / "out", "--texts", tmp_path / "texts.jsonl", code=2)
    assert words in told.err
    assert "Traceback" not in told.err


def test_more_threads_than_cores_are_refused(tmp_path, texts, capsys):
    source = encoder(tmp_path / "source")
    given = ["--model", source.path, "--out", tmp_path / "out", "--texts", texts, "--threads", 4096]
    assert "cores" in said(capsys, *given, code=2).err


def test_a_folder_that_is_none_is_told(tmp_path, capsys):
    assert "holds no model.onnx" in said(capsys, "--model", tmp_path, "--out", tmp_path / "out", code=2).err


def variant(least, rate):
    exact = Exactness({"score": 1.0}, {"score": least}, 1.0, 0.0)
    return Variant("x", None, "", Run(), 1, exact, (Speed(1, 1, rate, rate),))


def test_the_best_is_the_quickest_that_is_still_the_same_model():
    made = {"fp32": variant(1.0, 10), "bf16": variant(0.9995, 20), "int8": variant(0.99, 40), "fp16": variant(1.0, 90)}
    assert best_of(made, 0.999) == "bf16"
    assert best_of(made, 0.9) == "int8"
    assert best_of({"int8": variant(0.9, 40)}, 0.999) is None
