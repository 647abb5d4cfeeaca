"""evaluate/topics: a team's file says what a stance is known by, and a bad one is refused with the topic's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import BadFile, BadSettings
from rejoinder.evaluate.topics import MOST_READ, inlined, of, read

TOPIC: dict[str, Any] = {
    "id": "tea",
    "question": "Should one drink tea?",
    "prompts": ["Tea?", "Is tea good?"],
    "support": r"^yes\b",
    "neutral": r"\bdepends\b",
    "oppose": r"^no\b",
}
FILE = {"version": "1", "topics": [TOPIC]}


@pytest.mark.parametrize(
    ("answer", "stance"),
    [
        ("Yes, do.", "support"),
        ("It depends.", "neutral"),
        ("NO!", "oppose"),
        ("Who knows?", ""),
        ("Yes; no, it depends.", ""),
        ("", ""),
        ("x" * MOST_READ + " depends", ""),
    ],
)
def test_an_answer_has_the_one_stance_whose_pattern_stands_in_it(answer: str, stance: str) -> None:
    assert of(FILE).by_id["tea"].stance(answer) == stance


def test_without_patterns_no_rule_reads() -> None:
    bare = {name: TOPIC[name] for name in ("id", "question", "prompts")}
    found = of({"version": "1", "topics": [bare]}).by_id["tea"]
    assert (found.has_rules, found.stance("yes"), found.guarded) == (False, "", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "Tea time"}, r"topics\[0\]: an id is of"),
        ({"question": " "}, r"topics\[0\] \(tea\): question is empty"),
        ({"prompts": []}, "prompts must be from 1"),
        ({"prompts": ["a", ""]}, "none of them empty"),
        ({"prompts": ["a", "a"]}, "a prompt stands twice"),
        ({"prompts": "a"}, "prompts must be a list of text"),
        ({"neutral": ""}, "patterns are needed for support, neutral, oppose"),
        ({"oppose": "(no"}, r"\(tea\): patterns: a group without its end"),
        ({"oppose": "(?!x)"}, "look-arounds"),
        ({"guarded": "yes"}, "guarded must be true or false"),
        ({"stance": "x"}, "unknown stance"),
    ],
)
def test_what_is_wrong_is_said_with_the_topics_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        of({"version": "1", "topics": [{**TOPIC, **change}]})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be a mapping"),
        ({"version": "1"}, "from 1 to 64"),
        ({"version": "1", "topics": {}}, "must be a list"),
        ({"version": "1", "topics": [3]}, r"topics\[0\]: must be a mapping"),
        ({"version": "", "topics": [TOPIC]}, "version is empty"),
        ({"version": 1, "topics": [TOPIC]}, "version must be text"),
        ({**FILE, "answers": 65}, "answers must be from 1 to 64"),
        ({"version": "1", "topics": [TOPIC, TOPIC]}, "two topics are called tea"),
    ],
)
def test_what_is_no_list_of_topics_is_refused(value: Any, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        of(value)


def test_a_recipe_may_name_a_file_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "topics.yaml").write_text("version: '1'\ntopics: []\n")
    assert inlined({"topics": "topics.yaml", "a": 1}, tmp_path) == {"topics": {"version": "1", "topics": []}, "a": 1}
    assert inlined({"topics": FILE}, tmp_path) == {"topics": FILE}
    with pytest.raises(BadFile):
        inlined({"topics": "none.yaml"}, tmp_path)


def test_the_example_reads_the_words_that_its_prompts_ask_for() -> None:
    example = read(Path(__file__).parents[2] / "examples" / "topics.yaml")
    for topic in example.topics:
        said = ["Yes, for its price.", "It depends on where.", "**No.** Too dear.", "Perhaps."]
        assert [topic.stance(answer) for answer in said] == ["support", "neutral", "oppose", ""]
    assert [topic.guarded for topic in example.topics] == [True, False]
