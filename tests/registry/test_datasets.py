"""rounds/datasets: a set verifies, an erasure empties its rows, an alteration is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rejoinder.core.errors import DataLoss, NotFound
from rejoinder.core.types import Candidate, Message, Preference, Provenance, Role
from rejoinder.registry.datasets import ROWS, PairSets, check, read, read_manifest, training_row, trl_row, write

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
    removed = PairSets(tmp_path).erase(lambda tenant, user, at: (tenant, user) == ("t", "ann") and at < 200.0)
    assert removed == 1
    assert [p.user_id for p in read(folder)] == ["bob"]
    assert "ann" not in (folder / ROWS).read_text()
    result = check(folder, SALT)
    assert (result.holds, result.redacted, result.altered) == (True, 1, 0)


def test_files_made_from_the_sets_go_with_an_erased_row(folder: Path, tmp_path: Path) -> None:
    derived = folder.parent / "pairs.jsonl"
    derived.write_text("ann and bob")
    assert PairSets(tmp_path / "rounds").erase(lambda tenant, user, at: user == "ann") == 1
    assert not derived.exists()
    derived.write_text("bob")
    assert PairSets(tmp_path / "rounds").erase(lambda tenant, user, at: user == "ann") == 0
    assert derived.exists()


def test_erasing_again_and_later_events_of_the_user_change_nothing(folder: Path, tmp_path: Path) -> None:
    assert PairSets(tmp_path).erase(lambda tenant, user, at: user == "ann" and at < 50.0) == 0
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
