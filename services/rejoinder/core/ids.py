"""Identifiers and digests: UUIDv7 for new things, SHA-256 for what things are, HMAC for whom they are about."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
import uuid
from typing import Any

from rejoinder.core.errors import BadEncoding, TooLong

#: JSON in canonical form: sorted keys, no spaces.
canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
#: Characters of one id or name, where a deployment says nothing else.
MAX_NAME_CHARS = 256
#: Messages of a conversation, or candidates of a ranking, that ingest takes of one event unless it is set otherwise.
MAX_PARTS = 2000
#: UTF-8 bytes of one id or name: PostgreSQL indexes rows of up to 2,704 bytes, and some indexes hold three names.
MAX_NAME_BYTES = 512


def check_name(field: str, text: str, most_chars: int = MAX_NAME_CHARS) -> None:
    """An id, or the name of a row: short, and nothing that would forge a line of a log. Raises TooLong, BadEncoding."""
    if len(text) > most_chars:
        raise TooLong(field, len(text), most_chars, "characters")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES:
        raise TooLong(field, size, MAX_NAME_BYTES)
    if not text.isprintable():
        raise BadEncoding(f"{field} has a control character", field=field)


def uuid7(now: float | None = None) -> str:
    """A time-ordered UUID (RFC 9562, version 7) as text."""
    milliseconds = int((time.time() if now is None else now) * 1000)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def uuid7_time(text: str) -> float | None:
    """Seconds since the epoch that a UUIDv7 carries; None when the text is no UUIDv7."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return (value.int >> 80) / 1000 if value.version == 7 else None


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON value in canonical form, UTF-8."""
    return digest_of_text(canonical_json(value))


def digest_of_text(text: str) -> str:
    """SHA-256 (hex) of UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def answer_digest(text: str) -> str:
    """SHA-256 (hex) of an answer with runs of whitespace folded: what a follow-up's history is matched by."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogatepass")).hexdigest()


def subject_of(key: bytes, tenant: str, user_id: str) -> str:
    """HMAC-SHA256 (hex) of tenant and user: names nobody without the deployment's key."""
    return hmac.new(key, f"{tenant}\x00{user_id}".encode(), hashlib.sha256).hexdigest()


def derived_id(*parts: str) -> str:
    """The id of a derived event: the same parts always make the same id."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()
