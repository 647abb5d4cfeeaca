"""Folders of files named by what they hold, and versions that point at them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rejoinder.core.errors import DataLoss, InvalidArgument, NotFound
from rejoinder.core.ids import digest_of
from rejoinder.registry.store import Store, create_json, read_json

#: What a version may be called: its name becomes a path.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 over the sorted (relative path, file digest) of every file: the identity of an artefact."""
    files = {
        str(path.relative_to(folder)): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    return digest_of(files)


@dataclass(frozen=True)
class Version:
    """A version's manifest. digest: of its artefact; base_digest: of the base it adapts, "" for a whole model.

    made_at: seconds since the epoch. dataset_digest and round are empty for shipped versions. facts: measures, plain.
    """

    policy: str
    version: str
    digest: str
    base_digest: str = ""
    kind: str = "adapter"
    round: int = 0
    dataset_digest: str = ""
    made_at: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


class Artefacts:
    """Artefacts and versions of one registry. owns: the local folder that artefacts are kept or cached in.

    Artefact folders live on the local file system (`folder`): model runtimes open files, not objects.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def put(self, source: Path) -> str:
        """Keeps a copy of a folder under its digest; the same content twice is one artefact."""
        digest = folder_digest(source)
        target = self.folder / digest
        if target.exists():
            return digest
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".{digest}.{uuid.uuid4().hex}"
        shutil.copytree(source, aside)
        try:
            os.rename(aside, target)
        except OSError:
            # Another process put the same content first.
            shutil.rmtree(aside)
            if not target.exists():
                raise
        return digest

    def path(self, digest: str) -> Path:
        """The folder of an artefact. Raises NotFound."""
        target = self.folder / digest
        if not target.is_dir():
            raise NotFound("the registry holds no artefact of this digest", digest=digest)
        return target

    def verify(self, digest: str) -> Path:
        """The folder of an artefact whose files still are what its name says. Raises DataLoss when not (F12)."""
        target = self.path(digest)
        found = folder_digest(target)
        if found != digest:
            raise DataLoss("an artefact's files are not what its digest says", digest=digest, found=found)
        return target

    def publish(self, version: Version) -> None:
        """Makes a version known. Raises ClaimTaken when the name was used before, InvalidArgument for one that could
        be no file's."""
        if not _NAME.fullmatch(version.version):
            raise InvalidArgument("a version is called by up to 128 of A-Z a-z 0-9 . _ -", field="version")
        create_json(self.store, f"versions/{version.policy}/{version.version}.json", asdict(version))

    def version(self, policy: str, name: str) -> Version:
        """A version by its name. Raises NotFound, also for a name that could be no file's."""
        if not _NAME.fullmatch(name):
            raise NotFound("no version has such a name", policy=policy, size=len(name))
        return Version(**read_json(self.store, f"versions/{policy}/{name}.json"))

    def versions(self, policy: str) -> list[Version]:
        """All versions of a policy, oldest first."""
        names = [n.removesuffix(".json") for n in self.store.names(f"versions/{policy}")]
        return sorted((self.version(policy, name) for name in names), key=lambda v: (v.made_at, v.version))
