"""The CRDs of the typed specs: `python -m rejoinder_operator.api.crd FOLDER` writes them (`make gen`).

A pydantic schema becomes a structural one: references inlined, nothing nullable, bounds in OpenAPI 3.0's form, defaults
whole (the server holds a default against the rules before it fills in inner ones). Helm keeps the CRDs when the
chart goes.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rejoinder_operator.api.fields import GROUP, VERSION, Part
from rejoinder_operator.api.loops import LoopSpec, LoopStatus
from rejoinder_operator.api.rollouts import RolloutSpec, RolloutStatus
from rejoinder_operator.api.rounds import RoundSpec, RoundStatus

_AGE = ("Age", "date", ".metadata.creationTimestamp")


@dataclass(frozen=True)
class Kind:
    """columns: (name, type, JSON path). fixed: the whole spec is written once."""

    kind: str
    plural: str
    short: str
    spec: type[Part]
    status: type[Part]
    columns: tuple[tuple[str, str, str], ...]
    fixed: bool = False

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{GROUP}"


KINDS = (
    Kind(
        "PreferenceLoop",
        "preferenceloops",
        "ploop",
        LoopSpec,
        LoopStatus,
        (
            ("Policy", "string", ".spec.policy"),
            ("Phase", "string", ".status.phase"),
            ("Round", "string", ".status.currentRound.name"),
            ("Served", "string", ".status.servedPolicy.version"),
            ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
            ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
            _AGE,
        ),
    ),
    Kind(
        "PolicyRound",
        "policyrounds",
        "pround",
        RoundSpec,
        RoundStatus,
        (
            ("Policy", "string", ".spec.policy"),
            ("Number", "integer", ".spec.number"),
            ("Phase", "string", ".status.phase"),
            ("Version", "string", ".status.version.version"),
            ("Outcome", "string", ".status.outcome"),
            _AGE,
        ),
        fixed=True,
    ),
    Kind(
        "PolicyRollout",
        "policyrollouts",
        "proll",
        RolloutSpec,
        RolloutStatus,
        (
            ("Policy", "string", ".spec.target.policy"),
            ("Canary", "string", ".spec.canary.version"),
            ("Weight", "integer", ".status.weights.canary"),
            ("Phase", "string", ".status.phase"),
            ("Verdict", "string", ".status.verdict.outcome"),
            ("Held", "string", ".status.held"),
            ("Generation", "integer", ".status.generation"),
            _AGE,
        ),
    ),
)

_FIXED = {"rule": "self == oldSelf", "message": "a round is written once"}


def crd(kind: Kind) -> dict[str, Any]:
    """One CustomResourceDefinition."""
    spec = structural(kind.spec)
    if kind.fixed:
        spec["x-kubernetes-validations"] = [*spec.get("x-kubernetes-validations", ()), _FIXED]
    schema = {
        "type": "object",
        "description": (kind.spec.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": structural(kind.status),
        },
    }
    columns = [{"name": name, "type": type_, "jsonPath": path} for name, type_, path in kind.columns]
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name, "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["rejoinder"],
            },
            "versions": [version],
        },
    }


def structural(part: type[Part]) -> dict[str, Any]:
    """A part's schema as the API server takes it."""
    plain = part.model_json_schema(by_alias=True)
    return _node(plain, plain.get("$defs", {}))


def _node(node: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(copy.deepcopy(node))
    if "anyOf" in found:
        inner = next(each for each in found.pop("anyOf") if each.get("type") != "null")
        found = {**inner, **found}
        if found.get("default", 0) is None:
            del found["default"]
    if "$ref" in found:
        inner = copy.deepcopy(known[found.pop("$ref").rsplit("/", 1)[-1]])
        # What the field says of itself goes before what its type says.
        found = {**inner, **found} | _both_rules(inner, found)
    for name in ("title", "$defs"):
        found.pop(name, None)
    if "const" in found:
        found["enum"] = [found.pop("const")]
    for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if name in found:
            found[bound], found[name] = found[name], True
    if "properties" in found:
        found["properties"] = {name: _node(each, known) for name, each in found["properties"].items()}
        # The server fills in defaults, so only what has none must be there.
        required = [name for name in found.get("required", ()) if "default" not in found["properties"][name]]
        found.pop("required", None)
        if required:
            found["required"] = required
    if "items" in found:
        found["items"] = _node(found["items"], known)
    extra = found.get("additionalProperties")
    if found.get("x-kubernetes-preserve-unknown-fields") or not isinstance(extra, Mapping):
        found.pop("additionalProperties", None)
    else:
        found["additionalProperties"] = _node(extra, known)
    if "default" in found:
        found["default"] = _without_none(found["default"])
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    return found


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value


def _both_rules(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> dict[str, Any]:
    both = [*inner.get("x-kubernetes-validations", ()), *outer.get("x-kubernetes-validations", ())]
    return {"x-kubernetes-validations": both} if both else {}


class _Dumper(yaml.SafeDumper):
    """YAML as Helm's reader takes it too: to that one a bare `n` is false, also as a name."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, "'" if value in ("y", "Y", "n", "N") else None)


_Dumper.add_representer(str, _text)


def files() -> dict[str, str]:
    """File name → content."""
    head = "# Generated from operators/rejoinder_operator/api by `make gen`.\n"
    return {
        f"{GROUP}_{kind.plural}.yaml": head + yaml.dump(crd(kind), Dumper=_Dumper, sort_keys=False, width=120)
        for kind in KINDS
    }


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
