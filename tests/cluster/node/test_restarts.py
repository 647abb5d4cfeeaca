"""An upgrade of the serving processes in pods, under open-loop load from inside the cluster.

Helm changes their settings, Kubernetes takes pod by pod away and brings others, with the chart's own waits. No call is
lost as the published client sees it, and hardly an attempt fails.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from loadtests.processes import ends_with_us
from tests.cluster.callers import ALLOWED, RATES
from tests.cluster.images.dockerfile import ROOT
from tests.cluster.node.conftest import restricted
from tests.cluster.node.helm import helm, install, merged, upgrade
from tests.cluster.node.inside import NODE_IP
from tests.cluster.node.node import Node
from tests.cluster.node.processes import around

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(1800)]

PORTS = {"feedback": 50051, "policy": 50052, "reward": 50053}


def test_an_upgrade_under_load_loses_no_call_and_hardly_an_attempt(node: Node) -> None:
    namespace = restricted(node)
    for _ in range(3):
        node.volume()
    with around(node) as beside:
        beside.make_secrets(node, namespace)
        pods = {"pods": {"preStopSeconds": 8, "minReadySeconds": 30}}
        values = merged(beside.values(), {**pods, **{name: {"replicas": 2} for name in PORTS}})
        with ExitStack() as stack:
            stack.callback(helm, node, namespace, "uninstall", "rejoinder", "--wait", "--ignore-not-found")
            install(node, namespace, "rejoinder", values)
            # Names are the cluster's own, asked of its own server, as every application there does.
            targets = {
                name: f"dns://{NODE_IP}:53/rejoinder-{name}-headless.{namespace}.svc.cluster.local:{port}"
                for name, port in PORTS.items()
            }
            calling = stack.enter_context(
                subprocess.Popen(
                    node.command(
                        sys.executable,
                        "-m",
                        "tests.cluster.callers",
                        json.dumps({**targets, "token": beside.tokens["internal"]}),
                    ),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                    env={**os.environ, "GRPC_DNS_RESOLVER": "ares"},
                    preexec_fn=ends_with_us(signal.SIGKILL),
                )
            )
            # Also where the test breaks off: callers that go on would load the machine for the tests that follow.
            stack.callback(calling.kill)
            assert calling.stdout is not None
            assert calling.stdout.readline() == "calling\n"
            before = uids(node, namespace)
            changed = {name: {"settings": {"server": {"grace_s": 15}}} for name in PORTS}
            upgrade(node, namespace, "rejoinder", merged(values, changed))
            after = uids(node, namespace)
            told, _ = calling.communicate()
            found = json.loads(told)
            print(found)
    assert not before & after
    failed = found.pop("failed")
    assert all(found[name]["calls"] > 60 * RATES[name] and not found[name]["lost"] for name in PORTS), found
    attempts = sum(each["calls"] for each in found.values()) + sum(failed.values())
    assert sum(failed.values()) <= ALLOWED * attempts, failed


def uids(node: Node, namespace: str) -> set[str]:
    """Of the pods of the processes that are upgraded."""
    return {
        pod["metadata"]["uid"]
        for pod in node.call("GET", f"/api/v1/namespaces/{namespace}/pods").body["items"]
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") in PORTS
        and not pod["metadata"].get("deletionTimestamp")
    }
