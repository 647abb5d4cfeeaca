"""cli/models: what a setup says of the base policy; a folder that cannot be is refused before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rejoinder.cli import models
from rejoinder.cli.main import main


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models that stand there already, as the builds left them."""
    keys: dict[str, str] = {}
    for step in models.STEPS:
        keys[step.name] = models._key(step, keys)
        (tmp_path / step.name).mkdir()
        (tmp_path / f"{step.name}.key").write_text(keys[step.name])
    probe = {"followed_system": 0.82, "right": 0.9861, "rarest": 0.06, "answers": 8400}
    (tmp_path / "base" / "probe.json").write_text(json.dumps(probe))
    monkeypatch.setenv("REJOINDER_MODELS", str(tmp_path))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["models", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_a_setup_says_what_the_base_can_express(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "build").splitlines() == [
        "base policy: stated wish followed 82.0 % (at least 80 %)",
        "base policy: facts right 98.6 % (at least 95 %)",
        "base policy: rarest style of a kind, unasked 6.0 % (at least 3 %)",
    ]
    found = json.loads(said(capsys, "build", "--json"))["base"]
    assert found["built"] is False
    assert found["measured"]["facts right"] == [0.95, 0.9861]


def test_who_builds_something_else_is_not_told_of_the_base(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "build", "--only", "signals") == ""


def test_an_export_goes_to_the_room_that_needs_torch_with_what_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def ran(arguments: list[str]) -> dict[str, str]:
        seen.extend(arguments)
        return {"digest": "d1"}

    monkeypatch.setattr("rejoinder.rounds.stages.command", ran)
    arguments = ("export", "--model", "me/judge", "--kind", "score", "--out", str(tmp_path / "out"))
    assert json.loads(said(capsys, *arguments, "--json")) == {"digest": "d1"}
    assert seen[seen.index("--kind") + 1] == "score"
    assert seen[seen.index("--base") + 1] == "me/judge"
