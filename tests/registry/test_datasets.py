"""rounds/datasets: a set verifies, an erasure empties its rows, an alteration is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rejoinder.core.errors import DataLoss, NotFound
from rejoinder.core.types import Candidate, Message, Preference, Provenance, Role
from rejoinder.registry import datasets
from rejoinder.registry.datasets import ROWS, PairSets, check, read, read_manifest, training_row, trl_row, turned, write

SALT = b"salt"


def pair(user: str) -> Preference:
    return Preference(
        f"wildfeedback:{user}",
        (Message(Role.USER, f"How warm, asks {user}?"),),
        (Candidate("20 C", 1.5, "regenerated"), Candidate("68 F", -0.5, "served")),
        margin=2.0,
        flip_probability=0.1,
        reasons=("style",),
        tenant="t",
        user_id=user,
        provenance=Provenance("wildfeedback", "1", ("e", "f", "s"), ("i",), rule="embedded"),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "rounds" / "assist" / "1" / "pairs"
    write(target, "pairs", [pair("ann"), pair("bob")], SALT, {"pairs": 2}, {"window": "w"}, 100.0)
    return target


def test_what_is_written_is_read(folder: Path) -> None:
    assert list(read(folder)) == [pair("ann"), pair("bob")]
    assert read_manifest(folder).rows == 2
    assert check(folder, SALT).holds


def test_the_order_of_rows_is_no_part_of_the_identity(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", "pairs", [pair("bob"), pair("ann")], SALT, {}, {}, 100.0)
    assert other.digest == read_manifest(folder).digest


def test_an_erased_user_leaves_the_set_and_the_manifest_still_verifies(folder: Path, tmp_path: Path) -> None:
    """F16, U11: no trace of the words, the count is said."""
    removed = PairSets(tmp_path).erase(lambda tenant, user, at, events: (tenant, user) == ("t", "ann") and at < 200.0)
    assert removed == 1
    assert [p.user_id for p in read(folder)] == ["bob"]
    assert "ann" not in (folder / ROWS).read_text()
    result = check(folder, SALT)
    assert (result.holds, result.redacted, result.altered) == (True, 1, 0)


def test_files_made_from_the_sets_go_with_an_erased_row(folder: Path, tmp_path: Path) -> None:
    derived = folder.parent / "pairs.jsonl"
    derived.write_text("ann and bob")
    assert PairSets(tmp_path / "rounds").erase(lambda tenant, user, at, events: user == "ann") == 1
    assert not derived.exists()
    derived.write_text("bob")
    assert PairSets(tmp_path / "rounds").erase(lambda tenant, user, at, events: user == "ann") == 0
    assert derived.exists()


def test_a_file_that_was_made_of_a_row_while_it_went_goes_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round read its sets just before, and writes its file just before the row is gone."""
    derived, put = folder.parent / "pairs.jsonl", datasets._put

    def late(path: Path, text: str) -> None:
        derived.write_text("ann and bob")
        put(path, text)

    monkeypatch.setattr(datasets, "_put", late)
    assert PairSets(tmp_path / "rounds").erase(lambda tenant, user, at, events: user == "ann") == 1
    assert not derived.exists()


def test_erasing_again_and_later_events_of_the_user_change_nothing(folder: Path, tmp_path: Path) -> None:
    assert PairSets(tmp_path).erase(lambda tenant, user, at, events: user == "ann" and at < 50.0) == 0
    assert len(list(read(folder))) == 2


def test_an_altered_word_is_noticed(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / ROWS).read_text().splitlines()]
    rows[0]["pair"]["candidates"][0]["response"] = "21 C"
    (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert check(folder, SALT).altered == 1


def test_a_set_with_torn_rows_is_data_loss_and_a_missing_one_not_found(folder: Path, tmp_path: Path) -> None:
    (folder / ROWS).write_text('{"digest": "x", "pa')
    with pytest.raises(DataLoss):
        list(read(folder))
    with pytest.raises(NotFound):
        read_manifest(tmp_path / "nowhere")


def test_rows_for_training_hold_no_name_and_no_wish(folder: Path) -> None:
    row = training_row(next(read(folder)))
    assert "ann" not in json.dumps({key: value for key, value in row.items() if key not in ("id", "prompt")})
    assert row["prompt"] == [{"role": "user", "content": "How warm, asks ann?"}]
    assert trl_row(pair("ann"))["chosen"] == [{"role": "assistant", "content": "20 C"}]


def test_killed_between_files_the_next_erasure_takes_what_the_first_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files made from the sets go first: as long as a row is left, they are looked for."""
    derived = folder.parent / "pairs.jsonl"
    derived.write_text("ann and bob")

    def killed(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    sets = PairSets(tmp_path / "rounds")
    with monkeypatch.context() as patched:
        patched.setattr(datasets, "_put", killed)
        with pytest.raises(KeyboardInterrupt):
            sets.erase(lambda tenant, user, at, events: user == "ann")
    assert not derived.exists()
    assert sets.holds(lambda tenant, user, at, events: user == "ann") == 1
    assert sets.erase(lambda tenant, user, at, events: user == "ann") == 1


def test_what_a_killed_round_left_half_written_goes_too(folder: Path, tmp_path: Path) -> None:
    half = folder.parent / ".gate.aside" / f".{ROWS}.aside"
    half.parent.mkdir()
    sets = PairSets(tmp_path / "rounds")
    for left in ((folder / ROWS).read_text(), '{"digest": "x", "pair": {"prompt": "a torn wo'):
        half.write_text(left)
        sets.erase(lambda tenant, user, at, events: user == "ann")
        assert not half.exists()
    half.write_text("")
    assert sets.erase(lambda tenant, user, at, events: user == "ann") == 0
    assert half.exists()


def test_a_pair_is_asked_about_with_the_events_it_was_made_of(folder: Path, tmp_path: Path) -> None:
    asked = []
    PairSets(tmp_path).erase(lambda *what: bool(asked.append(what)))
    assert asked == [("t", "ann", 100.0, ["e", "f", "s"]), ("t", "bob", 100.0, ["e", "f", "s"])]


def test_turned_round_the_worst_is_chosen_and_a_lists_values_fall_along_it_still() -> None:
    listed = [{"text": t, "value": v} for t, v in (("a", 3.0), ("b", 1.0), ("c", 0.0))]
    row = turned({"id": "x", "chosen": "a", "rejected": "c", "candidates": listed})
    assert (row["chosen"], row["rejected"]) == ("c", "a")
    assert [(c["text"], c["value"]) for c in row["candidates"]] == [("c", 3.0), ("b", 1.0), ("a", 0.0)]
    assert turned({"id": "x", "chosen": "a", "rejected": "c"}) == {"id": "x", "chosen": "c", "rejected": "a"}
