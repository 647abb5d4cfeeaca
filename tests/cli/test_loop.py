"""cli/loop: a round reads through the services that run, else owns the folder itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.cli.datafolder import DataFolder
from rejoinder.cli.loop import stable_of, windows_of
from rejoinder.core.errors import NotFound, StoreOwned
from rejoinder.core.types import Feedback, Interaction, Message, Rating, RecordOutcome, Role, RoundEvent, Served
from rejoinder.ledger.reading.windows import Leaving
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.bootstrap import bootstrap
from rejoinder.registry.served import ServedPointer, advance
from rejoinder.registry.store import FolderStore

EVENT = RoundEvent(event_id="round-1", policy="assist", number=1, stage="window", digest="d" * 64, occurred_at=5.0)


def people(data: Path) -> None:
    """A folder with one answer and what its user thought of it."""
    asked = (Message(Role.USER, "q"),)
    answer = Interaction(
        event_id="e1", interaction_id="i1", user_id="u1", messages=asked, response="r", served=Served(version="v")
    )
    said = Feedback(event_id="f1", interaction_id="i1", user_id="u1", kind=Rating("stars", 4.0, None, 1.0, 5.0))
    with DataFolder(data, create=True) as opened:
        results = [*opened.record("interactions", [answer]), *opened.record("feedback", [said])]
    assert {result.outcome for result in results} == {RecordOutcome.RECORDED}


def test_a_folder_that_nobody_runs_is_owned_while_its_windows_are_read(tmp_path: Path) -> None:
    people(tmp_path)
    with windows_of(tmp_path) as (windows, _):
        window = windows.window("assist", 1, "", windows.cut(), Leaving())
        assert [evidence.id for evidence in window.evidence] == ["f1"], "what lay in the log has been read"
        with pytest.raises(StoreOwned):
            DataFolder(tmp_path)
    DataFolder(tmp_path).close()


def test_what_a_round_says_is_in_the_ledger_once_it_has_ended(tmp_path: Path) -> None:
    """U07."""
    people(tmp_path)
    with windows_of(tmp_path) as (_, record):
        record(EVENT)
        record(EVENT)
    with DataFolder(tmp_path) as opened:
        assert opened.project() == 0, "nothing was left to read"
        (row,) = [row for row in opened.ledger.parity() if row.topic == "rounds" and row.read]
        assert row.stored == 1, "said twice, it is one event"


def test_the_folder_is_given_back_by_a_round_that_fails(tmp_path: Path) -> None:
    people(tmp_path)
    with pytest.raises(ZeroDivisionError), windows_of(tmp_path):
        raise ZeroDivisionError
    DataFolder(tmp_path).close()


def test_a_folder_without_a_log_is_refused_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="rejoinder import"), windows_of(tmp_path / "typo"):
        pass
    assert not (tmp_path / "typo" / "log.db").exists()


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    return Artefacts(FolderStore(tmp_path / "registry"), tmp_path / "artefacts")


def with_base(artefacts: Artefacts, folder: Path) -> str:
    folder.mkdir()
    (folder / "genai_config.json").write_text("{}")
    return bootstrap(artefacts.store, artefacts, "assist", folder).digest


def test_nobody_is_stable_before_anything_was_served(artefacts: Artefacts) -> None:
    assert stable_of(artefacts.store, artefacts, "assist") == ""


def test_a_stable_base_is_no_version_to_compare_adapters_with(artefacts: Artefacts, tmp_path: Path) -> None:
    with_base(artefacts, tmp_path / "export")
    assert stable_of(artefacts.store, artefacts, "assist") == ""


def test_a_promoted_version_is_stable_and_of_its_own_policy_alone(artefacts: Artefacts, tmp_path: Path) -> None:
    base = with_base(artefacts, tmp_path / "export")
    artefacts.publish(Version("assist", "assist-r0001", "d" * 64, base_digest=base, round=1))
    advance(artefacts.store, ServedPointer("assist", 2, "assist-r0001", "d" * 64, replaces=1, previous="assist-base"))
    assert stable_of(artefacts.store, artefacts, "assist") == "assist-r0001"
    assert stable_of(artefacts.store, artefacts, "other") == ""


def test_a_version_that_was_rolled_back_to_the_base_is_not_stable_any_more(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    """F13."""
    base = with_base(artefacts, tmp_path / "export")
    artefacts.publish(Version("assist", "assist-r0001", "d" * 64, base_digest=base, round=1))
    advance(artefacts.store, ServedPointer("assist", 2, "assist-r0001", "d" * 64, replaces=1, previous="assist-base"))
    advance(artefacts.store, ServedPointer("assist", 3, "assist-base", base, replaces=2, previous="assist-r0001"))
    assert stable_of(artefacts.store, artefacts, "assist") == ""
