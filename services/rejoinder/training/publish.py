"""Outputs that are either complete or not there: written aside, synced, digested, and renamed into place last."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rejoinder.core.disk import sync_folder
from rejoinder.core.errors import ClaimTaken, DataLoss
from rejoinder.core.ids import digest_of

DIGEST = "digest.json"


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(folder: Path, leave_out: frozenset[str] = frozenset({DIGEST})) -> tuple[str, dict[str, str]]:
    """(digest, {relative path: SHA-256}) of every file under a folder, digest.json itself left out."""
    files = {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in leave_out
    }
    return digest_of(files), files


def sync_tree(folder: Path) -> None:
    """Every file and folder below on the disk before anything is renamed."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def publish(draft: Path, out: Path, key: str) -> str:
    """Writes digest.json into `draft`, syncs it and renames it to `out`; returns the digest of what is published.

    The first complete output wins: where `out` is already published under the same key, the draft is thrown away and
    the published digest returned. ClaimTaken where something else stands there.
    """
    digest, files = tree_digest(draft)
    (draft / DIGEST).write_text(json.dumps({"digest": digest, "files": files, "key": key}, indent=2) + "\n")
    sync_tree(draft)
    try:
        os.rename(draft, out)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        shutil.rmtree(draft)
        return already_published(out, key)
    sync_folder(out.parent)
    return digest


def already_published(out: Path, key: str) -> str:
    """The digest of a complete output of the same inputs; ClaimTaken where it is of others, DataLoss where torn."""
    try:
        record = json.loads((out / DIGEST).read_text())
    except (OSError, json.JSONDecodeError):
        raise ClaimTaken(f"{out.name} exists and holds no complete output", out=out.name) from None
    if record.get("key") != key:
        raise ClaimTaken(f"{out.name} holds the output of other inputs", out=out.name)
    return verify(out)


def verify(out: Path) -> str:
    """The digest of a published output after reading every byte of it; DataLoss where they differ."""
    record = json.loads((out / DIGEST).read_text())
    digest, _ = tree_digest(out)
    if digest != record["digest"]:
        raise DataLoss(f"{out.name} is not what was published", expected=record["digest"], found=digest)
    return digest


@contextmanager
def sole_writer(work: Path) -> Iterator[None]:
    """Holds the work folder for this process; ClaimTaken while another living process does."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ClaimTaken(f"another process is writing {work.name}", work=work.name) from None
        yield
