from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.clients.connection import Connection, token_in

TARGETS = ("policy:50052", "dns:///policy:50052", "ipv4:10.0.0.1:50052,10.0.0.2:50052")


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


def test_health_is_watched_where_an_address_is_one_replica() -> None:
    """Behind a proxy the watch would be that of whichever replica it reached, for all of them."""
    watched = {t for t in TARGETS if "grpc.service_config" in dict(Connection(t).options())}
    assert watched == {"dns:///policy:50052", "ipv4:10.0.0.1:50052,10.0.0.2:50052"}
