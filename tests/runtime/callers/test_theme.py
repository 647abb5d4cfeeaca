"""runtime/callers/theme: what a process shows when it calls another."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.clients.connection import Tls
from rejoinder.core.errors import BadSettings
from rejoinder.runtime.callers.theme import CallerTheme


def test_without_files_calls_go_in_clear_text() -> None:
    assert CallerTheme().tls is None


def test_roots_alone_check_the_other_and_a_pair_names_us() -> None:
    assert CallerTheme(ca_file=Path("ca")).tls == Tls(Path("ca"))
    pair = CallerTheme(ca_file=Path("ca"), cert_file=Path("crt"), key_file=Path("key"))
    assert pair.tls == Tls(Path("ca"), Path("crt"), Path("key"))


@pytest.mark.parametrize("half", [{"key_file": Path("key")}, {"cert_file": Path("crt"), "ca_file": Path("ca")}])
def test_half_a_pair_is_refused_and_is_not_clear_text(half: dict[str, Path]) -> None:
    with pytest.raises(BadSettings, match="key_file"):
        _ = CallerTheme(**half).tls
