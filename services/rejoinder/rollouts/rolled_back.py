"""Versions that were taken back from users, by name, in the registry: a round leaves out what was said about them."""

from __future__ import annotations

from contextlib import suppress

from rejoinder.core.errors import ClaimTaken, NotFound
from rejoinder.registry.store import Store, create_json, read_json
from rejoinder.rollout.state import Status


def record(store: Store, policy: str, status: Status, now: float) -> None:
    """Says once that a version was rolled back; a version that was tried again keeps its first record."""
    version = status.canary
    value = {"version": version.version, "digest": version.digest, "reason": status.reason, "by": status.by, "at": now}
    with suppress(ClaimTaken):
        create_json(store, _path(policy, version.version), value)


def reason_of(store: Store, policy: str, version: str) -> str:
    """Why a version may not be tried again, "" where it may: also one that only ran out of time."""
    try:
        reason = read_json(store, _path(policy, version))["reason"]
    except NotFound:
        return ""
    return "" if reason.startswith("deadline:") else reason


def _path(policy: str, version: str) -> str:
    return f"rolled_back/{policy}/{version}.json"
