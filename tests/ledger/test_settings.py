"""ledger/settings: one key file means one deployment, whoever reads it (F16)."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.cli.datafolder import DataFolder, erasure_key
from rejoinder.core.errors import BadSettings
from rejoinder.core.ids import subject_of
from rejoinder.ledger.settings import ErasureTheme, LedgerProcess, read_key

RAW = bytes(range(200, 232))
FILES = {
    "hexadecimal": RAW.hex().encode(),
    "hexadecimal with a newline": RAW.hex().encode() + b"\n",
    "capitals": RAW.hex().upper().encode(),
    "raw bytes": RAW,
    "a passphrase": b"correct horse battery staple",
}


def in_the_process(path: Path) -> str:
    """The name that the ledger process has for somebody."""
    key = LedgerProcess(erasure=ErasureTheme(key_file=path)).ledger().forgetting.key
    return subject_of(key, "default", "person-1")


def in_the_command_line(folder: Path) -> str:
    return subject_of(erasure_key(folder), "default", "person-1")


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_process_and_command_line_name_the_same_subject_under_the_same_file(content: bytes, tmp_path: Path) -> None:
    """F16: an erasure asked of one must be one for the other."""
    (tmp_path / "key").write_bytes(content)
    assert in_the_process(tmp_path / "key") == in_the_command_line(tmp_path)


def test_a_key_that_the_command_line_made_is_the_processs_too(tmp_path: Path) -> None:
    made = in_the_command_line(tmp_path)
    assert in_the_process(tmp_path / "key") == made
    with DataFolder(tmp_path, create=True) as opened:
        assert opened.folder == tmp_path
    assert in_the_process(tmp_path / "key") == made, "opening the folder makes no other"


def test_hexadecimal_digits_stand_for_bytes_and_anything_else_for_itself(tmp_path: Path) -> None:
    """Control: were digits taken as they stand, a file and its bytes would name two people."""
    found = {}
    for name, content in FILES.items():
        (tmp_path / "key").write_bytes(content)
        found[name] = read_key(tmp_path / "key")
    passphrase = found.pop("a passphrase")
    assert set(found.values()) == {RAW}
    assert passphrase == FILES["a passphrase"]
    assert subject_of(RAW, "t", "u") != subject_of(RAW.hex().encode(), "t", "u")


@pytest.mark.parametrize("content", [b"", b"ab", b"0123456789abcdef", b"fifteen letters"])
def test_a_key_of_fewer_than_sixteen_bytes_is_refused(content: bytes, tmp_path: Path) -> None:
    """Sixteen digits are eight bytes."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BadSettings, match="16 bytes"):
        in_the_process(tmp_path / "key")


def test_a_key_file_that_is_not_there_is_named_and_not_made_by_the_process(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        in_the_process(tmp_path / "key")
    assert not (tmp_path / "key").exists()
