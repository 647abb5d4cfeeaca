"""Langfuse's exports: a turn as a trace, as an observation, in both ways to write names, in JSON and as a table."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.types import Comment, Feedback, FollowUp, Interaction, Rating
from rejoinder.observe.events import ImportAs, events_of
from rejoinder.observe.formats import langfuse
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.reader import Reading, conversations

HISTORY = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "How warm is it?"},
    {"role": "assistant", "content": "68 F"},
    {"role": "user", "content": [{"type": "text", "text": "in Celsius please"}]},
]
#: As the blob storage export has it: words and parameters as JSON in strings.
OBSERVATION: dict[str, Any] = {
    "id": "o2",
    "trace_id": "t2",
    "project_id": "p",
    "type": "GENERATION",
    "start_time": "2025-05-29 13:46:19.963000",
    "user_id": "u",
    "session_id": "s",
    "input": json.dumps(HISTORY),
    "output": json.dumps({"role": "assistant", "content": "20 C"}),
    "provided_model_name": "m-1",
    "parent_observation_id": "",
}
SCORE: dict[str, Any] = {
    "id": "sc",
    "trace_id": "t2",
    "observation_id": "o2",
    "timestamp": "2025-05-29 13:47:00.000000",
    "name": "thumb",
    "value": 0,
    "source": "API",
    "data_type": "BOOLEAN",
    "comment": "not Celsius",
    "string_value": None,
}


def events(*records: Any) -> list[Any]:
    return [e for r in records for one in langfuse.read(r) for e in events_of(one, ImportAs(source="import:langfuse"))]


def test_a_generation_is_one_answer_with_its_history_and_the_follow_up_that_this_ends_with() -> None:
    answer, followed = events(OBSERVATION)
    assert isinstance(answer, Interaction)
    assert (answer.interaction_id, answer.attempt_id, answer.conversation_id) == ("t2", "o2", "s")
    assert (answer.user_id, answer.served.version, answer.response) == ("u", "m-1", "20 C")
    assert [m.content for m in answer.messages] == ["be brief", "How warm is it?", "68 F", "in Celsius please"]
    assert answer.occurred_at == pytest.approx(1748526379.963)
    assert followed.kind == FollowUp("in Celsius please")
    assert followed.answer_digest


def test_scores_are_reactions_unless_a_judge_gave_them() -> None:
    rated, said = events(SCORE)
    assert rated.kind == Rating("thumb", 0.0, None, 0.0, 1.0)
    assert said.kind == Comment("not Celsius")
    assert {(e.interaction_id, e.attempt_id) for e in (rated, said)} == {("t2", "o2")}
    assert events({**SCORE, "source": "EVAL"}) == []
    assert events({**SCORE, "trace_id": None, "session_id": "s"}) == []
    (category,) = events({**SCORE, "data_type": "CATEGORICAL", "string_value": "good", "comment": None})
    assert category.kind == Rating("thumb", None, "good")
    (text,) = events({**SCORE, "data_type": "TEXT", "string_value": "so so", "comment": ""})
    assert text.kind == Comment("so so")
    (number,) = events({**SCORE, "data_type": "NUMERIC", "value": "3.5", "comment": None})
    assert number.kind == Rating("thumb", 3.5)


def test_a_trace_has_its_own_words_else_those_of_its_last_generation_and_its_scores() -> None:
    generation = {"type": "GENERATION", "startTime": "2025-05-29T13:46:20Z", "input": HISTORY, "output": "20 C"}
    trace = {"id": "t2", "timestamp": "2025-05-29T13:46:19Z", "sessionId": "s", "input": None, "output": None}
    first = {**generation, "startTime": "2025-05-29T13:46:19Z", "output": "a step"}
    answer, *_ = events({**trace, "observations": [generation, first, {"type": "SPAN"}]})
    assert (answer.interaction_id, answer.response, len(answer.messages)) == ("t2", "20 C", 4)
    scored = {**trace, "input": {"question": "q"}, "output": "a", "scores": [SCORE, {"thumb": 1}]}
    found = events(scored)
    assert [type(event) for event in found] == [Interaction, Feedback, Feedback]
    assert {event.attempt_id for event in found} == {""}


@pytest.mark.parametrize(
    ("said", "asked", "answered"),
    [
        ({"input": "q", "output": "a"}, ["q"], "a"),
        ({"input": {"messages": [{"type": "human", "content": "q"}]}, "output": [{"type": "ai", "content": "a"}]},
         ["q"], "a"),
        ({"input": [[{"role": "user", "content": "q"}]], "output": {"choices": [{"message":
          {"role": "assistant", "content": "a"}}]}}, ["q"], "a"),
        ({"input": {"query": "q"}, "output": {"answer": "a"}}, ["q"], "a"),
        ({"input": [{"role": "user", "parts": [{"type": "text", "content": "q"}, {"type": "blob"}]}],
          "output": '{"celsius": 20}'}, ["q\n[blob]"], '{"celsius": 20}'),
        ({"input": "[not JSON", "output": " a "}, ["[not JSON"], " a "),
    ],
)  # fmt: skip
def test_words_are_found_however_they_were_written(said: Any, asked: list[str], answered: str) -> None:
    answer, *_ = events({"id": "t", "timestamp": "2025-05-29T13:46:19Z", "userId": "u", **said})
    assert ([message.content for message in answer.messages], answer.response) == (asked, answered)


def test_what_is_no_chat_is_refused_by_the_name_of_its_field_or_passed() -> None:
    assert events({**OBSERVATION, "type": "SPAN"}) == []
    for broken, told in (
        ({"output": ""}, "nobody answered"),
        ({"output": {"a": 1}}, "output holds no answer"),
        ({"input": ""}, "nobody asked"),
        ({"input": {"a": "secret"}}, "input holds no messages"),
        ({"input": [{"role": "secret", "content": "x"}]}, "a turn's role is unknown"),
    ):
        with pytest.raises(Unfit, match=told) as raised:
            events({**OBSERVATION, **broken})
        assert "secret" not in str(raised.value)


def test_a_table_holds_what_lines_of_json_hold(tmp_path: Path) -> None:
    def written(name: str, data: str) -> list[Any]:
        path = tmp_path / name
        path.write_bytes(gzip.compress(data.encode()) if name.endswith(".gz") else data.encode())
        return [e for one in conversations(path, Reading(path)) for e in events_of(one, ImportAs())]

    score = {**SCORE, "comment": 'two "words",\nin lines'}
    lines = written("scores.jsonl", json.dumps(score))
    out = io.StringIO()
    table = csv.DictWriter(out, list(score))
    table.writeheader()
    table.writerow(score)
    for name in ("scores.csv", "scores.csv.gz"):
        assert written(name, "\ufeff" + out.getvalue()) == lines
    out = io.StringIO()
    table = csv.DictWriter(out, list(OBSERVATION))
    table.writeheader()
    table.writerow(OBSERVATION)
    assert written("observations.csv", out.getvalue()) == written("o.jsonl", json.dumps(OBSERVATION))
    path = tmp_path / "short.csv"
    path.write_text(out.getvalue() + "only,three,cells\n")
    reading = Reading(path)
    assert len(list(conversations(path, reading))) == 1
    assert reading.refused == {"more or fewer cells than the first row": 1}
    for broken in ('id,"x\n', "id\n" + "\0\n"):
        (tmp_path / "broken.csv").write_text(broken)
        with pytest.raises(BadFile):
            written("broken.csv", broken)
