"""Writing what was decided back: the status, only where it says something new, and one Event when it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rejoinder.core.clock import Clock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.ids import digest_of

from rejoinder_operator.api.fields import API_VERSION, MANAGER
from rejoinder_operator.conditions import Say, merged
from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.cluster import Object
from rejoinder_operator.ports.writes import Writes


class Statuses:
    """owns: nothing. identity: of this process, in its Events."""

    def __init__(self, writes: Writes, cache: Cache, clock: Clock, identity: str) -> None:
        self._writes = writes
        self._cache = cache
        self._clock = clock
        self._identity = identity

    def write(self, seen: Object, fields: Mapping[str, Any], said: Iterable[Say]) -> bool:
        """Whether there was anything to write. Raises Aborted where the object has moved on since it was seen."""
        said, before, now = tuple(said), seen.get("status", {}), self._clock.now()
        generation = seen["metadata"]["generation"]
        conditions = merged(before.get("conditions", ()), said, generation, now)
        after = {**before, **fields, "observedGeneration": generation, "conditions": conditions}
        after = {name: value for name, value in after.items() if value is not None}
        if after == before:
            return False
        meta = seen["metadata"]
        manifest = {
            "apiVersion": API_VERSION,
            "kind": seen["kind"],
            "metadata": {name: meta[name] for name in ("name", "namespace", "resourceVersion")},
            "status": after,
        }
        self._cache.put(seen["kind"], self._writes.status(manifest))
        self._tell(seen, before, said)
        return True

    def _tell(self, seen: Object, before: Mapping[str, Any], said: tuple[Say, ...]) -> None:
        """An Event where Ready's reason is a new one. For people: that it could not be written changes nothing."""
        old = {each["type"]: each["reason"] for each in before.get("conditions", ())}
        for say in said:
            if say.type != "Ready" or old.get("Ready") == say.reason:
                continue
            evidence = next(
                (each.message for each in said if each.type in ("RolledBack", "Paused") and each.message), ""
            )
            note = " ".join(part for part in (say.message, evidence) if part) or say.reason
            try:
                self._writes.event(self._event(seen, say, note))
            except RejoinderError:
                return

    def _event(self, seen: Object, say: Say, note: str) -> dict[str, Any]:
        meta, now = seen["metadata"], datetime.fromtimestamp(self._clock.now(), UTC)
        # Named by what it says: killed before the status was seen, the same Event is not made twice.
        name = digest_of([meta["uid"], meta["resourceVersion"], say.reason, note])[:16]
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name'][:200]}.{name}", "namespace": meta["namespace"]},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"rejoinder.dev/{MANAGER}",
            "reportingInstance": self._identity[:128],
            "type": "Warning" if say.holds is False else "Normal",
            "reason": say.reason,
            "action": "Reconcile",
            "note": note[:1000],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": seen["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
        }


def unreadable(message: str) -> tuple[Mapping[str, Any], tuple[Say, ...]]:
    """For a spec that this version of the operator cannot follow."""
    return {"phase": "Blocked"}, (Say("Ready", False, "SpecUnreadable", message),)
