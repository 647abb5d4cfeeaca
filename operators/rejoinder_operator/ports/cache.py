"""The objects of the watched kinds as they were last seen: reconciling reads here and costs the API server nothing.

What is stale here shows at the write: creation is exclusive, and a status names the resourceVersion it was made from.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from rejoinder_operator.ports.cluster import Object

Key = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """packed: the object's JSON, compressed: a tenth of what its dicts would take, and most are looked at twice an
    hour."""

    version: int
    uid: str
    owner: str
    packed: bytes

    def open(self) -> Object:
        found: Object = json.loads(zlib.decompress(self.packed))
        return found


@dataclass
class Kind:
    """owned: uid of a controller → its children."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    owned: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))

    def awaits(self, key: Key, uid: str, version: int) -> bool:
        """Whether this would be news."""
        old = self.entries.get(key)
        return old is None or old.uid != uid or old.version < version

    def take(self, key: Key) -> None:
        old = self.entries.pop(key, None)
        if old is not None and old.owner:
            self.owned[old.owner].discard(key)
            if not self.owned[old.owner]:
                del self.owned[old.owner]


class Cache:
    """owns: the objects. May be used from any thread; what it hands out is the caller's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, Kind] = defaultdict(Kind)

    def put(self, kind: str, found: Object) -> bool:
        """Keeps the newer of two of one name; whether this is news. managedFields are not kept: they are half of an
        object's size."""
        meta = found["metadata"]
        key, version = (meta["namespace"], meta["name"]), int(meta.get("resourceVersion", "0"))
        with self._lock:
            if not self._kinds[kind].awaits(key, meta["uid"], version):
                return False
        slim = {**found, "metadata": {name: value for name, value in meta.items() if name != "managedFields"}}
        packed = zlib.compress(json.dumps(slim, separators=(",", ":")).encode(), 1)
        entry = Entry(version, meta["uid"], owner_of(found), packed)
        with self._lock:
            known = self._kinds[kind]
            if not known.awaits(key, entry.uid, version):
                return False
            known.take(key)
            known.entries[key] = entry
            if entry.owner:
                known.owned[entry.owner].add(key)
        return True

    def drop(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Forgets exactly this object."""
        with self._lock:
            known = self._kinds[kind]
            old = known.entries.get((namespace, name))
            if old is not None and old.uid == uid:
                known.take((namespace, name))

    def keep(self, kind: str, there: Collection[Key], namespace: str = "") -> list[Object]:
        """Forgets all but these of a namespace ("" for all), and answers what it forgot."""
        with self._lock:
            known = self._kinds[kind]
            gone = [key for key in known.entries if key not in there and (not namespace or key[0] == namespace)]
            found = [known.entries[key] for key in gone]
            for key in gone:
                known.take(key)
        return [entry.open() for entry in found]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        with self._lock:
            entry = self._kinds[kind].entries.get((namespace, name))
        return None if entry is None else entry.open()

    def keys(self, kind: str, namespace: str = "") -> list[Key]:
        """(namespace, name) of a namespace's ("" for all), in order."""
        with self._lock:
            return sorted(key for key in self._kinds[kind].entries if not namespace or key[0] == namespace)

    def uids(self, kind: str, namespace: str) -> frozenset[str]:
        with self._lock:
            entries = self._kinds[kind].entries.items()
            return frozenset(entry.uid for (where, _), entry in entries if where == namespace)

    def list(self, kind: str, namespace: str = "", owner: str | None = None) -> list[Object]:
        """Of a namespace ("" for all), by name; owner: uid of the controller."""
        with self._lock:
            known = self._kinds[kind]
            keys = known.entries.keys() if owner is None else known.owned.get(owner, ())
            found = {key: known.entries[key] for key in keys if not namespace or key[0] == namespace}
        return [found[key].open() for key in sorted(found)]


def owner_of(item: Object) -> str:
    """The uid of the controller, "" for none."""
    references = item["metadata"].get("ownerReferences", ())
    return next((each["uid"] for each in references if each.get("controller")), "")
