"""Rules and dashboards speak of metrics that exist, by labels that exist, and alerts fire when they should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rejoinder.core.metrics import METRICS, Metric

from tests.cluster.chart.rendered import CHART, NAMES, component, of_kind, pods, program, rendered

HERE = Path(__file__).parent
#: Labels that the monitor puts on everything (templates/monitors.yaml), and a histogram's own.
OURS = {"namespace", "release", "process", "pod", "le"}
_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}
SAMPLES = {f"rejoinder_{m.name}{suffix}": m for m in METRICS for suffix in _SUFFIXES[m.kind]}


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every rule and every panel."""
    for group in yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for file in sorted((CHART / "dashboards").glob("*.json")):
        board = json.loads(file.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{board['title']}: {panel['title']}", target["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{board['title']}: {variable['name']}", variable["query"]["query"]


def metric_of(name: str) -> Metric:
    assert name in SAMPLES, f"no process has a metric {name}"
    return SAMPLES[name]


@pytest.mark.parametrize(("where", "text"), [pytest.param(*each, id=each[0]) for each in expressions()])
def test_an_expression_names_metrics_and_labels_that_exist(where: str, text: str) -> None:
    names = re.findall(r"rejoinder_\w+", text)
    assert names, where
    known = OURS.union(*(metric_of(name).labels for name in names))
    used = {label for part in re.findall(r"\{([^}]*)\}", text) for label in re.findall(r"(\w+)\s*[=!]", part)}
    used |= {label for part in re.findall(r"\bby\s*\(([^)]*)\)", text) for label in re.findall(r"\w+", part)}
    assert used <= known, f"{where}: {used - known}"
    for name, matchers in re.findall(r"(rejoinder_\w+)\{([^}]*)\}", text):
        for label in re.findall(r"(\w+)\s*[=!]", matchers):
            assert label in OURS | set(metric_of(name).labels), f"{where}: {name} has no label {label}"


def test_a_misspelt_metric_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="rejoinder_rpc_seconds_count"):
        test_an_expression_names_metrics_and_labels_that_exist("control", "rate(rejoinder_rpc_seconds_count[5m])")
    with pytest.raises(AssertionError, match="version"):
        test_an_expression_names_metrics_and_labels_that_exist("control", "sum by (version) (rejoinder_serving)")


def test_no_metric_has_a_label_without_bounds() -> None:
    free = {"version", "user", "user_id", "tenant", "principal", "conversation", "text"}
    assert [(m.name, label) for m in METRICS for label in m.labels if label in free] == []


def test_every_metric_stands_on_a_dashboard() -> None:
    shown = {
        metric_of(name).name
        for where, text in expressions()
        if ":" in where
        for name in re.findall(r"rejoinder_\w+", text)
    }
    assert shown == {m.name for m in METRICS}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered rules as promtool reads them; without their sentences, which its cases would have to repeat."""
    (rule,) = of_kind(rendered("production"), "PrometheusRule")
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    groups = [
        {**group, "rules": [{k: v for k, v in each.items() if k != "annotations"} for each in group["rules"]]}
        for group in rule["spec"]["groups"]
    ]
    file.write_text(yaml.safe_dump({"groups": groups}))
    (file.parent / "rules_test.yaml").write_text((HERE / "rules_test.yaml").read_text())
    return file


def test_the_rendered_rules_are_rules(rules: Path) -> None:
    done = subprocess.run([program("promtool"), "check", "rules", rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_panel_is_a_query_that_prometheus_reads(tmp_path: Path) -> None:
    texts = [text for where, text in expressions() if ": " in where and not text.startswith("label_values")]
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(texts)
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([program("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(texts)} rules found" in done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_before(rules: Path) -> None:
    command = [program("promtool"), "test", "rules", rules.parent / "rules_test.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("series", "value"), [({"worse": 0}, 0), ({"worse": 1}, 1), ({"better": 1}, 0), ({}, 0)], ids=str
)
def test_flagger_is_told_one_for_worse_and_zero_where_nothing_is_known(
    tmp_path: Path, series: dict[str, int], value: int
) -> None:
    """It counts a query without a sample as a failed check."""
    (template,) = of_kind(rendered("gpu"), "MetricTemplate")
    query = template["spec"]["query"].replace("{{ variables.policy }}", "assist")
    given = [
        {"series": f'rejoinder_rollout_verdict{{policy="assist",outcome="{outcome}"}}', "values": f"{one}x5"}
        for outcome, one in {**series, "unmeasured": 0}.items()
    ]
    samples = [{"labels": "{}", "value": value}]
    case = {
        "interval": "1m",
        "input_series": given if series else [],
        "promql_expr_test": [{"expr": query, "eval_time": "3m", "exp_samples": samples}],
    }
    file = tmp_path / "query.yaml"
    file.write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_its_case_and_its_paragraph() -> None:
    alerts = [where for where, _ in expressions() if ":" not in where]
    tests = yaml.safe_load((HERE / "rules_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    readme = (CHART / "README.md").read_text("utf-8")
    assert set(alerts) == fired, "an alert that no case makes fire"
    assert set(alerts) == silent, "an alert that no case keeps silent"
    assert [name for name in alerts if f"#### {name}" not in readme] == []


def test_alerts_carry_the_persons_labels_and_the_runbook() -> None:
    (rule,) = of_kind(rendered("production"), "PrometheusRule")
    for group in rule["spec"]["groups"]:
        for each in group["rules"]:
            assert each["labels"]["team"] == "answers"
            assert each["annotations"]["runbook_url"].endswith(f"#{each['alert'].lower()}")
            assert not re.search("RELEASE|NAMESPACE|PROCESS", each["expr"] + each["labels"].get("process", ""))
            assert 'namespace="ns"' in each["expr"], "one of the same name elsewhere would be counted"


def test_only_processes_that_are_meant_to_run_are_missed() -> None:
    (rule,) = of_kind(rendered("production", "ledger.replicas=0", "reward.enabled=false"), "PrometheusRule")
    missed = {each["labels"].get("process") for group in rule["spec"]["groups"] for each in group["rules"]} - {None}
    assert missed == {"feedback", "policy", "rerank", "signals", "rollouts", "observe", "gateway", "console"}


def test_dashboards_are_whole_after_templating() -> None:
    maps = [each for each in of_kind(rendered("production"), "ConfigMap") if component(each) == "dashboard"]
    for each in maps:
        ((name, text),) = each["data"].items()
        assert json.loads(text) == json.loads((CHART / "dashboards" / name.removeprefix("rejoinder-")).read_text())
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert len(maps) == len(list((CHART / "dashboards").glob("*.json")))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "embedded"])
def test_a_monitor_finds_the_port_of_every_process(name: str) -> None:
    for label, pod in pods(rendered(name)):
        if component(pod) in ("migrate", "selftest"):
            continue
        ports = [port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", ())]
        assert "metrics" in ports, label
        assert pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "rejoinder"
