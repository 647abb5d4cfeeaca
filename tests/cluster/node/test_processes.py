"""Each process in pods of its own on Kafka and PostgreSQL, installed by Helm under *restricted*, and used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.node.conftest import restricted
from tests.cluster.node.helm import helm, install, merged, upgrade
from tests.cluster.node.node import Node
from tests.cluster.node.processes import PROCESSES, around

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Installed:
    node: Node
    namespace: str
    values: dict[str, Any]

    def pods(self) -> dict[str, tuple[str, bool, int]]:
        """Container → (uid of its pod, whether it is ready, how often it was started again) of every process."""
        found = {}
        for pod in self.node.call("GET", f"/api/v1/namespaces/{self.namespace}/pods").body["items"]:
            if pod["status"]["phase"] == "Succeeded" or pod["metadata"].get("deletionTimestamp"):
                continue
            (container,) = pod["status"]["containerStatuses"]
            found[container["name"]] = (pod["metadata"]["uid"], container["ready"], container["restartCount"])
        return found


@pytest.fixture(scope="module")
def installed(node: Node) -> Iterator[Installed]:
    """Every process but the operator."""
    namespace = restricted(node)
    for _ in range(3):
        node.volume()
    with around(node) as beside:
        beside.make_secrets(node, namespace)
        install(node, namespace, "rejoinder", beside.values())
        yield Installed(node, namespace, beside.values())
        helm(node, namespace, "uninstall", "rejoinder", "--wait")


def selftest(installed: Installed) -> str:
    """A turn, its follow-up, and the signal that was read of it."""
    return helm(installed.node, installed.namespace, "test", "rejoinder", "--logs", "--timeout=180s")


def test_every_process_is_ready_and_none_was_started_twice(installed: Installed) -> None:
    seen = {name: state[1:] for name, state in installed.pods().items()}
    assert seen == {name: (True, 0) for name in PROCESSES if name != "operator"}


def test_helm_test_passes(installed: Installed) -> None:
    assert "the follow-up was read as a signal" in selftest(installed)


def test_an_upgrade_restarts_what_it_changes_and_a_rollback_takes_it_back(installed: Installed) -> None:
    """With the migration's Job each time; the rest of the pods are those of before."""
    before = installed.pods()
    changed = merged(installed.values, {"feedback": {"settings": {"server": {"grace_s": 15}}}})
    upgrade(installed.node, installed.namespace, "rejoinder", changed)
    after = installed.pods()
    assert {name for name in before if after[name] != before[name]} == {"feedback"}
    helm(installed.node, installed.namespace, "rollback", "rejoinder", "--wait", "--timeout=180s")
    back = installed.pods()
    assert {name for name in after if back[name] != after[name]} == {"feedback"}
    assert "the follow-up was read as a signal" in selftest(installed)
