"""`cluster.Reads` and `cluster.Changes` on the `kubernetes` client: its configuration, credentials and connections.

Bodies are raw JSON: the client's models would refuse fields that they do not know before the server has seen them, and
importing them all costs more memory than everything else here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.config import ConfigException, kube_config
from kubernetes.config.incluster_config import load_incluster_config
from rejoinder.core.errors import (
    Aborted,
    ClaimTaken,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RejoinderError,
    Unavailable,
)

from rejoinder_operator.api.fields import MANAGER
from rejoinder_operator.ports.cluster import PATHS, Expired, Listed, Object, path

#: Seconds for one request; a lease is renewed every 2 s and lost after 10.
REQUEST_S = 5.0
#: Seconds after which a watch is begun anew, so that a silent connection is not believed for ever.
WATCH_S = 300
#: Objects of one page of a list; parsed, a page takes some 4 MB.
PAGE = 100


def open_client(kubeconfig: Path | None) -> ApiClient:
    """In the cluster by the pod's service account, else by a kubeconfig file."""
    configuration = Configuration()
    if kubeconfig is None:
        load_incluster_config(client_configuration=configuration)
    else:
        kube_config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    configuration.retries = False
    return ApiClient(configuration)


class KubeCluster:
    """owns: the client's connections."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def get(self, kind: str, namespace: str, name: str) -> Object:
        return self._call("GET", path(kind, namespace, name))

    def list(self, kind: str, namespace: str, selector: str = "") -> Listed:
        asked = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
        first = self._call("GET", path(kind, namespace), asked)
        # All pages are of the first one's version.
        return Listed(self._pages(kind, namespace, asked, first), first["metadata"]["resourceVersion"])

    def _pages(self, kind: str, namespace: str, asked: Mapping[str, str], page: Object) -> Iterator[Object]:
        while True:
            yield from page["items"]
            onwards = page["metadata"].get("continue", "")
            if not onwards:
                return
            page = self._call("GET", path(kind, namespace), {**asked, "continue": onwards})

    def serves(self, kind: str) -> bool:
        prefix, plural = PATHS[kind]
        try:
            found = self._call("GET", prefix)
        except NotFound:
            return False
        return any(each["name"] == plural for each in found["resources"])

    def watch(
        self, kind: str, namespace: str, version: str, selector: str = "", for_s: float = WATCH_S
    ) -> Iterator[tuple[str, Object]]:
        ends_s = max(1, min(WATCH_S, round(for_s)))
        asked = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(ends_s),
            **({"labelSelector": selector} if selector else {}),
        }
        answer = self._send("GET", path(kind, namespace), asked, None, "json", read_s=ends_s + REQUEST_S)
        try:
            for line in _lines(answer):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Expired("the watch has ended") if event["object"].get("code") == 410 else Unavailable("watch")
                yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            raise Unavailable("the API server went away during a watch") from None
        finally:
            answer.release_conn()
            answer.close()

    def create(self, manifest: Mapping[str, Any]) -> Object:
        where = path(manifest["kind"], manifest["metadata"]["namespace"])
        return self._call("POST", where, {"fieldManager": MANAGER}, manifest)

    def replace(self, manifest: Mapping[str, Any]) -> Object:
        meta = manifest["metadata"]
        where = path(manifest["kind"], meta["namespace"], meta["name"])
        return self._call("PUT", where, {"fieldManager": MANAGER}, manifest)

    def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        self._call("DELETE", path(kind, namespace, name), {}, {**options, "preconditions": {"uid": uid}})

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        meta = manifest["metadata"]
        where = path(manifest["kind"], meta["namespace"], meta["name"])
        return self._call("PATCH", where, {"fieldManager": MANAGER}, manifest, "apply-patch+yaml")

    def apply_status(self, manifest: Mapping[str, Any]) -> Object:
        meta = manifest["metadata"]
        where = path(manifest["kind"], meta["namespace"], meta["name"]) + "/status"
        return self._call("PATCH", where, {"fieldManager": MANAGER, "force": "true"}, manifest, "apply-patch+yaml")

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()

    def _call(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        kind: str = "json",
    ) -> Object:
        answer = self._send(method, where, query or {}, body, kind)
        try:
            return json.loads(answer.data or b"{}")
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            raise Unavailable("the API server did not end its answer") from None

    def _send(
        self,
        method: str,
        where: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        kind: str,
        read_s: float = REQUEST_S,
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": f"application/{kind}"}
        client = self._client
        # Credentials are read anew for each request: a pod's token rotates.
        try:
            client.update_params_for_auth(headers, [], ["BearerToken"], where, method, body)
        except (OSError, ConfigException):
            raise Unavailable("the API server's credentials cannot be read") from None
        url = client.configuration.host + where + (f"?{urlencode(query)}" if query else "")
        try:
            answer = client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=REQUEST_S, read=read_s),
                preload_content=False,
                retries=False,
            )
            refused = answer.data if answer.status >= 400 else b""
        except (urllib3.exceptions.HTTPError, OSError):
            raise Unavailable("the API server does not answer") from None
        if answer.status >= 400:
            raise _error(answer.status, refused, where)
        return answer


def _lines(answer: Any) -> Iterator[bytes]:
    left = b""
    for chunk in answer.stream(65_536, decode_content=True):
        *whole, left = (left + chunk).split(b"\n")
        yield from (line for line in whole if line)


def _error(status: int, data: bytes, where: str) -> RejoinderError:
    """By status and the server's own reason. Its message is not passed on: it may quote what somebody wrote."""
    try:
        reason = str(json.loads(data).get("reason", ""))
    except (ValueError, AttributeError):
        reason = ""
    said = f"the API server answered {status} {reason} for {where}"
    if status == 404:
        return NotFound(said)
    if status == 409:
        return ClaimTaken(said) if reason == "AlreadyExists" else Aborted(said)
    if status == 410:
        return Expired(said)
    if status in (401, 403):
        return PermissionDenied(said)
    if status in (400, 405, 413, 415, 422):
        return InvalidArgument(said)
    return Unavailable(said)
