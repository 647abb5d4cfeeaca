"""Which versions this process can serve, by the digest of what it loaded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from rejoinder.core.arms import Version
from rejoinder.core.errors import DataLoss, FailedPrecondition, NotFound
from rejoinder.registry.artefacts import Artefacts

#: The file of an adapter artefact that the engine loads.
ADAPTER_FILE = "adapter.onnx_adapter"


class Engine(Protocol):
    """What versions need of the engine."""

    def load_adapter(self, name: str, path: Path) -> Future[None]: ...

    def unload_adapter(self, name: str) -> Future[None]: ...


class Versions:
    """owns: which digest is loaded under which adapter name. Safe from any thread.

    base: digest of the base that the engine holds; it is itself a version, served without an adapter.
    """

    def __init__(self, artefacts: Artefacts, policy: str, engine: Engine, base: str) -> None:
        self._artefacts = artefacts
        self._policy = policy
        self._engine = engine
        self._base = base
        self._guard = threading.Lock()
        self._adapters: dict[str, str] = {base: ""}
        self._names: dict[str, str] = {}

    @property
    def loaded(self) -> frozenset[str]:
        """Digests that can be served now."""
        return frozenset(self._adapters)

    def adapter_of(self, digest: str) -> str:
        """The engine's name for a digest. Raises NotFound when it is not loaded."""
        try:
            return self._adapters[digest]
        except KeyError:
            raise NotFound("this replica has not loaded the version", digest=digest) from None

    def named(self, version: str) -> Version:
        """A loaded version by name. Raises NotFound."""
        for digest, name in self._names.items():
            if name == version:
                return Version(name, digest)
        raise NotFound("this replica has not loaded the version", version=version)

    def load(self, wanted: Version) -> None:
        """Loads a version; nothing to do when its digest is loaded.

        Raises DataLoss when the registry's manifest or the files differ from the digest that was asked for (F12),
        FailedPrecondition when it adapts another base.
        """
        with self._guard:
            if wanted.digest in self._adapters:
                self._names[wanted.digest] = wanted.version
                return
            manifest = self._artefacts.version(self._policy, wanted.version)
            if manifest.digest != wanted.digest:
                raise DataLoss("the registry's version has another digest", version=wanted.version)
            if manifest.base_digest != self._base:
                raise FailedPrecondition("the version adapts another base", version=wanted.version)
            folder = self._artefacts.verify(wanted.digest)
            name = f"{wanted.version}@{wanted.digest[:16]}"
            self._engine.load_adapter(name, folder / ADAPTER_FILE).result()
            self._adapters[wanted.digest] = name
            self._names[wanted.digest] = wanted.version

    def keep(self, wanted: Sequence[Version]) -> None:
        """Unloads what is not wanted any more and not in use; the base stays."""
        digests = {version.digest for version in wanted} | {self._base}
        with self._guard:
            for digest in set(self._adapters) - digests:
                try:
                    self._engine.unload_adapter(self._adapters[digest]).result()
                except FailedPrecondition:
                    continue
                del self._adapters[digest]
                self._names.pop(digest, None)
