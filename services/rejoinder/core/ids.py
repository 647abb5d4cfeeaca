"""Identifiers and digests: UUIDv7 for new things, SHA-256 for what things are, HMAC for whom they are about."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
import uuid
from typing import Any


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
    """SHA-256 (hex) of a JSON value in canonical form: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
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
