from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from rejoinder.core.errors import UnknownRow
from rejoinder.core.metrics import METRICS, Metric, Metrics, markdown

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "services" / "rejoinder", ROOT / "operators")
#: Labels whose values would be as many as users, versions or callers.
UNBOUNDED = {"version", "user", "user_id", "tenant", "principal", "interaction", "conversation", "digest", "id", "text"}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_row_says_its_unit_its_meaning_and_has_bounded_labels(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert metric.help.endswith(".")
    assert not set(metric.labels) & UNBOUNDED
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_row_is_used_somewhere(metric: Metric) -> None:
    files = (path for folder in SOURCES for path in folder.rglob("*.py") if path.name != "metrics.py")
    users = [path for path in files if f'"{metric.name}"' in path.read_text("utf-8")]
    assert users


def test_an_unknown_metric_answers_with_the_known_ones() -> None:
    with pytest.raises(UnknownRow, match="rpc_s"):
        Metrics()["rpc_seconds"]


def test_two_processes_in_one_interpreter_do_not_share_values() -> None:
    one, two = Metrics(), Metrics()
    one["rpc_in_flight"].set(3)
    one["rpc_s"].labels("/m", "OK").observe(0.1)
    assert (one.value("rpc_in_flight"), two.value("rpc_in_flight")) == (3, 0)
    assert one.value("rpc_s", method="/m", status="OK") == 1
    assert b"rejoinder_rpc_in_flight 3.0" in generate_latest(one.registry)


def test_the_readme_table_has_every_row() -> None:
    assert all(f"`rejoinder_{metric.name}`" in markdown() for metric in METRICS)
