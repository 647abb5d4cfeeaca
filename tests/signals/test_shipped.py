"""The shipped encoder on turns that nobody trained it on: what words say, and what they only mention."""

import json
import os
from pathlib import Path

import pytest
from rejoinder.core.errors import NotFound
from rejoinder.core.rubric import RUBRIC
from rejoinder.registry.embedded import folder_of
from rejoinder.signals import keywords
from rejoinder.signals.agreement import agree
from rejoinder.signals.extractors import minilm
from rejoinder.signals.package import load

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "signals"
MENTIONED = ("quote", "hypothetical", "others")


@pytest.fixture(scope="module")
def text():
    try:
        folder = folder_of("signals")
    except NotFound as missing:
        pytest.skip(missing.message)
    return load(folder if folder.is_absolute() else Path(os.getcwd()) / folder)


def records(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def label(verdict: minilm.Verdict) -> str:
    return {"SAT": "SAT", "DSAT": "DSAT", "NONE": "none"}[verdict.polarity]


def keyword_label(followup: str) -> str:
    poles = {RUBRIC[name].pole for name in keywords.reasons(followup)}
    return "DSAT" if "DSAT" in poles else "SAT" if poles else "none"


def right_by_kind(said: list[str]) -> dict[str, float]:
    turns = records("challenge.jsonl")
    kinds = {turn["kind"] for turn in turns}
    hits = {kind: [s == t["label"] for s, t in zip(said, turns, strict=True) if t["kind"] == kind] for kind in kinds}
    return {kind: sum(hit) / len(hit) for kind, hit in hits.items()}


def test_quotes_hypotheticals_complaints_about_others_and_sarcasm_are_told_from_feedback(text):
    """U03."""
    turns = [(r["messages"][-1]["text"], r["followup"]) for r in records("challenge.jsonl")]
    right = right_by_kind([label(v) for v in minilm.read(turns, minilm.Params(), text)])
    assert min(right.values()) >= 0.75, right
    floor = right_by_kind([keyword_label(followup) for _, followup in turns])
    # The control: a word list reads mentions as feedback.
    assert sum(floor[kind] for kind in MENTIONED) < sum(right[kind] for kind in MENTIONED) - 0.6, floor


def test_reasons_agree_with_a_person_better_than_word_patterns_do(text):
    """U03."""
    turns = records("hh_rubric_test.jsonl")
    pairs = [(r["messages"][-1]["text"], r["followup"]) for r in turns]
    found = agree(turns, [v.reasons for v in minilm.read(pairs, minilm.Params(), text)])
    assert found["macro_f1"] > found["keyword_macro_f1"]
    assert found["span_overlap"] > 0.7
