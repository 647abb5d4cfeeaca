import json
import random

import pytest
from rejoinder.training.extractor.text import DATA, LABELS, MARK, compose, labelled, training_texts, written

POLES = dict(json.loads((DATA / "sat-v1" / "model.json").read_text(encoding="utf-8"))["rubric"])


def test_every_reason_has_at_least_fifteen_sentences_of_its_own():
    own = written()
    by = {name: sum(f[0] == name for f in own.fragments) for name in POLES}
    assert min(by.values()) >= 15, by
    assert {f[0] for f in own.fragments} == {*POLES, "none"}


def test_no_sentence_is_written_twice():
    texts = [f[2] for f in written().fragments] + [t.followup for t in written().wholes]
    assert len(texts) == len(set(texts))


def test_marks_become_spans_and_leave_no_trace():
    for turn in written().wholes:
        assert not MARK.search(turn.followup)
        assert turn.label in LABELS
        for reason, start, end in turn.spans:
            assert reason in POLES
            assert turn.followup[start:end].strip() == turn.followup[start:end] != ""


def test_a_dissatisfied_whole_names_a_reason_of_that_pole_and_a_silent_one_names_none():
    for turn in written().wholes:
        poles = {POLES[reason] for reason, _, _ in turn.spans}
        assert ("DSAT" in poles) == (turn.label == "DSAT") or turn.level == 3
        assert bool(poles) == (turn.label != "none")


@pytest.mark.parametrize("seed", range(5))
def test_composed_turns_keep_evidence_label_and_level_together(seed):
    rng, own = random.Random(seed), written()
    for _ in range(200):
        turn = compose(own, POLES, ["An answer."], rng)
        assert (turn.label == "none") == (not turn.spans)
        assert {"SAT": turn.level >= 3, "DSAT": turn.level <= 3, "none": turn.level == 3}[turn.label]
        for _, start, end in turn.spans:
            assert 0 <= start < end <= len(turn.followup)


def test_labelled_turns_carry_source_licence_and_spans_inside_the_words():
    for path in sorted((DATA / "labelled").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            assert record["licence"] == "MIT"
            assert record["id"].startswith("helpful-")
    for turn in labelled():
        for reason, start, end in turn.spans:
            assert reason in POLES
            assert 0 <= start < end <= len(turn.followup)
        assert (turn.label == "none") == (not turn.spans)


def test_training_texts_hold_every_written_and_every_labelled_sentence():
    texts = set(training_texts())
    assert {f[2] for f in written().fragments} <= texts
    assert {t.followup for t in labelled()} <= texts


def test_no_dialogue_that_is_learnt_from_is_in_the_test_file():
    path = DATA.parents[3] / "tests" / "data" / "signals" / "hh_rubric_test.jsonl"
    test = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(test) >= 150
    assert {r["group"] for r in test}.isdisjoint(t.group for t in labelled())
    assert {(r["messages"][-1]["text"], r["followup"]) for r in test}.isdisjoint(
        (t.answer, t.followup) for t in labelled()
    )
