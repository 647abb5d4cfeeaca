"""observe/fieldmap: a map that cannot be meant is refused before a record is read, with the field named."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Role
from rejoinder.observe.events import ImportAs
from rejoinder.observe.fieldmap import FORMS, KINDS, FieldMap, number
from rejoinder.observe.mapped import Mapper, Place
from rejoinder.observe.paths import Unmapped
from rejoinder.observe.presets import PRESETS

THUMB = {"kind": "rating", "number": "thumb", "scale": [0, 1]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"preset": "flatt"}, "topics.0.map.preset must be one of openai, sharegpt, flat"),
        ({"preset": ["flat"]}, "topics.0.map.preset must be one of openai"),
        ({"form": {"is": "turns"}}, "topics.0.map.form must be one of exchange"),
        ({"preset": "flat", "reactions": [{"kind": ["copy"]}]}, "topics.0.map.reactions.0.kind must be one of"),
        ({"form": "chat"}, "topics.0.map.form must be one of exchange"),
        ({"preset": "flat", "content": None}, "topics.0.map.content is missing"),
        ({"preset": "flat", "contents": "x"}, "topics.0.map.contents: unknown field; nearest known: content"),
        ({"preset": "flat", "content": 3}, "topics.0.map.content is no expression"),
        ({"preset": "flat", "content": "a..b"}, "topics.0.map.content is no JMESPath"),
        ({"preset": "flat", "content": "lower(a)"}, "topics.0.map.content: no function is called lower"),
        ({"preset": "flat", "role": {"of": "who"}}, "topics.0.map.role: a mapping has `of`"),
        ({"preset": "sharegpt", "reactions": [THUMB]}, "topics.0.map.reactions: a conversation has none"),
        ({"form": "reaction", "interaction": "id"}, "topics.0.map.reactions must say what is read"),
        ({"form": "reaction", "reactions": [THUMB]}, "topics.0.map: a reaction names one of"),
        ({"preset": "flat", "reactions": [{"kind": "star"}]}, "topics.0.map.reactions.0.kind must be one of"),
        ({"preset": "flat", "reactions": [{**THUMB, "scale": [1, 0]}]}, "topics.0.map.reactions.0.scale is [worst"),
        ({"preset": "flat", "reactions": [{"kind": "comment"}]}, "topics.0.map.reactions.0.text is missing"),
        ("chat", "topics.0.map is no mapping"),
    ],
)
def test_a_bad_map_is_refused_with_the_field_named(given: Any, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        FieldMap(given, "topics.0.map")
    assert refused.value.message.startswith(said)


def test_every_preset_is_a_map_and_every_form_has_one_or_is_spelt_out() -> None:
    forms = {FieldMap({"preset": name}).form for name in PRESETS}
    assert forms | {"reaction"} == set(FORMS)


def test_every_kind_of_feedback_can_be_mapped() -> None:
    lists = {"scale": [0, 1], "categories": ["bad", "good"]}
    for kind, (must, _, plain) in KINDS.items():
        reaction = {"kind": kind, **dict.fromkeys(must, "x"), **{name: lists[name] for name in plain}}
        assert FieldMap({"preset": "flat", "reactions": [reaction]}).reactions[0].kind == kind


def test_fields_are_found_by_paths_lists_constants_and_translations() -> None:
    of = FieldMap(
        {
            "form": "exchange",
            "messages": "json(body).turns[*]",
            "response": "answers[-1].text",
            "role": {"of": "who", "is": {"c": "user"}},
            "content": "said",
            "id": "join('-', [app, to_string(n)])",
            "model": "'constant'",
            "at": "when || created",
        }
    )
    record = {
        "body": '{"turns": [{"who": "c", "said": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]}',
        "answers": [{"text": "first"}, {"text": "last"}],
        "app": "shop",
        "n": 7,
        "created": 1_700_000_000_000,
    }
    (message,) = of.need("messages", record)
    assert (of.role(message), of.content("content", message)) == (Role.USER, "a\n[image_url]")
    assert of.content("response", record) == "last"
    assert (of.identity("id", record), of.identity("model", record)) == ("shop-7", "constant")
    assert of.moment("at", record) == 1_700_000_000.0
    assert of.moment("at", {"when": "2023-11-14T22:13:20Z"}) == 1_700_000_000.0
    assert of.moment("at", {"when": 1_700_000_000}) == 1_700_000_000.0


@pytest.mark.parametrize(
    ("record", "cause", "field"),
    [
        ({}, "missing", "role"),
        ({"role": "stranger"}, "unusable", "role"),
        ({"role": ["user"]}, "unusable", "role"),
        ({"role": "user", "conversation_id": {"a": 1}}, "unusable", "conversation"),
        ({"role": "user", "conversation_id": ""}, "missing", "conversation"),
        ({"role": "user", "conversation_id": "c", "created_at": "yesterday"}, "unusable", "at"),
        ({"role": "user", "conversation_id": "c", "content": {"content": 5}}, "unusable", "content"),
    ],
)
def test_what_does_not_fit_names_the_field_and_not_what_stood_there(record: Any, cause: str, field: str) -> None:
    mapper = Mapper(FieldMap({"preset": "flat"}), ImportAs())
    with pytest.raises(Unmapped) as fault:
        mapper.read({"content": "words", **record}, Place("chat", "id", 0, 0))
    assert (fault.value.cause, fault.value.field) == (cause, field)
    assert str(fault.value) == f"{field}: {cause}"


def test_true_and_one_are_told_apart_where_people_tell_them_apart() -> None:
    of = FieldMap({"preset": "flat", "role": {"of": "bot", "is": {True: "assistant", False: "user"}}})
    assert [of.role({"bot": value}) for value in (True, False)] == [Role.ASSISTANT, Role.USER]
    with pytest.raises(Unmapped):
        of.role({"bot": 1})


def test_numbers_are_finite() -> None:
    assert [number(value, "n") for value in (True, 3, "4.5")] == [1.0, 3.0, 4.5]
    for value in ("nan", "many", None, [1], float("inf")):
        with pytest.raises(Unmapped):
            number(value, "n")
