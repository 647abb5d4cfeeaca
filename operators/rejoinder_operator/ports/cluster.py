"""What is asked of the API server: plain JSON objects, so that the server alone says what is valid.

Errors are `core.errors`: NotFound; ClaimTaken for a name that is there already; Aborted for a resourceVersion or field
that somebody else has moved; InvalidArgument for what the server refuses as invalid; PermissionDenied; Expired where a
watch must list anew; Unavailable for everything that passes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rejoinder.core.errors import Unavailable

from rejoinder_operator.api.fields import GROUP, VERSION

Object = dict[str, Any]

#: Kind → (API path, plural).
PATHS: Mapping[str, tuple[str, str]] = {
    "PreferenceLoop": (f"/apis/{GROUP}/{VERSION}", "preferenceloops"),
    "PolicyRound": (f"/apis/{GROUP}/{VERSION}", "policyrounds"),
    "PolicyRollout": (f"/apis/{GROUP}/{VERSION}", "policyrollouts"),
    "Job": ("/apis/batch/v1", "jobs"),
    "HTTPRoute": ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
    "GRPCRoute": ("/apis/gateway.networking.k8s.io/v1", "grpcroutes"),
    "JobSet": ("/apis/jobset.x-k8s.io/v1alpha2", "jobsets"),
    "TrainJob": ("/apis/trainer.kubeflow.org/v1alpha1", "trainjobs"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
}


class Expired(Unavailable):
    """The server no longer knows the resourceVersion that a watch asked from."""


@dataclass(frozen=True)
class Listed:
    """items: once through; a long list is fetched page by page on the way. version: where a watch goes on from."""

    items: Iterable[Object]
    version: str


class Reads(Protocol):
    def get(self, kind: str, namespace: str, name: str) -> Object:
        """Raises NotFound."""

    def list(self, kind: str, namespace: str, selector: str = "") -> Listed:
        """namespace "" for all of them."""

    def serves(self, kind: str) -> bool:
        """Whether the server has this kind, by discovery."""

    def watch(
        self, kind: str, namespace: str, version: str, selector: str = "", for_s: float = 300.0
    ) -> Iterator[tuple[str, Object]]:
        """(ADDED | MODIFIED | DELETED | BOOKMARK, object) until the server ends it, after for_s at the latest. Raises
        Expired."""


class Changes(Protocol):
    """The changing half; only `writes.py` is given it."""

    def create(self, manifest: Mapping[str, Any]) -> Object: ...

    def replace(self, manifest: Mapping[str, Any]) -> Object:
        """Of exactly the resourceVersion in the manifest."""

    def delete(self, kind: str, namespace: str, name: str, uid: str) -> None: ...

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        """Server-side apply. Raises Aborted where a field is somebody else's."""

    def apply_status(self, manifest: Mapping[str, Any]) -> Object:
        """Server-side apply of the status subresource, of exactly the resourceVersion in the manifest."""


def path(kind: str, namespace: str, name: str = "") -> str:
    """The path of a collection or an object."""
    prefix, plural = PATHS[kind]
    parts = [prefix, *(["namespaces", namespace] if namespace else []), plural, *([name] if name else [])]
    return "/".join(parts)
