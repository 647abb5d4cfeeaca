import json

import pytest
from rejoinder.training.__main__ import main


def arguments(command, **paths):
    return [command, *(part for name, path in paths.items() for part in (f"--{name}", str(path)))]


def test_a_command_answers_with_one_json_line(base_dir, make_pairs, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    assert main(arguments("likelihood", pairs=make_pairs(), base=base_dir, out=out)) == 0
    assert json.loads(capsys.readouterr().out) == {"rows": 12, "dropped": {}}
    assert len(out.read_text().splitlines()) == 12


def test_what_the_caller_must_mend_is_a_reason_on_stderr_and_status_two(base_dir, tmp_path, capsys):
    paths = {"manifest": tmp_path / "m", "pairs": tmp_path / "p", "base": base_dir, "out": tmp_path / "o"}
    assert main(arguments("run", **paths)) == 2
    assert json.loads(capsys.readouterr().err)["error"] == "BAD_FILE"


def test_an_unknown_command_is_refused():
    with pytest.raises(SystemExit):
        main(["fly"])
