from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.redact import causes, fact, masked, places
from rejoinder.core.types import Role

WORDS = "my doctor says so"


@pytest.mark.parametrize(
    ("name", "value", "printed"),
    [
        ("port", 50051, "50051"),
        ("forced", True, "true"),
        ("seconds", 0.123456789, "0.123457"),
        ("role", Role.USER, "USER"),
        ("version", "assist-r0042", "assist-r0042"),
        ("path", Path("/var/lib/log.db"), "/var/lib/log.db"),
        ("services", ["a.B", "c.D"], "a.B,c.D"),
        ("nothing", None, "None"),
        ("empty", "", '""'),
        # What is no token is printed by its size: words, line ends that would forge a line, other alphabets.
        ("id", WORDS, "<17_chars>"),
        ("id", "a\nlevel=info", "<12_chars>"),
        ("id", "Zürich", "<6_chars>"),
        ("id", "x" * 257, "<257_chars>"),
        ("facts", {"a": WORDS}, "<1_entries>"),
        ("many", [WORDS, "b"], "<17_chars>,b"),
        ("body", b"bytes", "<bytes>"),
        ("event", object(), "<object>"),
        # A name that means words prints its size however harmless the value looks.
        ("text", "no", "<2_chars>"),
        ("query", "shoes", "<5_chars>"),
    ],
)
def test_a_fact_is_a_token_or_a_size(name: str, value: object, printed: str) -> None:
    assert fact(name, value) == printed


def fails() -> None:
    try:
        raise KeyError(WORDS)
    except KeyError as cause:
        raise ValueError(f"bad: {WORDS}") from cause


def test_a_stack_is_places_without_the_words_of_the_error() -> None:
    with pytest.raises(ValueError, match="doctor") as raised:
        fails()
    text = causes(raised.value)
    assert text.startswith(f"ValueError({places(raised.value.__traceback__)})<-KeyError(")
    assert "test_redact.py" in text
    assert "doctor" not in text
    assert " " not in text


def test_a_stack_that_grew_with_every_row_that_shared_it_keeps_its_ends() -> None:
    shared = ValueError(WORDS)

    def row() -> None:
        raise shared

    for _ in range(2_000):
        with pytest.raises(ValueError, match="doctor"):
            row()
    text = causes(shared)
    assert len(text) < 4_000
    assert text.endswith(":row)")
    assert "_places>" in text
    assert places(None) == ""


def test_a_chain_of_causes_without_end_is_cut() -> None:
    last = first = ValueError(WORDS)
    for _ in range(1_000):
        last.__cause__ = ValueError(WORDS)
        last = last.__cause__
    assert causes(first).count("ValueError") == 8


def test_an_error_that_is_its_own_cause_ends() -> None:
    error = ValueError("x")
    error.__cause__ = error
    assert causes(error) == "ValueError()"


def test_secrets_and_passwords_in_urls_are_masked_and_names_of_files_are_not() -> None:
    settings = {
        "server": {"port": 1, "auth": {"token": "t0p", "token_file": "/run/token"}},
        "database_dsn": "postgresql://u:pw@db/rejoinder",
        "store": {"url": "s3://name:pw@bucket"},
        "erasure_key": "abc",
        "api_secret": "",
    }
    assert masked(settings) == {
        "server.port": "1",
        "server.auth.token": "****",
        "server.auth.token_file": "/run/token",
        "database_dsn": "****",
        "store.url": "s3://name:****@bucket",
        "erasure_key": "****",
        "api_secret": "",
    }
