"""runtime/own: an export is taken as it is, another model goes through the training room, or the command is named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from rejoinder.core.errors import BadFile, BadSettings, FailedPrecondition
from rejoinder.core.modelfolder import Kind
from rejoinder.runtime import own
from rejoinder.runtime.own import OwnTheme, exported

SETTING = "model.own.name"


@pytest.mark.parametrize(
    ("kind", "holds"), [("policy", "genai_config.json"), ("score", "model.json"), ("embedding", "model.json")]
)
def test_an_export_that_was_made_elsewhere_needs_nothing(tmp_path: Path, kind: Kind, holds: str) -> None:
    (tmp_path / holds).touch()
    assert exported(OwnTheme(name=str(tmp_path)), kind, SETTING, lambda name: False) == tmp_path


@pytest.mark.parametrize(("kind", "given"), [("score", "embedding"), ("embedding", "score"), ("policy", "score")])
def test_an_export_of_another_kind_is_refused_at_the_start(tmp_path: Path, kind: Kind, given: str) -> None:
    """It would load, and every call would fail."""
    (tmp_path / "model.json").write_text(json.dumps({"outputs": [given]}))
    (tmp_path / "genai_config.json").touch()
    with pytest.raises(BadFile, match=rf"model\.own\.name: .* gives {given}, no {kind}; .*--kind {kind}"):
        exported(OwnTheme(name=str(tmp_path)), kind, SETTING, lambda name: False)


def test_a_folder_with_a_revision_is_refused(tmp_path: Path) -> None:
    """It would be taken as it stands, whatever the revision says."""
    with pytest.raises(BadSettings, match="no revisions"):
        exported(OwnTheme(name=str(tmp_path), revision="abc"), "score", SETTING, lambda name: True)


def test_without_the_training_extra_the_command_that_makes_it_is_named() -> None:
    with pytest.raises(FailedPrecondition, match=r"models export --model me/tiny --kind score --out DIR") as raised:
        exported(OwnTheme(name="me/tiny"), "score", "cross.own.name", lambda name: name != "torch")
    assert "(torch not installed)" in raised.value.message
    assert raised.value.message.startswith("cross.own.name: ")


@pytest.mark.parametrize(("download", "offline"), [(False, "1"), (True, None)])
def test_the_hub_is_asked_by_who_allowed_it_alone(
    download: bool, offline: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}

    def ran(command: list[str], env: dict[str, str], **options: object) -> subprocess.CompletedProcess[str]:
        seen.update(command=command, offline=env.get("HF_HUB_OFFLINE"))
        return subprocess.CompletedProcess(command, 0, json.dumps({"folder": "/e/1"}) + "\n", "")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(own.subprocess, "run", ran)
    theme = OwnTheme(name="me/tiny", revision="abc", download=download)
    assert exported(theme, "policy", SETTING, lambda name: True) == Path("/e/1")
    assert seen["offline"] == offline
    assert ("--download" in seen["command"]) is download  # type: ignore[operator]


def test_what_the_training_room_says_is_what_the_person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    err = 'a warning\n{"error": "NOT_FOUND", "message": "me/tiny is no folder here"}\n'
    monkeypatch.setattr(own.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 2, "", err))
    with pytest.raises(FailedPrecondition, match=r"model\.own\.name: me/tiny is no folder here"):
        exported(OwnTheme(name="me/tiny"), "policy", SETTING, lambda name: True)
