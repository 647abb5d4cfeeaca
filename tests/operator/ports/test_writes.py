"""ports/writes: the one way out."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import rejoinder_operator
from rejoinder_operator.ports.writes import WRITES, Writes

#: What changes something outside, whoever calls it.
CHANGES = {
    "apply_status",
    "replace_namespaced",
    "create_json",
    "claim_round",
    "close_round",
    "advance",
    "commit_step",
    "begin_epoch",
    "record",
    "take_epoch",
    "publish",
    "publish_stage",
}


def calls(source: str) -> set[str]:
    """Names of what is called, the last part of each."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            found.add(function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", ""))
    return found


def test_every_public_method_is_a_write_with_a_failpoint_on_either_side() -> None:
    methods = [name for name, _ in inspect.getmembers(Writes, inspect.isfunction) if not name.startswith("_")]
    assert sorted(methods) == sorted(WRITES)


def test_nothing_else_in_the_operator_changes_anything_outside() -> None:
    root = Path(rejoinder_operator.__file__).parent
    others = [path for path in root.rglob("*.py") if path.name not in ("writes.py", "kube.py", "crd.py")]
    assert others
    found = {str(path.relative_to(root)): calls(path.read_text()) & CHANGES for path in others}
    assert {name: called for name, called in found.items() if called} == {}


def test_the_control_a_write_beside_the_port_would_be_found() -> None:
    assert calls("create_json(store, path, value)\nlog.record(1)") & CHANGES == {"create_json", "record"}
