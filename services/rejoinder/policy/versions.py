"""Which versions this process can serve, by the digest of what it loaded."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rejoinder.core.arms import Version
from rejoinder.core.errors import DataLoss, FailedPrecondition, NotFound
from rejoinder.registry.artefacts import Artefacts

#: The file of an adapter artefact that the engine loads.
ADAPTER_FILE = "adapter.onnx_adapter"

#: What a version may be called: its name becomes a path in the registry.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


class Engine(Protocol):
    """What versions need of the engine."""

    def load_adapter(self, name: str, path: Path) -> Future[None]: ...

    def unload_adapter(self, name: str) -> Future[None]: ...


class Versions:
    """owns: which digest is loaded under which adapter name, who uses it, what is pinned. Safe from any thread.

    base: digest of the base that the engine holds; it is itself a version, served without an adapter. most_extra:
    versions kept loaded that no arm names (asked for by name, or served until lately); beyond it the one that was
    used longest ago goes.
    """

    def __init__(self, artefacts: Artefacts, policy: str, engine: Engine, base: str, most_extra: int) -> None:
        self._artefacts = artefacts
        self._policy = policy
        self._engine = engine
        self._base = base
        self._most_extra = most_extra
        self._changing = threading.Lock()
        self._guard = threading.Lock()
        #: Digest → adapter, the one used last at the end.
        self._adapters: dict[str, str] = {base: ""}
        self._names: dict[str, str] = {}
        self._pinned = frozenset({base})
        self._users: Counter[str] = Counter()

    @property
    def loaded(self) -> frozenset[str]:
        """Digests that can be served now."""
        with self._guard:
            return frozenset(self._adapters)

    @property
    def all(self) -> list[Version]:
        """Every version that can be served now, under each of its names."""
        with self._guard:
            return [Version(name, digest) for name, digest in self._names.items()]

    @contextmanager
    def use(self, digest: str) -> Iterator[str]:
        """The engine's name for a digest, which is not unloaded meanwhile. Raises NotFound when it is not loaded."""
        with self._guard:
            adapter = self._adapters.pop(digest, None)
            if adapter is None:
                raise NotFound("this replica has not loaded the version", digest=digest)
            self._adapters[digest] = adapter
            self._users[digest] += 1
        try:
            yield adapter
        finally:
            with self._guard:
                self._users[digest] -= 1

    def named(self, version: str) -> Version:
        """A version by name, loaded now if it has to be. Raises NotFound, and what load raises."""
        if not _NAME.fullmatch(version):
            raise NotFound("no version has such a name", size=len(version))
        with self._guard:
            if version in self._names:
                return Version(version, self._names[version])
        found = Version(version, self._artefacts.version(self._policy, version).digest)
        self.load(found)
        return found

    def load(self, wanted: Version) -> None:
        """Loads a version; nothing to do when its digest is loaded.

        Raises NotFound, DataLoss when the registry's manifest or the files differ from the digest that was asked for
        (F12), FailedPrecondition when it adapts another base.
        """
        with self._changing:
            if wanted.digest not in self.loaded:
                self._load(wanted)
            with self._guard:
                self._names[wanted.version] = wanted.digest
            self._unload_extra(newest=wanted.digest)

    def pin(self, wanted: Sequence[Version]) -> None:
        """What arms name stays loaded whatever else is asked for; the base always does."""
        with self._changing:
            self._pinned = frozenset(version.digest for version in wanted) | {self._base}
            self._unload_extra()

    def _load(self, wanted: Version) -> None:
        manifest = self._artefacts.version(self._policy, wanted.version)
        if manifest.digest != wanted.digest:
            raise DataLoss("the registry's version has another digest", version=wanted.version)
        if manifest.base_digest != self._base:
            raise FailedPrecondition("the version adapts another base", version=wanted.version)
        folder = self._artefacts.verify(wanted.digest)
        adapter = f"{wanted.version}@{wanted.digest[:16]}"
        self._engine.load_adapter(adapter, folder / ADAPTER_FILE).result()
        with self._guard:
            self._adapters[wanted.digest] = adapter

    def _unload_extra(self, newest: str = "") -> None:
        with self._guard:
            extra = [digest for digest in self._adapters if digest not in self._pinned]
        idle = [digest for digest in extra if digest != newest]
        for digest in idle[: max(0, len(extra) - self._most_extra)]:
            self._unload(digest)

    def _unload(self, digest: str) -> None:
        with self._guard:
            if self._users[digest] > 0:
                return
            adapter = self._adapters.pop(digest)
        try:
            self._engine.unload_adapter(adapter).result()
        except FailedPrecondition:
            # A caller has left, but its answer is still in the engine for a token: the next change tries again.
            with self._guard:
                self._adapters = {digest: adapter} | self._adapters
            return
        with self._guard:
            self._names = {name: of for name, of in self._names.items() if of != digest}
            del self._users[digest]
