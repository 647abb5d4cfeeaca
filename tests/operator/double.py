"""The API server as the operator meets it: resourceVersion, generation, uid, exclusive create, preconditions, the
status subresource, field managers. `tests/cluster` holds the operator to the real one; here it is quick."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from rejoinder.core.clock import Clock
from rejoinder.core.errors import Aborted, ClaimTaken, NotFound, Unavailable
from rejoinder_operator.api.fields import MANAGER
from rejoinder_operator.conditions import stamp
from rejoinder_operator.ports.cluster import Listed, Object

Key = tuple[str, str, str]


class FakeCluster:
    """owns: the objects. away: the server does not answer. created: every create that passed, as (kind, name)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = itertools.count(1)
        self._objects: dict[Key, Object] = {}
        self._owned: dict[tuple[Key, str], str] = {}
        self.away = False
        self.created: list[tuple[str, str]] = []
        self.writes = 0
        self.served: set[str] = set()

    def get(self, kind: str, namespace: str, name: str) -> Object:
        self._here()
        return copy.deepcopy(self._found((kind, namespace, name)))

    def list(self, kind: str, namespace: str, selector: str = "") -> Listed:
        self._here()
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        found = [
            item  # as they stand: kept objects are replaced, never changed
            for (of, where, _), item in sorted(self._objects.items())
            if of == kind
            and (not namespace or where == namespace)
            and wanted.items() <= item["metadata"].get("labels", {}).items()
        ]
        return Listed(tuple(found), str(next(self._count)))

    def serves(self, kind: str) -> bool:
        self._here()
        return kind in self.served

    def watch(
        self, kind: str, namespace: str, version: str, selector: str = "", for_s: float = 300.0
    ) -> Iterator[tuple[str, Object]]:
        self._here()
        return iter(())

    def create(self, manifest: Mapping[str, Any]) -> Object:
        self._here()
        key = _key(manifest)
        if key in self._objects:
            raise ClaimTaken("there is one of this name")
        made = copy.deepcopy(dict(manifest))
        meta = made["metadata"]
        meta |= {"uid": f"uid-{next(self._count)}", "generation": 1, "creationTimestamp": stamp(self._clock.now())}
        made.pop("status", None)
        self.created.append((key[0], key[2]))
        return self._kept(key, made)

    def replace(self, manifest: Mapping[str, Any]) -> Object:
        self._here()
        key = _key(manifest)
        old = self._found(key)
        self._check(old, manifest["metadata"])
        made = copy.deepcopy(dict(manifest))
        made["metadata"] = {**old["metadata"], **made["metadata"]}
        made["metadata"]["generation"] += made.get("spec") != old.get("spec")
        if "status" in old:
            made["status"] = old["status"]
        return self._kept(key, made)

    def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        self._here()
        old = self._found((kind, namespace, name))
        if uid and old["metadata"]["uid"] != uid:
            raise Aborted("another uid")
        self.writes += 1
        del self._objects[kind, namespace, name]
        owned = [k for k, item in self._objects.items() if _owner(item) == old["metadata"]["uid"]]
        for of, where, child in owned:
            self.delete(of, where, child, "")

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        self._here()
        key = _key(manifest)
        if key not in self._objects:
            return self.create(manifest)
        return self._kept(key, {**copy.deepcopy(self._objects[key]), "spec": copy.deepcopy(dict(manifest["spec"]))})

    def apply_status(self, manifest: Mapping[str, Any]) -> Object:
        self._here()
        key = _key(manifest)
        old = self._found(key)
        self._check(old, manifest["metadata"])
        for field in manifest["status"]:
            owner = self._owned.setdefault((key, field), MANAGER)
            if owner != MANAGER:
                raise Aborted(f"status.{field} is {owner}'s")
        return self._kept(key, {**copy.deepcopy(old), "status": copy.deepcopy(dict(manifest["status"]))})

    # What people and other controllers do.

    def edit(self, kind: str, namespace: str, name: str, **spec: Any) -> Object:
        """A person's change of a spec."""
        key = (kind, namespace, name)
        old = copy.deepcopy(self._found(key))
        old["spec"] |= spec
        old["metadata"]["generation"] += 1
        return self._kept(key, old)

    def annotate(self, kind: str, namespace: str, name: str, **annotations: str) -> Object:
        key = (kind, namespace, name)
        old = copy.deepcopy(self._found(key))
        noted = {f"rejoinder.dev/{what}": value for what, value in annotations.items()}
        old["metadata"]["annotations"] = old["metadata"].get("annotations", {}) | noted
        return self._kept(key, old)

    def set_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> Object:
        """Another controller's status: the Job controller's."""
        key = (kind, namespace, name)
        return self._kept(key, {**copy.deepcopy(self._found(key)), "status": dict(status)})

    def all(self, kind: str) -> list[Object]:
        return [item for (of, _, _), item in sorted(self._objects.items()) if of == kind]

    def _kept(self, key: Key, made: Object) -> Object:
        made["metadata"]["resourceVersion"] = str(next(self._count))
        self._objects[key] = made
        self.writes += 1
        return copy.deepcopy(made)

    def _found(self, key: Key) -> Object:
        if key not in self._objects:
            raise NotFound(f"no {key[0]} of this name")
        return self._objects[key]

    def _check(self, old: Object, meta: Mapping[str, Any]) -> None:
        asked = meta.get("resourceVersion")
        if asked is not None and asked != old["metadata"]["resourceVersion"]:
            raise Aborted("the object has moved on")

    def _here(self) -> None:
        if self.away:
            raise Unavailable("the API server is away")


def _key(manifest: Mapping[str, Any]) -> Key:
    meta = manifest["metadata"]
    return manifest["kind"], meta["namespace"], meta["name"]


def _owner(item: Object) -> str:
    return next((each["uid"] for each in item["metadata"].get("ownerReferences", ()) if each.get("controller")), "")
