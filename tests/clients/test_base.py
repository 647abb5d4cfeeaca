"""The bare install: grpcio, grpcio-status and protobuf must suffice for the SDK."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rejoinder.clients import (
    Connection,
    FeedbackClient,
    LedgerClient,
    PolicyClient,
    RerankClient,
    RewardClient,
    RolloutClient,
)

BLOCK = """
import importlib.abc, sys

ALLOWED = {"rejoinder", "grpc", "grpc_status", "google", "typing_extensions"}
SITE = tuple(path for path in sys.path if path.endswith("site-packages"))

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ALLOWED or top in sys.stdlib_module_names or top.startswith("_"):
            return None
        raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocked())
"""

USE = """
import rejoinder.clients as sdk
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.types import Feedback, FollowUp
client = sdk.FeedbackClient(sdk.Connection("127.0.0.1:1", tries=1))
try:
    client.record_feedback([Feedback(kind=FollowUp("no"))])
except Exception as error:
    print(type(error).__name__)
"""


def run(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)


def test_the_sdk_works_where_nothing_else_can_be_imported() -> None:
    ended = run(BLOCK + USE)
    assert (ended.returncode, ended.stdout.strip()) == (0, "Unavailable"), ended.stderr


def test_the_block_is_one_that_bites() -> None:
    for name in ("numpy", "onnxruntime", "pydantic", "prometheus_client", "yaml"):
        assert f"blocked: {name}" in run(f"{BLOCK}\nimport {name}").stderr


@pytest.mark.parametrize(
    "client", [FeedbackClient, LedgerClient, PolicyClient, RewardClient, RerankClient, RolloutClient]
)
def test_a_client_needs_no_network_to_be_made(client: type) -> None:
    with client(Connection("nowhere:1")):
        pass
