"""values.yaml read with its comments: every value's path, default and sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

#: Keys that several processes share and values.yaml therefore explains once, here.
COMMON = {
    "replicas": "Pods.",
    "image": "Image of this process: `repository` (path), `tag`, `digest` (wins over a tag).",
    "resources": "Requests and limits, ephemeral storage included.",
    "settings": "Settings of the process; they win over what the chart writes.",
    "extra": "Further parts of the pods: env, volumes, volumeMounts, annotations, podAnnotations, podLabels, "
    "nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName, runtimeClassName, "
    "serviceAccountAnnotations.",
    "kafka": "Kafka user of this process, where it has one of its own.",
    "autoscaling": "A HorizontalPodAutoscaler on CPU, and on `metrics` (autoscaling/v2); `behavior` as there.",
    "minReplicas": "Fewest pods.",
    "maxReplicas": "Most pods.",
    "persistence": "The claim.",
    "issuerRef": "The issuer.",
}
#: Below these a value is one row: its keys are explained together.
WHOLE = {"image", "resources", "settings", "extra", "autoscaling", "labels"}


@dataclass(frozen=True)
class Value:
    path: tuple[str, ...]
    default: Any
    said: str


def read(file: Path) -> tuple[dict[str, Any], list[Value]]:
    """(the values, a row for each in the file's order). A row without a sentence has "" in `said`."""
    text = file.read_text("utf-8")
    lines = text.splitlines()
    return yaml.safe_load(text), list(_rows(yaml.compose(text), (), lines))


def _rows(node: Any, above: tuple[str, ...], lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, key.value)
        said = _comment(lines, key.start_mark) or COMMON.get(key.value, "")
        own_kafka = key.value == "kafka" and len(path) > 1
        whole = (key.value in WHOLE and len(path) > 1) or own_kafka
        if isinstance(value, yaml.MappingNode) and value.value and not whole:
            yield from _rows(value, path, lines)
        else:
            yield Value(path, yaml.safe_load(yaml.serialize(value)), said)


def _comment(lines: list[str], mark: Any) -> str:
    indent = " " * mark.column
    if not lines[mark.line].startswith(indent) or lines[mark.line][: mark.column].strip():
        return ""
    found: list[str] = []
    for line in reversed(lines[: mark.line]):
        if not line.startswith(f"{indent}# "):
            break
        found.insert(0, line.strip().removeprefix("# "))
    return " ".join(found)
