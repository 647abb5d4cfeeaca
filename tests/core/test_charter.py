"""core/charter: what a charter may say, what its rules find, and that nothing of an answer is told (F01)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core import yamlfile
from rejoinder.core.charter import (
    MOST_READ,
    MOST_WORDS,
    Charter,
    Norm,
    Rule,
    Rules,
    Told,
    compiled,
    inlined,
    of,
    question_of,
)
from rejoinder.core.errors import BadFile, BadSettings

SECRET: dict[str, Any] = {
    "id": "no-secret",
    "text": "Internal codes are told to nobody.",
    "owner": "security",
    "approvals": ["legal, 2026-10-01"],
    "forbid": r"internal code\W+\d+",
}
ADVICE: dict[str, Any] = {
    "id": "doctor",
    "text": "Who asks about a dose is sent to a doctor.",
    "owner": "medical",
    "asked": r"\b(dose|mg)\b",
    "require": r"\b(doctor|pharmacist)\b",
}
BRIEF: dict[str, Any] = {
    "id": "brief",
    "text": "Short answers.",
    "owner": "ux",
    "most_words": 5,
    "severity": "report",
}
CHARTER = {"version": "2026-10", "norms": [SECRET, ADVICE, BRIEF]}


@pytest.mark.parametrize(
    ("question", "answer", "told", "harm"),
    [
        ("hello", "Hello.", Told((0, 2), ()), False),
        ("hello", "The INTERNAL code: 4711", Told((0, 2), (0,)), True),
        ("Which dose?", "Two.", Told((0, 1, 2), (1,)), True),
        ("Which dose?", "Ask your doctor.", Told((0, 1, 2), ()), False),
        ("hello", "one two three four five six", Told((0, 2), (2,)), False),
        ("hello", "x" * MOST_READ + " internal code 1", Told((0, 2), ()), False),
    ],
    ids=["keeps all", "forbidden", "required and missing", "required and there", "a report is no harm", "not read"],
)
def test_an_answer_is_held_against_the_norms_that_apply(question, answer, told, harm) -> None:
    charter = of(CHARTER)
    found = charter.compiled.read(question, answer)
    assert (found, charter.harm(found)) == (told, harm)


def test_where_no_veto_norm_applies_nothing_is_measured() -> None:
    charter = of({"version": "1", "norms": [ADVICE, BRIEF]})
    assert charter.harm(charter.compiled.read("hello", "Hello.")) is None


def test_the_digest_is_of_every_word_and_of_no_reading() -> None:
    charter = of(CHARTER)
    assert charter.digest == of(CHARTER).digest
    charter.compiled.read("a", "b")
    assert charter.digest == of(CHARTER).digest
    others = [{**SECRET, "text": "Else."}, {**SECRET, "approvals": []}, {**SECRET, "severity": "report"}]
    assert len({of({**CHARTER, "norms": [other]}).digest for other in [SECRET, *others]}) == 4


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "charter must be a mapping"),
        ({"version": "1", "norms": "x"}, "norms must be a list"),
        ({"version": "1", "norms": []}, "from 1 to 64"),
        ({"version": " ", "norms": [SECRET]}, "version is empty"),
        ({"version": "1", "norms": [SECRET, SECRET]}, "two norms are called no-secret"),
        ({"version": "1", "norms": [{**SECRET, "id": "No Secret"}]}, r"norms\[0\]: an id is of a-z"),
        ({"version": "1", "norms": [{**SECRET, "owner": ""}]}, "who answers for it"),
        ({"version": "1", "norms": [{**SECRET, "severity": "fatal"}]}, "veto, report"),
        ({"version": "1", "norms": [{**SECRET, "forbids": "x"}]}, r"norms\[0\] \(no-secret\): unknown forbids"),
        ({"version": "1", "norms": [{**SECRET, "require": "x"}]}, "no second one"),
        ({"version": "1", "norms": [{**SECRET, "forbid": ""}]}, "one of forbid, require and most_words"),
        ({"version": "1", "norms": [{**SECRET, "forbid": "(a"}]}, r"\(no-secret\): forbid: a group without its end"),
        ({"version": "1", "norms": [{**ADVICE, "asked": r"(?=a)"}]}, r"\(doctor\): asked: .*look-arounds"),
        ({"version": "1", "norms": [{**BRIEF, "most_words": 10_000}]}, "most_words must be from 1 to 9999"),
        ({"version": "1", "norms": [{**BRIEF, "most_words": -1}]}, "most_words must be from 1 to 9999"),
        ({"version": "1", "norms": [SECRET], "more": 1}, "unknown more"),
    ],
)
def test_what_cannot_be_kept_is_said_with_the_norms_name(value, words) -> None:
    with pytest.raises(BadSettings, match=words):
        of(value)


def test_norms_that_are_too_much_together_are_refused() -> None:
    wide = [{**SECRET, "id": f"n{n}", "forbid": "a.{0,150}b"} for n in range(4)]
    with pytest.raises(BadSettings, match="charter: more than 1000 places"):
        of({"version": "1", "norms": wide})


def test_the_first_veto_norm_is_the_cause() -> None:
    charter = of(CHARTER)
    assert charter.broken("Which dose?", ["Two.", "internal code 1"]) == "no-secret"
    assert charter.broken("Which dose?", ["Ask your doctor for this or that one."]) == ""


@dataclass
class Said:
    role: str
    content: str


def test_the_question_is_the_users_last_message() -> None:
    plain = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert question_of(plain) == "a" == question_of([Said("USER", "a"), Said("SYSTEM", "b")])
    assert question_of([Said("SYSTEM", "b")]) == ""


def test_a_plan_may_name_a_file_of_its_folder(tmp_path) -> None:
    (tmp_path / "charter.yaml").write_text("version: '1'\nnorms: []\n")
    assert inlined({"charter": "charter.yaml", "a": 1}, tmp_path) == {"charter": {"version": "1", "norms": []}, "a": 1}
    assert inlined({"charter": CHARTER}, tmp_path) == {"charter": CHARTER}
    with pytest.raises(BadFile):
        inlined({"charter": "none.yaml"}, tmp_path)


def test_the_same_rules_keep_what_they_have_learnt() -> None:
    assert compiled((Rule(forbid="a"),)) is compiled((Rule(forbid="a"),))
    assert Charter("1", (Norm("a", "t", "o", forbid="a"),)).compiled is compiled((Rule(forbid="a"),))


def test_what_was_told_of_an_answer_lately_is_told_again_without_reading_it(monkeypatch) -> None:
    rules = Rules((Rule(forbid="a"), Rule(asked="b", most_words=1)))
    told = [rules.read("b", "a c"), rules.read("", "a c"), rules.read("ba", " c")]
    assert told == [Told((0, 1), (0, 1)), Told((0,), (0,)), Told((0, 1), ())]
    monkeypatch.setattr(rules, "_read", None)
    assert [rules.read("b", "a c"), rules.read("", "a c"), rules.read("ba", " c")] == told


def test_the_longest_answer_that_can_be_seen_can_break_the_longest_limit() -> None:
    assert Rules((Rule(most_words=MOST_WORDS),)).read("", "a " * MOST_READ) == Told((0,), (0,))


def test_the_example_is_a_charter_whose_norms_find_what_they_name() -> None:
    example = of(yamlfile.read(Path(__file__).parents[2] / "examples" / "charter.yaml"))
    said = ["Sure: internal code = 4711.", "Great question!", "Two pills.", "word " * 501]
    asked = ["hello", "hello", "Which dose?", "hello"]
    found = [example.compiled.read(question, answer).broken for question, answer in zip(asked, said, strict=True)]
    assert found == [(0,), (1,), (2,), (3,)]
