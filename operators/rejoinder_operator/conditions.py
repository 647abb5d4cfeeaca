"""Conditions as Kubernetes keeps them: pure, and the same again when nothing changed, so that nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Say:
    """What a decision says of one condition. reason: a stable word; message: with the evidence, nobody's words."""

    type: str
    holds: bool | None
    reason: str
    message: str = ""


def stamp(at: float) -> str:
    """RFC 3339 in whole seconds, UTC."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> float:
    """The inverse of stamp; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def merged(
    before: Iterable[Mapping[str, Any]], said: Iterable[Say], generation: int, now: float
) -> list[dict[str, Any]]:
    """The conditions after `said`, by type. One that is not spoken of stays as it was."""
    found = {each["type"]: dict(each) for each in before}
    for say in said:
        status = {True: "True", False: "False", None: "Unknown"}[say.holds]
        old = found.get(say.type, {})
        found[say.type] = {
            "type": say.type,
            "status": status,
            "reason": say.reason,
            "message": say.message[:1024],
            "observedGeneration": generation,
            "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else stamp(now),
        }
    return [found[name] for name in sorted(found)]
