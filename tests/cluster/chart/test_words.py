"""No word of ours that one reader of YAML takes for a text and another for a truth or a number.

Readers by YAML 1.1 to the letter (Helm's among them) differ from PyYAML and from those by 1.2 in a few bare words.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.cluster.chart.rendered import CHART, CI, NAMES, text
from tests.cluster.chart.test_chart import ODD

#: Truths, octal and sexagesimal numbers, digits in groups, powers of ten without a point.
_TWOFOLD = re.compile(
    r"y|n|yes|no|on|off|[-+]?0o?[0-9_]+|[-+]?[0-9]+(:[0-9]+)+(\.[0-9]*)?|[-+]?[0-9]+_[0-9_]*|[-+]?[0-9]+e[-+]?[0-9]+",
    re.IGNORECASE,
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FILES = [
    *CHART.parent.glob("*/Chart.yaml"),
    *CHART.parent.glob("rejoinder-crds/templates/*.yaml"),
    CHART / "values.yaml",
    CHART / "files" / "rules.yaml",
    *CI,
]


def twofold(said: str) -> list[str]:
    """`line: word` of each, keys and values."""
    found = []
    for event in yaml.parse(said, _LOADER):
        if isinstance(event, yaml.ScalarEvent) and not event.style and _TWOFOLD.fullmatch(event.value):
            found.append(f"{event.start_mark.line + 1}: {event.value}")
    return found


@pytest.mark.parametrize(
    "bare", ["n: 1", "a: y", "a: [Off]", "mode: 0644", "at: 12:30:45", "a: 1_000", "a: 1e3", "a: 0o17"]
)
def test_each_is_found(bare: str) -> None:
    assert len(twofold(bare)) == 1
    assert not twofold("'n': \"yes\"\na: 10\nb: 0.5\nc: true\nd: 0\ne: none")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_none_in_a_file(file: Path) -> None:
    assert twofold(file.read_text()) == []


@pytest.mark.parametrize("release", ["rejoinder", *ODD])
@pytest.mark.parametrize("name", NAMES)
def test_none_in_what_is_rendered(name: str, release: str) -> None:
    assert twofold(text(name, release=release)) == []
