"""cli/looks: every command that shows users' words writes down who ran it before it shows any; who asks is told."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.datafolder import DataFolder
from rejoinder.cli.looks import os_user
from rejoinder.cli.main import main
from rejoinder.core import types

ANN, PHRASE = "ann-of-green-gables", "my pony is called Butterscotch the Third"
ANSWER = f"answer-to-{ANN}"


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    """(exit status, what it printed)."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words), "--json"])
    said = capsys.readouterr()
    return int(ended.value.code or 0), json.loads(said.out or said.err)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What Ann and Bob asked, and what they made of the answers: edits, so that there are pairs."""
    folder = tmp_path / "data"
    with DataFolder(folder, create=True) as opened:
        for user, name in ((ANN, ANSWER), ("bob", "answer-to-bob")):
            asked = (types.Message(types.Role.USER, f"{PHRASE if user == ANN else 'a pony'}: what does it eat?"),)
            opened.record(
                "interactions",
                [
                    types.Interaction(
                        event_id=f"e-{name}",
                        interaction_id=name,
                        user_id=user,
                        messages=asked,
                        response="It eats hay, oats and an apple.",
                    )
                ],
            )
            edit = types.Edit("It eats hay, oats and one pear.")
            opened.record(
                "feedback", [types.Feedback(event_id=f"f-{name}", interaction_id=name, user_id=user, kind=edit)]
            )
        opened.project()
    return folder


def test_who_runs_a_command_is_told_by_the_system_and_not_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert os_user() == f"os:{pwd.getpwuid(os.getuid()).pw_name}"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert os_user() == "os:4000000000"


def test_a_trace_and_an_export_are_told_and_an_erased_user_is_named_by_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs.jsonl"
    status, exported = call(capsys, "export", "--data", data, "--out", out, "--side", "pairs")
    assert (status, exported["pairs"], PHRASE in out.read_text()) == (0, 2, True)
    assert call(capsys, "export", "--data", data, "--out", tmp_path / "gate.jsonl", "--side", "gate")[1]["pairs"] == 0
    assert call(capsys, "trace", ANSWER, "--data", data)[0] == 0
    assert call(capsys, "trace", "nothing-of-this-name", "--data", data)[0] == 2
    assert call(capsys, "satisfaction", "--data", data)[0] == 0
    looks = call(capsys, "looks", "--data", data)[1]["looks"]
    assert [(look["principal"], look["by"], look["what"], look["count"]) for look in looks] == [
        (os_user(), "cli", "trace", 1),
        (os_user(), "cli", "export", 0),
        (os_user(), "cli", "export", 2),
    ], "figures are no look"

    def told(*about: str) -> list[str]:
        return [look["what"] for look in call(capsys, "looks", "--data", data, *about)[1]["looks"]]

    assert told("--id", ANSWER) == ["trace"]
    assert told("--id", "never-shown") == []
    assert told("--user", ANN) == ["export"], "hers were in one of them"
    assert told("--user", "nobody") == []
    assert told("--tenant", "another") == ["export", "export"], "an export is of all tenants"
    assert call(capsys, "erase", "--data", data, ANN)[0] == 0
    record = (data / "looks.jsonl").read_bytes()
    assert ANN.encode() not in record
    assert PHRASE.encode() not in record
    assert (data / "looks.jsonl").stat().st_mode & 0o777 == 0o600


def test_without_the_record_nothing_is_shown_and_no_file_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "looks.jsonl").mkdir()
    out = tmp_path / "pairs.jsonl"
    for words in (("export", "--out", str(out)), ("trace", ANSWER)):
        status, said = call(capsys, *words, "--data", data)
        assert (status, said["error"]["reason"]) == (2, "UNAVAILABLE")
        assert "looks.jsonl" in said["error"]["message"]
        assert PHRASE not in json.dumps(said)
    assert not out.exists()


def test_a_folder_that_is_not_there_has_no_looks_and_asking_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "looks", "--data", tmp_path / "none") == (0, {"looks": []})
    assert not (tmp_path / "none").exists()


def test_half_a_pair_of_certificates_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cert = tmp_path / "tls.crt"
    cert.write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["looks", "--data", str(tmp_path), "--address", "127.0.0.1:1", "--cert-file", str(cert)])
    assert ended.value.code == 2
    assert "belong together" in capsys.readouterr().err
