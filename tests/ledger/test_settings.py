"""ledger/settings: one key file means one deployment, whoever reads it (F16)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from rejoinder.cli.datafolder import DataFolder, erasure_key
from rejoinder.core.errors import BadSettings
from rejoinder.core.ids import subject_of
from rejoinder.ledger.settings import ErasureTheme, LedgerProcess, RulesTheme, read_key
from rejoinder.ledger.stores.dialect import Postgres
from rejoinder.runtime.settings import load

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


def test_a_database_is_chosen_by_its_address_and_a_password_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key of the deployment")
    env = {"REJOINDER_LEDGER__ERASURE__KEY_FILE": str(tmp_path / "key")}
    assert load(LedgerProcess, "ledger", env=env).where() == Path("data/ledger.db")
    url = "postgresql+psycopg://ledger@db:5432/ledger"
    env |= {"REJOINDER_LEDGER__STORE__URL": url, "REJOINDER_LEDGER__STORE__PASSWORD_FILE": "/run/secrets/db"}
    assert load(LedgerProcess, "ledger", env=env).where() == Postgres(url, Path("/run/secrets/db"))
    for wrong in ("postgresql+psycopg://ledger:hunter2@db/ledger", f"{url}?password=hunter2", "sqlite:///hunter2"):
        with pytest.raises(BadSettings) as caught:
            load(LedgerProcess, "ledger", env=env | {"REJOINDER_LEDGER__STORE__URL": wrong})
        assert "hunter2" not in str(caught.value)


def test_events_are_kept_at_least_as_long_as_their_ids(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key of the deployment")
    env = {"REJOINDER_LEDGER__ERASURE__KEY_FILE": str(tmp_path / "key")}
    assert load(LedgerProcess, "ledger", env=env).ledger().retention_s is None
    with pytest.raises(BadSettings, match="retention_s must be at least"):
        load(LedgerProcess, "ledger", env=env | {"REJOINDER_LEDGER__STORE__RETENTION_S": "86400"}).ledger()


def test_raw_copies_end_by_the_topics_that_they_lie_on(tmp_path: Path) -> None:
    """Retention, the age of a file and the brokers' looks; a day is a file's."""
    (tmp_path / "key").write_text("a key of the deployment")
    own = "{acme: {retention_s: 864000}, other: {}}"
    env = {
        "REJOINDER_LEDGER__ERASURE__KEY_FILE": str(tmp_path / "key"),
        "REJOINDER_LEDGER__LOG__KAFKA__TENANTS": own,
    }
    with pytest.raises(BadSettings, match=r"log\.kind sqlite has one owner"):
        load(LedgerProcess, "ledger", env=env).ledger()
    on_kafka = load(LedgerProcess, "ledger", env=env | {"REJOINDER_LEDGER__LOG__KIND": "kafka"}).ledger().forgetting
    days = {tenant: (on_kafka.kept_s(tenant) - 600.0) / 86_400.0 for tenant in ("acme", "other", "shared")}
    assert days == {"acme": 11.0, "other": 31.0, "shared": 31.0}


def test_f15_every_rule_that_is_set_is_the_ledgers(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(RAW)
    said = {"dedupe_s": 41 * 86_400.0, "parked_s": 3.0, "parked_per_principal": 4, "history_s": 5.0}
    said |= {"evidence_per_user": 6, "evidence_per_principal": 7}
    made = LedgerProcess(erasure=ErasureTheme(key_file=tmp_path / "key"), rules=RulesTheme(**said)).ledger()
    assert asdict(made.rules) == said
    assert set(said) == set(RulesTheme.model_fields) - {"default_consent"}
