"""cli/main: help without heavy imports, a mistake is one line and status 2, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rejoinder.cli.main import COMMANDS, LazyGroup, group, main


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rejoinder.cli.main", *arguments], capture_output=True, text=True, check=False
    )


def test_every_command_of_the_list_exists_and_explains_itself() -> None:
    assert isinstance(group, LazyGroup)
    for name in COMMANDS:
        found = group.get_command(None, name)  # type: ignore[arg-type]
        assert found is not None
        assert found.help


def test_help_imports_no_model_runtime() -> None:
    program = (
        "import sys, rejoinder.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnxruntime', 'sqlalchemy', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "import" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command"),
        (["import"], "Missing argument"),
        (["import", "/nowhere/log.jsonl", "--data", "{tmp}"], "cannot open"),
        (["import", "{tmp}", "--data", "{tmp}/d"], "cannot open"),
        (["satisfaction", "--data", "{tmp}/none"], "no data folder yet"),
        (["satisfaction", "--by", "mood"], "Invalid value"),
        (["trace", "x", "--data", "{tmp}/none"], "no data folder yet"),
        (["round", "plan", "--data", "{tmp}/none", "--recipe", "magic"], "shipped: demo, online_dpo"),
        (["round", "ablate", "--data", "{tmp}/none", "--vary", "mood=x.yaml"], "no part is called mood"),
        (["round", "ablate", "--data", "{tmp}/none"], "Missing option"),
        (["round", "diff", "1", "two"], "not a valid integer"),
        (["import", "x", "--address", "127.0.0.1:1", "--format", "tape"], "Invalid value"),
    ],
)
def test_a_persons_mistake_is_one_friendly_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([a.replace("{tmp}", str(tmp_path)) for a in arguments])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_with_json_an_error_is_json_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["satisfaction", "--data", str(tmp_path / "none"), "--json"])
    assert json.loads(capsys.readouterr().err)["error"]["reason"] == "NOT_FOUND"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m rejoinder.cli.main --help | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
