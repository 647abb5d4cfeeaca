from __future__ import annotations

import re
from pathlib import Path

from rejoinder.runtime.call import ROLES
from rejoinder.runtime.callers.roles import ROLES_OF

#: Services whose name on the wire is another than their proto's.
SERVED_AS = {"GRPCInferenceService": "inference.GRPCInferenceService"}
PROTOS = Path(__file__).parents[3] / "protos" / "rejoinder" / "v1"


def rpcs() -> dict[str, str]:
    """Path of each RPC → the comment above it."""
    out = {}
    for file in PROTOS.glob("*.proto"):
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", file.read_text(), re.MULTILINE | re.DOTALL):
            for comment, name in re.findall(r"((?:^  //[^\n]*\n)*)^  rpc (\w+)", body, re.MULTILINE):
                out[f"/{SERVED_AS.get(service, f'rejoinder.v1.{service}')}/{name}"] = " ".join(
                    comment.replace("//", "").split()
                )
    return out


def test_every_rpc_of_every_proto_has_a_row_and_no_row_is_left_over() -> None:
    assert set(ROLES_OF) == set(rpcs())


def test_a_row_grants_the_roles_that_its_proto_names() -> None:
    named = 0
    for path, comment in rpcs().items():
        found = re.search(r"Role: ([a-z]+)(?: or ([a-z]+))?\.", comment)
        if found:
            named += 1
            assert {role for role in found.groups() if role} <= ROLES_OF[path], path
    assert named >= 14


def test_rows_name_known_roles_and_never_let_an_application_erase_or_promote() -> None:
    assert all(roles and roles <= ROLES for roles in ROLES_OF.values())
    for method in ("LedgerService/Erase", "RolloutService/Promote", "FeedbackService/CommitStep"):
        assert "app" not in ROLES_OF[f"/rejoinder.v1.{method}"]
