"""What a real API server says of good and bad objects of the three kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.ports.cluster import path

from tests.cluster.apiserver import Answer, ControlPlane
from tests.operator.world import GOOD, IMAGE, LOOP, NEW, ROLLOUT

VERSIONS = {"stable": vars(GOOD), "canary": vars(NEW)}


def made(plane: ControlPlane, namespace: str, kind: str, spec: Mapping[str, Any], name: str = "a") -> Answer:
    meta = {"name": name, "namespace": namespace}
    manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}
    return plane.call("POST", path(kind, namespace) + "?fieldValidation=Strict", manifest)


def changed(plane: ControlPlane, namespace: str, kind: str, spec: Mapping[str, Any]) -> Answer:
    return plane.call("PATCH", path(kind, namespace, "a"), {"spec": spec}, kind="merge-patch+json")


NORM = {"id": "no-code", "text": "No codes.", "owner": "security", "forbid": "code \\d+"}


def held(*norms: Mapping[str, Any], vetoes: Any = ({"name": "norms"},)) -> dict[str, Any]:
    """A rollout's spec with that charter."""
    return {"analysis": {"vetoes": list(vetoes), "charter": {"version": "1", "norms": list(norms)}}}


VETOES = [
    {"name": "audit", "twoSided": True, "minUnits": 40, "sees": "0.6"},
    *({"name": name, "baseRate": "0.02"} for name in ("failures", "length", "refusals")),
]


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("PreferenceLoop", {}, ""),
        ("PreferenceLoop", {"trigger": {"minEvidence": 5, "minInterval": "10m"}}, "frequent"),
        ("PreferenceLoop", {"trigger": {"minEvidence": 5, "minInterval": "10m", "frequent": True}}, ""),
        ("PreferenceLoop", {"trigger": {"minInterval": "6h"}}, "at least one of"),
        ("PreferenceLoop", {"objective": {"params": {"beta": "0.0"}}}, "beta must be above 0"),
        ("PreferenceLoop", {"training": {"backend": "external"}}, "image belongs to backend external"),
        ("PreferenceLoop", {"training": {"image": IMAGE}}, "image belongs to backend external"),
        ("PreferenceLoop", {"training": {"backend": "external", "image": "trl:latest"}}, "should match"),
        ("PreferenceLoop", {"training": {"backend": "external", "image": IMAGE}}, ""),
        ("PreferenceLoop", {"gates": []}, "at least 1"),
        ("PreferenceLoop", {"polcy": "x"}, "unknown field"),
        ("PolicyRollout", {}, ""),
        ("PolicyRollout", VERSIONS, ""),
        ("PolicyRollout", {"canary": vars(NEW)}, "both stable and canary"),
        ("PolicyRollout", {**VERSIONS, "canary": vars(GOOD)}, "what stable is already"),
        ("PolicyRollout", {"lease": "20s"}, "fail-over"),
        ("PolicyRollout", {"steps": [{"weight": 20}, {"weight": 5}]}, "weights must rise"),
        ("PolicyRollout", {"steps": [{"weight": 20}, {"weight": 20}]}, "weights must rise"),
        ("PolicyRollout", {"steps": [{"weight": 20, "onInconclusive": "Advance"}]}, "never advances"),
        ("PolicyRollout", {"steps": [{"weight": 20, "duration": "3h", "deadline": "1h"}]}, "not exceed"),
        ("PolicyRollout", {"analysis": {"alpha": "0.7"}}, "between 0 and 0.5"),
        ("PolicyRollout", {"analysis": {"vetoes": [{"name": "kl"}]}}, "Unsupported value"),
        ("PolicyRollout", {"analysis": {"vetoes": VETOES}}, ""),
        ("PolicyRollout", {"analysis": {"vetoes": [{"name": "audit", "sees": "1.5"}]}}, "at most 1"),
        ("PolicyRollout", {"analysis": {"vetoes": [{"name": "length", "sees": "0.5"}]}}, "the audit's alone"),
        ("PolicyRollout", {"analysis": {"vetoes": [{"name": "audit", "minUnits": 0}]}}, "greater than or equal to 1"),
        ("PolicyRollout", held(NORM), ""),
        ("PolicyRollout", held(NORM, vetoes=[{"name": "length"}]), "belong together"),
        ("PolicyRollout", {"analysis": {"vetoes": [{"name": "norms"}]}}, "belong together"),
        ("PolicyRollout", held(NORM | {"severity": "report"}), "belong together"),
        ("PolicyRollout", held(NORM | {"forbid": "code (\\d"}), "is a regular expression of RE2"),
        ("PolicyRollout", held(NORM | {"asked": "(?i)code"}), "no flags, names or look-arounds"),
        ("PolicyRollout", held(NORM | {"asked": "a\\\\(?i)code"}), "no flags, names or look-arounds"),
        ("PolicyRollout", held(NORM | {"asked": "\\(?\\d{3}\\)?"}), ""),
        ("PolicyRollout", held(NORM | {"forbid": "", "mostWords": 10_000}), "less than or equal to 9999"),
        ("PolicyRollout", held(NORM | {"mostWords": 5}), "one of forbid, require and mostWords"),
        ("PolicyRollout", held(NORM | {"owner": ""}), "at least 1 chars"),
        ("PolicyRollout", held(NORM, NORM), "Duplicate value"),
        ("PreferenceLoop", {"charter": {"version": "1", "norms": [NORM]}}, "belong together"),
        ("PreferenceLoop", {"charter": {"version": "1", "norms": [NORM]}, "gates": [{"name": "norms"}]}, ""),
    ],
)
def test_a_spec_is_taken_or_refused_with_a_sentence(
    plane: ControlPlane, namespace: str, kind: str, spec: dict[str, Any], said: str
) -> None:
    answer = made(plane, namespace, kind, (LOOP if kind == "PreferenceLoop" else ROLLOUT) | spec)
    assert answer.status == (201 if not said else 400 if said == "unknown field" else 422), answer.body
    assert said in answer.body.get("message", "")


def test_defaults_are_filled_in_by_the_server(plane: ControlPlane, namespace: str) -> None:
    spec = made(plane, namespace, "PreferenceLoop", LOOP).body["spec"]
    assert spec["training"]["activeDeadline"] == "4h"
    assert spec["pairs"]["minPairs"] == 50
    rollout = made(plane, namespace, "PolicyRollout", {"target": {"policy": "assist"}}).body["spec"]
    assert [step["weight"] for step in rollout["steps"]] == [5, 20, 50]
    assert rollout["analysis"]["vetoes"][0] == {"name": "failures", "baseRate": "0.01", "twoSided": False}


@pytest.mark.parametrize(
    ("kind", "before", "after", "said"),
    [
        ("PreferenceLoop", {}, {"policy": "other"}, "cannot be changed"),
        ("PreferenceLoop", {}, {"baseModel": {"digest": "c" * 64}}, "cannot be changed"),
        ("PreferenceLoop", {}, {"suspend": True}, ""),
        ("PolicyRollout", VERSIONS, {"canary": {"digest": "9" * 64}}, "cannot be changed"),
        ("PolicyRollout", VERSIONS, {"canary": None, "stable": None}, "a template stays one"),
        ("PolicyRollout", {}, VERSIONS, "a template stays one"),
        ("PolicyRollout", VERSIONS, {"unit": "conversation"}, "drawn anew"),
        ("PolicyRollout", VERSIONS, {"analysis": {"alpha": "0.2"}}, "error is that of one analysis"),
        ("PolicyRollout", {}, {"analysis": {"alpha": "0.2"}}, ""),
        ("PolicyRollout", VERSIONS, {"freeze": True, "steps": [{"weight": 7}]}, ""),
    ],
)
def test_what_is_fixed_cannot_be_changed(
    plane: ControlPlane, namespace: str, kind: str, before: Any, after: Any, said: str
) -> None:
    assert made(plane, namespace, kind, (LOOP if kind == "PreferenceLoop" else ROLLOUT) | before).status == 201
    answer = changed(plane, namespace, kind, after)
    assert answer.status == (422 if said else 200), answer.body
    assert said in answer.body.get("message", "")


def test_columns_are_what_kubectl_would_print(plane: ControlPlane, namespace: str) -> None:
    made(plane, namespace, "PreferenceLoop", LOOP)
    table = plane.call("GET", path("PreferenceLoop", namespace), accept="application/json;as=Table;g=meta.k8s.io;v=v1")
    names = [column["name"] for column in table.body["columnDefinitions"]]
    assert names == ["Name", "Policy", "Phase", "Round", "Served", "Ready", "Reason", "Age"]
    assert table.body["rows"][0]["cells"][:2] == ["a", "assist"]
