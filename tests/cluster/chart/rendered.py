"""The chart as Helm renders it, once per set of values in a test run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.tools.build import built, missing

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "rejoinder"
CI = tuple(sorted(CHART.glob("ci/*-values.yaml")))
NAMES = [path.name.removesuffix("-values.yaml") for path in CI]

Object = dict[str, Any]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def program(name: str) -> str:
    """Path of a program of tests/cluster/tools; a test that has none says what it needs."""
    if missing():
        pytest.skip(missing())
    return str(built(name))


class Refused(Exception):
    """Helm's words."""


@cache
def text(name: str, *sets: str, release: str = "rejoinder") -> str:
    """Manifests of `ci/<name>-values.yaml` with `--set-json` of each of `sets`. Raises Refused."""
    command = [program("helm"), "template", release, str(CHART), "--namespace=ns"]
    command += [f"--values={CHART / 'ci' / f'{name}-values.yaml'}"] if name else []
    command += [part for each in sets for part in ("--set-json", each)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


@cache
def rendered(name: str, *sets: str, release: str = "rejoinder") -> tuple[Object, ...]:
    """The objects of `text`."""
    return tuple(each for each in yaml.load_all(text(name, *sets, release=release), _LOADER) if each)


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    found = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pods(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """(kind/name, pod template) of everything that makes pods."""
    for each in objects:
        label = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield label, each
        elif "template" in each.get("spec", {}) and "spec" in each["spec"]["template"]:
            yield label, each["spec"]["template"]


def component(thing: Object) -> str:
    return thing["metadata"]["labels"]["app.kubernetes.io/component"]
