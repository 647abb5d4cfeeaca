"""What of the chart is made: values.schema.json and the README's table from values.yaml and the settings of the
processes, the dashboards from their rows.

`python -m tests.cluster.chart.generate --write` puts all in place; without it, it says what differs (status 1).
The schema is closed at every level: a misspelt value is refused before anything is installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.chart import dashboards
from tests.cluster.chart.values import Value, read

CHART = Path(__file__).parents[3] / "charts" / "rejoinder"
BEGIN, END = "<!-- values: made by tests/cluster/chart/generate.py -->", "<!-- end of values -->"

#: Process → its settings class, in `settings` of its package.
SETTINGS = {
    "feedback": "FeedbackSettings",
    "policy": "PolicySettings",
    "reward": "RewardSettings",
    "rerank": "RerankSettings",
    "ledger": "LedgerProcess",
    "signals": "SignalsSettings",
    "rollouts": "RolloutsSettings",
    "observe": "ObserveSettings",
    "gateway": "GatewaySettings",
    "console": "ConsoleSettings",
    "operator": "OperatorSettings",
}


def package(process: str) -> str:
    return "rejoinder_operator" if process == "operator" else f"rejoinder.{process}"


_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_FREE = {"type": "object"}
_LIST = {"type": "array"}
_QUANTITY = {"type": "string", "pattern": r"^[0-9.]+(Ki|Mi|Gi|Ti|k|M|G|T)?$"}
_SECONDS = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}
#: Without a password, in front of the host or behind it.
_POSTGRESQL = {
    "type": "string",
    "pattern": r"^(postgresql\+psycopg://[^:@/]+@.+)?$",
    "not": {"pattern": "[?&](ssl)?password="},
}
_HOST_PORT = r"[^,\s]+:[0-9]+"
_DIGEST = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}

#: What a value's default does not tell, by the end of its path.
SAID: dict[tuple[str, ...], Mapping[str, Any]] = {
    ("commonLabels",): _TEXTS,
    ("image", "pullPolicy"): {"enum": ["IfNotPresent", "Always", "Never"]},
    ("image", "pullSecrets"): {"type": "array", "items": {"type": "string"}},
    ("sasl", "mechanism"): {"enum": ["", "SCRAM-SHA-256", "SCRAM-SHA-512"]},
    ("kafka", "bootstrap"): {"type": "string", "pattern": rf"^({_HOST_PORT}(,{_HOST_PORT})*)?$"},
    ("postgresql", "url"): _POSTGRESQL,
    ("migrations", "url"): _POSTGRESQL,
    ("persistence", "accessModes"): {
        "type": "array",
        "items": {"enum": ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]},
        "minItems": 1,
    },
    # One definition for all: each process's is made of the same class.
    ("jwt", "settings"): {"$ref": "#/$defs/feedback.JwtSettings"},
    ("auth", "rate"): {"$ref": "#/$defs/feedback.RateSettings"},
    ("issuerRef", "kind"): {"enum": ["Issuer", "ClusterIssuer"]},
    ("certManager", "duration"): _SECONDS,
    ("certManager", "renewBefore"): _SECONDS,
    ("pods", "labels"): _TEXTS,
    ("pods", "annotations"): _TEXTS,
    ("pods", "nodeSelector"): _TEXTS,
    ("pods", "tolerations"): {"$ref": "#/$defs/tolerations"},
    ("pods", "affinity"): {"$ref": "#/$defs/affinity"},
    ("topologySpread", "whenUnsatisfiable"): {"enum": ["DoNotSchedule", "ScheduleAnyway"]},
    ("persistence", "size"): _QUANTITY,
    ("spool", "size"): _QUANTITY,
    ("triton", "sharedMemory"): _QUANTITY,
    ("ledger", "replicas"): {"enum": [0, 1]},
    ("console", "replicas"): {"enum": [0, 1]},
    ("embedded", "policies"): {"type": "integer", "minimum": 1, "maximum": 16},
    ("argo", "interval"): _SECONDS,
    ("verdicts", "callers"): _LIST,
    ("operator", "watchNamespaces"): {"type": "array", "items": {"type": "string"}},
    ("triton", "args"): {"type": "array", "items": {"type": "string"}},
    ("podDisruptionBudget", "maxUnavailable"): {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "%$"}]},
    ("monitoring", "monitor"): {"enum": ["", "PodMonitor", "ServiceMonitor"]},
    ("monitoring", "monitorLabels"): _TEXTS,
    ("monitoring", "interval"): _SECONDS,
    ("rules", "labels"): _TEXTS,
    ("rules", "alertLabels"): _TEXTS,
    ("dashboards", "labels"): _TEXTS,
    ("dashboards", "annotations"): _TEXTS,
    ("image", "digest"): _DIGEST,
    ("autoscaling", "metrics"): {"type": "array", "items": _FREE},
    ("autoscaling", "behavior"): {
        "type": "object",
        "properties": {"scaleUp": _FREE, "scaleDown": _FREE},
        "additionalProperties": False,
    },
    ("autoscaling", "cpuUtilization"): {"type": "integer", "minimum": 1},
}
SAID |= {
    ("networkPolicy", name): _LIST
    for name in ("callers", "scrapers", "kafka", "postgresql", "objectStore", "apiServer")
}

_AMOUNTS = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
DEFS: dict[str, Any] = {
    "resources": {
        "type": "object",
        "properties": {"requests": _AMOUNTS, "limits": _AMOUNTS, "claims": _LIST},
        "additionalProperties": False,
    },
    "tolerations": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "key": {"type": "string"},
                "operator": {"enum": ["Exists", "Equal"]},
                "value": {"type": "string"},
                "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
                "tolerationSeconds": {"type": "integer"},
            },
            "additionalProperties": False,
        },
    },
    "affinity": {
        "type": "object",
        "properties": {"nodeAffinity": _FREE, "podAffinity": _FREE, "podAntiAffinity": _FREE},
        "additionalProperties": False,
    },
    "extra": {
        "type": "object",
        "properties": {
            "env": {"type": "array", "items": {"type": "object", "required": ["name"]}},
            "volumes": {"type": "array", "items": {"type": "object", "required": ["name"]}},
            "volumeMounts": {"type": "array", "items": {"type": "object", "required": ["name", "mountPath"]}},
            "annotations": _TEXTS,
            "podAnnotations": _TEXTS,
            "podLabels": _TEXTS,
            "nodeSelector": _TEXTS,
            "tolerations": {"$ref": "#/$defs/tolerations"},
            "affinity": {"$ref": "#/$defs/affinity"},
            "topologySpreadConstraints": {"type": "array", "items": _FREE},
            "priorityClassName": {"type": "string"},
            "runtimeClassName": {"type": "string"},
            "serviceAccountAnnotations": _TEXTS,
        },
        "additionalProperties": False,
    },
}


def schema() -> dict[str, Any]:
    values, rows = read(CHART / "values.yaml")
    defs = dict(DEFS)
    said = {row.path: row.said for row in rows}
    top = _object(values, (), said, defs)
    # Helm hands a parent chart's globals to everybody.
    top["properties"]["global"] = {"type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Rejoinder", **top, "$defs": defs}


def _object(
    values: dict[str, Any], path: tuple[str, ...], said: dict[Any, str], defs: dict[str, Any]
) -> dict[str, Any]:
    properties = {key: _one(value, (*path, key), said, defs) for key, value in values.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _one(value: Any, path: tuple[str, ...], said: dict[Any, str], defs: dict[str, Any]) -> dict[str, Any]:
    sentence = {"description": said[path]} if said.get(path) else {}
    return {**sentence, **_kind(value, path, said, defs)}


def _kind(value: Any, path: tuple[str, ...], said: dict[Any, str], defs: dict[str, Any]) -> dict[str, Any]:
    key = path[-1]
    for length in (2, 1):
        if path[-length:] in SAID and (length == 2 or len(path) == 1):
            return dict(SAID[path[-length:]])
    if key in ("resources", "extra"):
        return {"$ref": f"#/$defs/{key}"}
    if key == "settings":
        return _settings(path[0], defs)
    if isinstance(value, dict):
        if not value:
            raise SystemExit(
                f"{'.'.join(path)}: an empty mapping says nothing of what it may hold; give it a row in SAID"
            )
        return _object(value, path, said, defs)
    if isinstance(value, list):
        return {"type": "array", "items": {"type": "string"}}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer", "minimum": 0}
    return {"type": "string"}


def _settings(process: str, defs: dict[str, Any]) -> dict[str, Any]:
    """The process's own settings class as a schema."""
    made = getattr(importlib.import_module(f"{package(process)}.settings"), SETTINGS[process]).model_json_schema()
    for each, body in made.pop("$defs", {}).items():
        defs[f"{process}.{each}"] = _moved(body, process, keep=each == "TopicTheme")
    return _moved(made, process, keep=False)


def _moved(node: Any, process: str, keep: bool) -> Any:
    """A part of a process's schema, its references under the process's name. What the chart fills in is not required,
    and defaults stay in the code."""
    if isinstance(node, list):
        return [_moved(each, process, keep) for each in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key in ("default", "title") or (key == "required" and not keep):
            continue
        if key == "properties":
            out[key] = {name: _moved(each, process, keep) for name, each in value.items()}
        elif key == "$ref":
            out[key] = value.replace("#/$defs/", f"#/$defs/{process}.")
        else:
            out[key] = _moved(value, process, keep)
    return out


def table() -> str:
    _, rows = read(CHART / "values.yaml")
    lines = ["| value | default | what |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| `{'.'.join(row.path)}` | {_default(row)} | {row.said} |" for row in rows)])


def _default(row: Value) -> str:
    text = json.dumps(row.default, ensure_ascii=False)
    return f"`{text}`" if len(text) < 60 else "see values.yaml"


def outputs() -> dict[Path, str]:
    """File → what it should hold."""
    readme = CHART / "README.md"
    text = readme.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n",
        readme: f"{before}{BEGIN}\n{table()}\n{END}{after}",
        **{CHART / "dashboards" / name: board for name, board in dashboards.files().items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    differ = [file for file, text in outputs().items() if not file.exists() or file.read_text("utf-8") != text]
    for file in differ:
        if write:
            file.write_text(outputs()[file], "utf-8")
        else:
            print(f"{file.relative_to(CHART.parents[1])}: differs from values.yaml, run `make gen`")
    return 0 if write else int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
