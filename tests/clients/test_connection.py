from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.clients.connection import Connection, token_in


def test_a_token_in_a_file_is_read_at_each_try(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    connection = Connection("feedback:50051", token=file)
    assert connection.metadata() == (("authorization", "Bearer old"),)
    file.write_text("new\n")
    assert connection.metadata() == (("authorization", "Bearer new"),)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        connection.metadata()


def test_a_token_is_a_text_a_file_or_what_a_function_returns(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t")
    for token in ("t", file, lambda: "t", token_in(file)):
        assert Connection("feedback:50051", token=token).metadata() == (("authorization", "Bearer t"),)
    assert Connection("feedback:50051", token=token_in(None)).metadata() == ()
