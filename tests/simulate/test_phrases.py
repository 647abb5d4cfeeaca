import json

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.rubric import RUBRIC
from rejoinder.simulate.phrases import PHRASES, load


def test_the_shipped_bank_loads_and_has_no_phrase_twice():
    texts = load().all()
    assert len(texts) == len(set(texts))


def test_another_file_replaces_every_word(tmp_path):
    raw = json.loads(PHRASES.read_text())
    swapped = {
        name: {k: [f"zz {k} {{topic}}" if name == "questions" else f"zz {k}"] for k in part}
        if isinstance(part, dict)
        else [f"zz {name}"]
        for name, part in raw.items()
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(swapped))
    assert all(text.startswith("zz ") for text in load(path).all())


def damage(change):
    raw = json.loads(PHRASES.read_text())
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json", "not JSON"),
        ("[]", "must be an object"),
        (damage(lambda r: r.pop("vague")), "lacks vague"),
        (damage(lambda r: r.update(vaque=["x"])), "unknown vaque"),
        (damage(lambda r: r["wishes"].pop("brief")), "wishes lacks brief"),
        (damage(lambda r: r.update(pleased=[])), "pleased must be a list"),
        (damage(lambda r: r.update(pleased="yes")), "pleased must be a list"),
        (damage(lambda r: r["questions"].update(howto=["How?"])), r"questions\.howto\[0\] must hold"),
        (damage(lambda r: r["wishes"].update(brief=["ok", " "])), r"wishes\.brief must be a list"),
        (damage(lambda r: r["wishes"].update(brief=["{topic}"])), r"wishes\.brief\[0\] must not hold"),
    ],
)
def test_a_bad_file_says_what_is_wrong_and_where(tmp_path, text, says):
    path = tmp_path / "bank.json"
    path.write_text(text)
    with pytest.raises(BadFile, match=says) as caught:
        load(path)
    assert "bank.json" in caught.value.message


def test_a_missing_file_is_a_friendly_error(tmp_path):
    with pytest.raises(BadFile, match="cannot read"):
        load(tmp_path / "none.json")


def test_two_kinds_of_complaint_have_no_rubric():
    """Units are neither length nor format nor error; the other four wishes find a class that speaks of them."""
    about = " ".join(f"{row.meaning} {row.wish}" for row in RUBRIC.values())
    assert not any(word in about for word in ("metric", "imperial", "unit", "Celsius"))
    assert all(word in about for word in ("length", "detail", "format", "fact"))
