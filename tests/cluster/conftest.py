"""One API server for the whole ring, with the kinds installed; a namespace a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder_operator.api.crd import KINDS, crd
from rejoinder_operator.ports.cluster import path

from tests.cluster.apiserver import ControlPlane, missing
from tests.cluster.role import role

_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    if missing():
        pytest.skip(f"no API server: {missing()}")
    with ControlPlane(tmp_path_factory.mktemp("plane") / "control", {"operator": ()}) as made:
        for kind in KINDS:
            where = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.crd_name}?fieldManager=test"
            assert made.call("PATCH", where, crd(kind), kind="apply-patch+yaml").status == 201
        for kind in KINDS:
            made.wait_for_kind(path(kind.kind, ""))
        yield made


def namespace_of(plane: ControlPlane) -> str:
    """A fresh one, under Pod Security *restricted*, with the operator's Role and nothing more."""
    name = f"team-{next(_COUNT)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    made = plane.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    assert made.status == 201
    for where, manifest in role(name, "operator"):
        assert plane.call("POST", where, manifest).status == 201
    # The server looks rights up in what it has heard of so far.
    plane.wait_for_right("operator", name, verb="list", group="rejoinder.dev", resource="preferenceloops")
    return name


def kubeconfig_of(plane: ControlPlane, folder: Path) -> Path:
    """Of the user `operator`."""
    file = folder / "kubeconfig"
    file.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        f"clusters: [{{name: c, cluster: {{server: '{plane.url}', certificate-authority: '{plane.ca}'}}}}]\n"
        "users: [{name: u, user: {token: operator-token}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    return file


@pytest.fixture
def namespace(plane: ControlPlane) -> str:
    return namespace_of(plane)


@pytest.fixture
def kubeconfig(plane: ControlPlane, tmp_path: Path) -> Path:
    return kubeconfig_of(plane, tmp_path)
