"""The trial: one pod with everything, installed by Helm under Pod Security *restricted*, and used."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest
from rejoinder.clients import Connection, FeedbackClient, LedgerClient
from rejoinder.core.errors import NotFound
from rejoinder.core.ids import uuid7
from rejoinder.core.types import Interaction, Message, Role

from tests.cluster.node.conftest import restricted
from tests.cluster.node.helm import helm, install
from tests.cluster.node.node import Node

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

#: What the machine of a test has to spare; everything else is the chart's own.
VALUES = {"embedded": {"enabled": True, "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}}}}


@pytest.fixture(scope="module")
def trial(node: Node) -> Iterator[str]:
    """The namespace of an installed trial."""
    namespace = restricted(node)
    node.volume()
    install(node, namespace, "rejoinder", VALUES)
    yield namespace
    helm(node, namespace, "uninstall", "rejoinder", "--wait")


def test_every_pod_is_ready_and_none_was_started_twice(node: Node, trial: str) -> None:
    (pod,) = node.call("GET", f"/api/v1/namespaces/{trial}/pods").body["items"]
    (container,) = pod["status"]["containerStatuses"]
    assert container["ready"]
    assert container["restartCount"] == 0


def test_an_application_changes_its_base_url(node: Node, trial: str) -> None:
    """The trial's Service has the OpenAI API."""
    service = node.call("GET", f"/api/v1/namespaces/{trial}/services/rejoinder-embedded").body["spec"]["clusterIP"]
    body = {"model": "assist", "messages": [{"role": "user", "content": "Will you help?"}], "max_tokens": 8}
    with node.relay(service, 8080) as relay:
        request = urllib.request.Request(f"http://{relay.address}/v1/chat/completions", json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.loads(answer.read())
    assert said["choices"][0]["message"]["role"] == "assistant"


def test_helm_test_passes(node: Node, trial: str) -> None:
    """A turn, its follow-up, and the signal that was read of it."""
    said = helm(node, trial, "test", "rejoinder", "--logs", "--timeout=180s")
    assert "the follow-up was read as a signal" in said


@pytest.mark.proof
def test_what_was_acknowledged_is_there_after_the_pod_was_killed(node: Node, trial: str) -> None:
    """Without a chance to end: the next pod of the set takes the volume over."""
    where = f"/api/v1/namespaces/{trial}/pods/rejoinder-embedded-0"
    service = node.call("GET", f"/api/v1/namespaces/{trial}/services/rejoinder-embedded").body["spec"]["clusterIP"]
    said = Interaction(interaction_id=uuid7(), user_id="ada", messages=(Message(Role.USER, "Why?"),), response="So.")
    with node.relay(service, 50051) as relay, FeedbackClient(Connection(relay.address)) as feedback:
        (result,) = feedback.record_interactions([said])
    assert result.recorded
    before = node.call("GET", where).body["metadata"]["uid"]
    killed = node.call("DELETE", where, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
    assert killed.status == 200

    def back() -> bool:
        found = node.call("GET", where)
        statuses = found.body["status"].get("containerStatuses", ()) if found.status == 200 else ()
        return bool(statuses) and statuses[0]["ready"] and found.body["metadata"]["uid"] != before

    node.until(back, "second pod")
    with node.relay(service, 50055) as relay, LedgerClient(Connection(relay.address)) as ledger:

        def traced() -> bool:
            with suppress(NotFound):
                return bool(ledger.trace(said.interaction_id))
            return False

        node.until(traced, "interaction of before")
