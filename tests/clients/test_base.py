"""The bare install: grpcio, grpcio-status and protobuf must suffice for the SDK."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from inspect import signature

import pytest
import rejoinder.clients as sdk
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


def test_the_package_says_that_it_is_typed_and_every_public_class_says_what_it_is() -> None:
    assert (resources.files("rejoinder") / "py.typed").is_file()
    silent = [
        name
        for name in sdk.__all__
        if isinstance(found := getattr(sdk, name), type) and not (vars(found).get("__doc__") or "").strip()
    ]
    # A dataclass without a docstring of its own is given its signature for one.
    silent += [name for name in sdk.__all__ if str(getattr(sdk, name).__doc__).startswith(f"{name}(")]
    assert silent == []


def test_every_method_of_a_client_says_what_it_does() -> None:
    clients = [getattr(sdk, name) for name in sdk.__all__ if name.endswith("Client") and not name.startswith("Async")]
    silent = [
        f"{client.__name__}.{name}"
        for client in clients
        for name, method in vars(client).items()
        if callable(method) and not name.startswith("_") and not method.__doc__
    ]
    assert silent == []
    for client in clients:
        twin = getattr(sdk, f"Async{client.__name__}")
        own = {name for name in vars(client) if not name.startswith("_")}
        unlike = [
            name
            for name in own & set(vars(twin))
            if list(signature(getattr(client, name)).parameters) != list(signature(getattr(twin, name)).parameters)
        ]
        assert unlike == []
