"""The deployment's secret, by which users are named where their names must not stand."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from rejoinder.core.errors import BadSettings


def read_key(path: Path, field: str = "erasure.key_file") -> bytes:
    """The deployment's secret from a file: hexadecimal digits stand for bytes, anything else for itself, so that every
    process and the command line find the same users under the same file. Raises BadSettings."""
    try:
        text = path.read_bytes().strip()
    except OSError:
        raise BadSettings(f"{field} {path} cannot be read") from None
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = text
    if len(key) < 16:
        raise BadSettings(f"{field} holds fewer than 16 bytes")
    return key


def kept_key(path: Path) -> bytes:
    """A secret in a file, made at the first use and readable by its owner alone. Raises BadSettings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_key(path)
    key = secrets.token_bytes(32)
    with os.fdopen(made, "w") as file:
        file.write(key.hex())
        file.flush()
        os.fsync(file.fileno())
    return key
