"""Bytes by path with exclusive create: the one primitive that claims, pointers and manifests stand on."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any, Protocol

from rejoinder.core.disk import sync_folder
from rejoinder.core.errors import BadSettings, ClaimTaken, NotFound


class Store(Protocol):
    def create(self, path: str, data: bytes) -> None:
        """Writes a new object, whole and durable, or raises ClaimTaken when the path exists."""

    def read(self, path: str) -> bytes:
        """Raises NotFound."""

    def exists(self, path: str) -> bool: ...

    def names(self, path: str) -> list[str]:
        """Names directly under a path, sorted; [] when there are none."""


class FolderStore:
    """A local folder. owns: the files under `root`."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def create(self, path: str, data: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and linked, so that nobody ever reads half an object and a kill leaves only the aside.
        aside = target.parent / f".{target.name}.{uuid.uuid4().hex}"
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(aside, target)
            except FileExistsError:
                raise ClaimTaken(f"{path} exists already", path=path) from None
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(target.parent)

    def read(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFound(f"the registry holds no {path}", path=path) from None

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def names(self, path: str) -> list[str]:
        folder = self.root / path
        return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


class ObjectStore:
    """Any fsspec file system that creates exclusively (S3: If-None-Match, GCS: generation 0). owns: nothing."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}"

    def create(self, path: str, data: bytes) -> None:
        full = self._full(path)
        self.filesystem.makedirs(full.rsplit("/", 1)[0], exist_ok=True)
        try:
            self.filesystem.pipe_file(full, data, mode="create")
        except FileExistsError:
            raise ClaimTaken(f"{path} exists already", path=path) from None

    def read(self, path: str) -> bytes:
        try:
            return self.filesystem.cat_file(self._full(path))
        except FileNotFoundError:
            raise NotFound(f"the registry holds no {path}", path=path) from None

    def exists(self, path: str) -> bool:
        return self.filesystem.exists(self._full(path))

    def names(self, path: str) -> list[str]:
        try:
            found = self.filesystem.ls(self._full(path), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in found)


def open_store(address: str, *, read_only: bool = False) -> Store:
    """A store by address: a path, or an fsspec URL. Raises BadSettings when it cannot create exclusively.

    The probe writes one path twice: a store that lets the second pass would let two operators promote at once.
    read_only: for who writes nothing there, and does not try.
    """
    store: FolderStore | ObjectStore
    if "://" not in address:
        store = FolderStore(address)
    else:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(address)
        store = ObjectStore(filesystem, root)
    if read_only:
        return store
    probe = f"probes/{uuid.uuid4().hex}"
    store.create(probe, b"1")
    try:
        store.create(probe, b"2")
    except ClaimTaken:
        pass
    else:
        raise BadSettings("the registry's store cannot create exclusively", address=address)
    if isinstance(store, FolderStore):
        (store.root / probe).unlink()
    else:
        store.filesystem.rm_file(f"{store.root}/{probe}")
    return store


def create_json(store: Store, path: str, value: Any) -> None:
    """Creates an object of canonical JSON (sorted keys, one trailing newline)."""
    store.create(path, json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n")


def read_json(store: Store, path: str) -> Any:
    return json.loads(store.read(path))
