"""Tiny models of somebody's own, by their names in a hub cache, with exports that stand in a cache folder already."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.modelfolder import Kind
from rejoinder.runtime.own import OwnEncoderTheme
from rejoinder.training import hub

from tests.tinyencoders import tiny_encoder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class OwnModels:
    """Names of the hub, found in a cache on this machine. owns: the folder of exports."""

    def __init__(self, at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._hub = at / "hub"
        self.exports = at / "exports"
        self.sources: dict[str, Path] = {}
        monkeypatch.setenv("HF_HUB_CACHE", str(self._hub))

    def named(self, name: str, family: str, head: str = "ForSequenceClassification") -> OwnEncoderTheme:
        """The theme of `me/NAME`, a fresh model that is in the cache."""
        home = self._hub / f"models--me--{name}"
        self.sources[name] = home / "snapshots" / COMMIT
        tiny_encoder(self.sources[name], family, head)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(COMMIT)
        return OwnEncoderTheme(name=f"me/{name}", exports=self.exports)

    def export(self, name: str, kind: Kind) -> str:
        """Makes the export in this process, which has torch loaded; the digest. A start then finds it."""
        return str(hub.exported(str(self.sources[name]), "", False, self.exports, kind)["digest"])
