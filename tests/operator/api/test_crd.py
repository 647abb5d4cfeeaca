"""api/crd: what stands in the chart is what the code says, small enough, and structural."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rejoinder_operator.api.crd import KINDS, crd, files

CHART = Path(__file__).parents[3] / "charts" / "rejoinder-crds" / "templates"


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema node with its path."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield from nodes(node[word], f"{path}[]")


def schema(index: int) -> dict[str, Any]:
    return crd(KINDS[index])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_the_chart_has_what_the_code_says() -> None:
    assert {path.name: path.read_text() for path in CHART.iterdir()} == files()


class AsHelmReads(yaml.SafeLoader):
    """YAML 1.1 to the letter: y and n are booleans, also as names of fields."""


AsHelmReads.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
AsHelmReads.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: str(node.value).lower() in ("y", "true"))


def test_helm_reads_the_fields_that_the_code_has() -> None:
    """A bare `n` became the field `false`, and the API server refused every status that had a verdict."""
    for kind in KINDS:
        (text,) = (text for name, text in files().items() if kind.plural in name)
        assert yaml.load(text, AsHelmReads) == crd(kind)
    assert yaml.load("n: 1", AsHelmReads) == {False: 1}, "the control reads as Helm does"


@pytest.mark.parametrize("name", sorted(files()))
def test_a_kind_is_small_enough_for_a_client_side_apply(name: str) -> None:
    assert len(files()[name].encode()) < 100_000


@pytest.mark.parametrize("index", range(len(KINDS)), ids=[kind.kind for kind in KINDS])
def test_every_node_is_structural_and_every_field_described(index: int) -> None:
    for path, node in nodes(schema(index)):
        assert "type" in node or node.get("x-kubernetes-preserve-unknown-fields"), path
        assert not {"$ref", "anyOf", "allOf", "const", "title", "$defs"} & node.keys(), path
        described = "description" in node or path.count(".") < 2 or path.endswith("[]")
        assert described, f"{path} has no description"


@pytest.mark.parametrize("index", range(len(KINDS)), ids=[kind.kind for kind in KINDS])
def test_every_kind_is_kept_by_helm_has_a_status_and_columns(index: int) -> None:
    made = crd(KINDS[index])
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    version = made["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]][-1] == "Age"
    conditions = schema(index)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_the_control_a_node_without_a_type_would_be_found() -> None:
    broken = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {}}}}}
    assert any("type" not in node for _, node in nodes(broken))
