"""Every row of the hostile table: its status and reason, nothing written, and whoever was asked serves on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.main import main
from rejoinder.core.errors import RejoinderError
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.v1 import common_pb2, feedback_pb2, ledger_pb2, policy_pb2, reward_pb2, rollouts_pb2

from tests.chaos.harness import wait_until
from tests.hostile.fuzz import Found, fuzz_readers, fuzz_services, stored_in
from tests.hostile.readers import PAIR, READERS, SETTINGS, Reader
from tests.hostile.services import POLICY, SERVICES, Services
from tests.hostile.table import FILES, PATHS, REQUESTS, ROWS, Row, rerank
from tests.observe.formats.test_contract import SAMPLES

pytestmark = pytest.mark.system

ASKED = [common_pb2.Message(role="ROLE_USER", content="How warm is it?")]
#: What each service is asked after a hostile row: method, request, records that the log gets.
SOUND: dict[str, tuple[str, Any, int]] = {
    "feedback": (
        "RecordFeedback",
        feedback_pb2.RecordFeedbackRequest(events=[{"click": {"candidate_id": "c", "position": 1}}]),
        1,
    ),
    "policy": (
        "Generate",
        policy_pb2.GenerateRequest(messages=ASKED, sampling={"max_tokens": 2, "temperature": 1.0}, unlogged=True),
        0,
    ),
    "reward": ("Score", reward_pb2.ScoreRequest(messages=ASKED, responses=["68 F"]), 0),
    "rerank": ("Rerank", rerank(), 1),
    "ledger": ("ReadEvidence", ledger_pb2.ReadEvidenceRequest(reader="sound", limit=1), 0),
    "rollouts": ("GetRollout", rollouts_pb2.GetRolloutRequest(policy=POLICY), 0),
}
COMMANDS = {
    "import": ("import", "{file}", "--data", "{data}", "--no-signals", "--json"),
    "recipe": ("round", "plan", "--recipe", "{file}", "--data", "{data}", "--json"),
    "rollout plan": ("rollout", "plan", "--plan", "{file}", "--data", "{data}", "--json"),
    "reward pairs": ("reward", "evaluate", "{file}", "--json"),
    "labelled turns": ("signals", "evaluate", "{file}", "--json"),
}
#: What is written when a command ends must be refused before it begins.
OUTPUTS = {
    "export": ("export", "--out", "{path}", "--data", "{data}", "--json"),
    "demo figures": ("demo", "--json", "{path}", "--data", "{folder}/demo"),
    "demo report": ("demo", "--report", "{path}", "--json", "{folder}/figures.json", "--data", "{folder}/demo"),
    "demo in": ("demo", "--data", "{path}", "--json", "{folder}/figures.json"),
    "import to": ("import", "{data}/sound.jsonl", "--data", "{path}", "--no-signals", "--json"),
    "model to": ("models", "export", "--model", "{data}", "--out", "{path}", "--json"),
    "satisfaction of": ("satisfaction", "--data", "{path}", "--json"),
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    made = Services(tmp_path_factory.mktemp("services")).start()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds something already."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "sound.jsonl").write_text(json.dumps(SAMPLES["sharegpt"]))
    with pytest.raises(SystemExit):
        main(["import", str(folder / "sound.jsonl"), "--data", str(folder), "--no-signals", "--json"])
    return folder


def settle(services: Services, count: int) -> None:
    wait_until(lambda: services.stored() >= count and not services.spooled(), f"{count} records")
    assert services.stored() == count


@pytest.mark.parametrize("row", REQUESTS, ids=lambda row: row.name)
def test_a_request_gets_its_status_and_reason_and_leaves_nothing(services: Services, row: Row) -> None:
    before, stored = services.state(), services.stored()
    assert services.call(row.target, row.input, row.token) == row.expect
    if row.writes:
        settle(services, stored + row.writes)
    else:
        assert services.state() == before
    name = row.target.split(".")[0]
    method, sound, writes = SOUND[name]
    answer = services.call(f"{name}.{method}", sound.SerializeToString())
    assert answer == ("RECORDED" if name == "feedback" else "OK")
    settle(services, stored + row.writes + writes)


#: Seeded inputs of a short run, requests and files; `python -m tests.hostile.fuzz` goes on for as long as one likes.
SHORT, SHORT_FILES = 400, 200
FUZZED = [f"feedback.{m}" for m in ("RecordFeedback", "RecordInteractions", "RecordLabels", "BeginEpoch", "CommitStep")]
FUZZED += ["rerank.Rerank", "reward.Score", "reward.Compare", "policy.Generate"]
FUZZED += [f"ledger.{m}" for m in ("Trace", "GetSatisfaction", "GetParity", "ReadEvidence", "ReadJudged")]
FUZZED += ["ledger.FetchEvidence", "ledger.GetCut", "ledger.BuildWindow", "ledger.ListAnswers"]
FUZZED += [f"rollouts.{m}" for m in ("GetRollout", "GetTrail", "Start", "Promote", "Abort", "Freeze")]


def test_some_hundred_seeded_requests_find_nothing(services: Services, tmp_path: Path) -> None:
    found = Found(tmp_path)
    assert fuzz_services(services, found, seed=1, only=FUZZED, most=SHORT) == SHORT
    assert found.findings == {}
    assert sum(" OK" not in answer and "RECORDED" not in answer for answer in found.answers) > 20


def test_some_hundred_seeded_files_find_nothing(tmp_path: Path) -> None:
    found = Found(tmp_path)
    assert fuzz_readers(READERS, tmp_path, found, seed=1, most=SHORT_FILES) == SHORT_FILES
    assert found.findings == {}


def test_a_reader_that_takes_a_file_on_trust_is_found(tmp_path: Path) -> None:
    """The control."""
    trusting = Reader(lambda path, folder: json.loads(path.read_bytes())["messages"][0]["text"].strip(), [PAIR], "json")
    found = Found(tmp_path)
    fuzz_readers({"trusting": trusting}, tmp_path, found, seed=1, most=100)
    assert len(found.findings) >= 2


def test_after_all_of_them_everybody_serves_the_ledger_has_read_on_and_no_error_was_unforeseen(
    services: Services,
) -> None:
    assert all(services.serves(name) for name in SERVICES)

    def caught_up() -> bool:
        told, raw = services.answer("ledger.GetParity", b"")
        rows = ledger_pb2.GetParityResponse.FromString(raw).rows if told == "OK" else ()
        return all(row.position >= row.end for row in rows)

    wait_until(caught_up, "the ledger")
    assert services.bugs() == {}


@pytest.mark.parametrize("row", FILES, ids=lambda row: row.name)
def test_a_file_is_one_friendly_error_and_nothing_is_written(
    row: Row, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = stored_in(data / "log.db")
    path = tmp_path / "input"
    path.write_bytes(row.input)
    capsys.readouterr()
    status, reason, said = _given(row.target, path, data, capsys)
    assert f"{status}/{reason}" == row.expect
    assert "Traceback" not in said
    assert stored_in(data / "log.db") == stored
    assert not Path("/tmp/hostile").exists()


@pytest.mark.parametrize("row", PATHS, ids=lambda row: row.name)
def test_a_path_that_cannot_be_is_one_friendly_error_before_anything_begins(
    row: Row, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = stored_in(data / "log.db")
    (tmp_path / "file").write_text("as it was")
    (tmp_path / "folder" / "log.db").mkdir(parents=True)
    places = {"file": tmp_path / "file", "folder": tmp_path / "folder", "data": data}
    path = row.input.decode().format(**places)
    with pytest.raises(SystemExit) as ended:
        main([part.format(path=path, **places) for part in OUTPUTS[row.target]])
    said = capsys.readouterr().err
    assert f"{ended.value.code}/{json.loads(said)['error']['reason']}" == row.expect
    assert "Traceback" not in said
    assert stored_in(data / "log.db") == stored
    assert (tmp_path / "file").read_text() == "as it was"
    assert not (tmp_path / "folder" / "demo").exists()


def _given(target: str, path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, reason and what was said."""
    if target in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([part.format(file=path, data=data) for part in COMMANDS[target]])
        said = capsys.readouterr().err
        return int(ended.value.code or 0), json.loads(said)["error"]["reason"], said
    if target == "phrases":
        # No command is given phrases alone: what the command line would say of this error.
        with pytest.raises(RejoinderError) as raised:
            READERS[target].read(path, data)
        return 2, raised.value.reason, str(raised.value)
    service, file = target.removeprefix("settings of "), path
    if target == "principals":
        service, file = "feedback", path.with_name("settings.yaml")
        file.write_text(f"server: {{auth: {{file: {path}}}}}")
    status = run(service, SETTINGS[service], _not_reached, ["--settings", str(file)], {})
    said = capsys.readouterr().err
    return status, said.rpartition("[")[2].rstrip("]\n"), said


async def _not_reached(settings: Any, chassis: Chassis) -> Room:
    raise AssertionError("the process went on with a file that it should refuse")


def test_the_table_is_wide_and_nowhere_deep() -> None:
    kinds = Counter(row.kind for row in ROWS)
    assert len(ROWS) >= 40
    assert max(kinds.values()) <= 3
    assert sum(row.found_by == "fuzzer" for row in ROWS) >= 8
    assert {row.target.split(".")[0] for row in REQUESTS} == set(SERVICES)
    assert {row.target for row in FILES} >= set(COMMANDS) | {"phrases", "principals"}
    assert len({row.name for row in ROWS}) == len(ROWS)
