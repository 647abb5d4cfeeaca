"""The objects of the watched kinds as they were last seen: reconciling reads here and costs the API server nothing.

What is stale here shows at the write: creation is exclusive, and a status names the resourceVersion it was made from.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from rejoinder_operator.ports.cluster import Object

Key = tuple[str, str]


class Cache:
    """owns: the objects. May be used from any thread; what it hands out is nobody's to change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, dict[Key, Object]] = {}

    def put(self, kind: str, found: Object) -> None:
        """Keeps the newer of two of one name. managedFields are not kept: they are half of an object's size."""
        meta = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
        found = {**found, "metadata": meta}
        with self._lock:
            known = self._kinds.setdefault(kind, {})
            key = (meta["namespace"], meta["name"])
            old = known.get(key)
            same = old is not None and old["metadata"]["uid"] == meta["uid"]
            if not same or _version(found) >= _version(old):
                known[key] = found

    def drop(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Forgets exactly this object."""
        with self._lock:
            known = self._kinds.get(kind, {})
            old = known.get((namespace, name))
            if old is not None and old["metadata"]["uid"] == uid:
                del known[namespace, name]

    def replace(self, kind: str, items: Iterable[Object], namespace: str = "") -> list[Object]:
        """All of a kind in a namespace ("" for all), after a list; what is not in it is gone, and answered."""
        items = list(items)
        for item in items:
            self.put(kind, item)
        there = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
        with self._lock:
            known = self._kinds.setdefault(kind, {})
            gone = [key for key in known if key not in there and (not namespace or key[0] == namespace)]
            return [known.pop(key) for key in gone]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        with self._lock:
            return self._kinds.get(kind, {}).get((namespace, name))

    def list(self, kind: str, namespace: str = "", owner: str | None = None) -> list[Object]:
        """Of a namespace ("" for all), by name; owner: uid of the controller."""
        with self._lock:
            found = [
                item for (where, _), item in self._kinds.get(kind, {}).items() if not namespace or where == namespace
            ]
        if owner is not None:
            found = [item for item in found if owner_of(item) == owner]
        return sorted(found, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))


def owner_of(item: Object) -> str:
    """The uid of the controller, "" for none."""
    references = item["metadata"].get("ownerReferences", ())
    return next((each["uid"] for each in references if each.get("controller")), "")


def _version(item: Object | None) -> int:
    return int(item["metadata"].get("resourceVersion", "0")) if item is not None else 0
