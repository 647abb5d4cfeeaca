"""One cluster for the folder, a namespace a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.cluster.images.build import images
from tests.cluster.node.node import Node, missing
from tests.cluster.node.prepare import everything
from tests.cluster.node.traces import passing, settings

_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def before_node() -> dict[str, str]:
    """The machine's settings before the cluster comes up."""
    return settings()


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest, before_node: dict[str, str]) -> Iterator[Node]:
    """With the image of the trial; with all of them where a long form runs. At its end it must leave no trace."""
    if missing():
        pytest.skip(f"no node: {missing()}")
    long = any(item.get_closest_marker("proof") for item in request.session.items)
    with passing(everything() if long else images("embedded")) as made:
        yield made


def restricted(node: Node) -> str:
    """A fresh namespace under Pod Security *restricted*: a pod that may more is refused."""
    name = f"team-{next(_COUNT)}"
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    made = node.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    assert made.status == 201, made.body
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    node.until(lambda: node.call("GET", account).status == 200, "default account")
    return name
