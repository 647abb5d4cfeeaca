"""Every panel and every rule of the chart, asked of a real Prometheus that scrapes living processes under traffic.

`-m proof`. Fails on a query that Prometheus refuses or warns of, one whose answer is empty or does not move (QUIET has
those that may), one whose series lack a label of its legend, and a rule whose selectors fit nothing that is exported.
Pictures go to reports/dashboards.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.ports.cluster import path

from tests.chaos.harness import wait_until
from tests.cluster.apiserver import ControlPlane
from tests.cluster.chart.rendered import of_kind, rendered
from tests.cluster.conftest import kubeconfig_of, namespace_of
from tests.cluster.gobuild import CannotBuild
from tests.cluster.metrics import pictures
from tests.cluster.metrics.prometheus import EVERY_S, Prometheus, QueryFailed, rule_groups
from tests.cluster.metrics.questions import (
    AWAY,
    FENCED,
    MOVES,
    QUIET,
    UNSEEN,
    Query,
    Series,
    boards,
    chosen,
    faults,
    loosened,
    queries,
    replaced,
    selectors,
    unknown_values,
)
from tests.cluster.metrics.site import SECOND, Site
from tests.cluster.metrics.traffic import Traffic
from tests.cluster.tools.build import built
from tests.system.console.browser import Browser, program

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1500)]

PICTURES = Path(__file__).parents[3] / "reports" / "dashboards"
#: Seconds in which everything must have moved once, on a machine that is busy with other things.
PATIENCE_S = 300.0
#: Seconds until what is pending for a moment is not: what was recorded is read a moment later.
CALM_S = 60.0
#: Pods with a spool. One that told nothing would be hidden behind the others in a panel.
SPOOLS = {f"rejoinder-{name}-0" for name in ("policy", "policy-second", "gateway", "rerank")}


@dataclass(frozen=True)
class Seen:
    """What was seen of a site from `began` to `ended`, seconds since the epoch. calm: alerts that stayed active while
    nobody had done anything wrong."""

    prometheus: Prometheus
    site: Site
    began: float
    ended: float
    calm: frozenset[tuple[tuple[str, str], ...]]

    def answer(self, query: Query) -> Series:
        """Over that time, with the variables that Grafana chooses. Raises QueryFailed."""
        variables = chosen(boards()[query.board], self.prometheus.values)
        return self.prometheus.over(replaced(query.expression, variables, EVERY_S), self.began, self.ended)

    def faults(self, query: Query) -> list[str]:
        try:
            return faults(query, self.answer(query), QUIET.get(query.where, (MOVES, ""))[0])
        except QueryFailed as error:
            return [f"{query.where}: {error}"]


@pytest.fixture(scope="module")
def seen(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    try:
        built("prometheus")
    except CannotBuild as error:
        pytest.skip(str(error))
    folder, namespace = tmp_path_factory.mktemp("metrics"), namespace_of(plane)
    operator = {
        "watch": {"kubeconfig": str(kubeconfig_of(plane, folder)), "namespaces": [namespace], "resync_s": 5.0},
        "election": {"namespace": namespace, "retry_s": 0.5},
    }
    site = Site(folder / "site", operator)
    try:
        with closing(Traffic(site)) as traffic, Prometheus(folder / "prometheus", site.ports) as prometheus:
            yield lived(site, traffic, prometheus, plane, namespace)
    finally:
        site.close()


def lived(site: Site, traffic: Traffic, prometheus: Prometheus, plane: ControlPlane, namespace: str) -> Seen:
    """Traffic until everything has moved that should: calm, with a rollout of each kind, and while the log is away."""
    wait_until(lambda: scraped(prometheus) == len(site.ports), "every target")
    began = time.time()
    # What the first look at the rules found missing was not yet scraped.
    wait_until(lambda: looked(prometheus) > began, "a look at the rules")
    for _ in range(4):
        traffic.behave()
    behaved = time.time()
    wait_until(lambda: looked(prometheus) > behaved + EVERY_S, "a look at what came of it")
    end = time.monotonic() + CALM_S
    while (calm := active(prometheus)) and time.monotonic() < end:
        traffic.behave()

    def until(holds: Callable[[Query], bool], act: Callable[[], None]) -> None:
        """Acts until these queries have no faults; whoever never does is told of by its test."""
        end = time.monotonic() + PATIENCE_S
        left = [query for query in queries() if holds(query) and query.where not in QUIET]
        while left and time.monotonic() < end:
            act()
            now = Seen(prometheus, site, began, time.time(), calm)
            left = [query for query in left if now.faults(query)]

    traffic.talk()
    traffic.roll_out()
    spec = site.rollout()
    manifest = {"apiVersion": API_VERSION, "kind": "PolicyRollout", "metadata": {"name": "second-r0001"}, "spec": spec}
    made = plane.call("POST", path("PolicyRollout", namespace) + "?fieldValidation=Strict", manifest)
    assert made.status == 201, made.body
    until(lambda query: query.where not in (*AWAY, *FENCED), traffic.talk)
    with site.without("feedback"):
        traffic.ask()
        wait_until(lambda: waiting(prometheus) == SPOOLS, "every spool")
        traffic.cut()
        until(lambda query: query.where in AWAY, traffic.ask)
    site.overtaken()
    until(lambda query: query.where in FENCED, traffic.talk)
    return Seen(prometheus, site, began, time.time(), calm)


def scraped(prometheus: Prometheus) -> int:
    """How many targets have answered."""
    return sum(target["health"] == "up" for target in prometheus.ask("targets?state=active")["activeTargets"])


def active(prometheus: Prometheus) -> frozenset[tuple[tuple[str, str], ...]]:
    """The labels of each alert that is pending or firing now."""
    return frozenset(tuple(sorted(each["metric"].items())) for each in prometheus.now("ALERTS"))


def waiting(prometheus: Prometheus) -> set[str]:
    """Whose spools say that something waits in them."""
    return {each["metric"]["pod"] for each in prometheus.now("rejoinder_spool_bytes > 0")}


def looked(prometheus: Prometheus) -> float:
    """When every rule was last evaluated, seconds since the epoch."""
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    return min(datetime.fromisoformat(rule["lastEvaluation"]).timestamp() for rule in rules)


@pytest.mark.parametrize("query", [pytest.param(each, id=f"{each.board}: {each.where}") for each in queries()])
def test_a_panel_shows_what_happened(seen: Seen, query: Query) -> None:
    assert seen.faults(query) == []


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ('sum by (process) (rate(rejoinder_rpc_seconds_count{release="$release"}[$__rate_interval]))', "empty"),
        ('sum by (process) (rate(rejoinder_rpc_s_count{release="$release",kind="x"}[$__rate_interval]))', "empty"),
        ('sum by (process, version) (rejoinder_serving{release="$release"})', "without the label version"),
        ('sum by (process) (rejoinder_serving{release="$cluster"})', "empty"),
        ('rate(rejoinder_serving{release="$release"}[$__rate_interval])', "might not be a counter"),
        ('histogram_quantile(0.9, sum by (process) (rate(rejoinder_rpc_s_bucket{release="$release"}[1m])))', "bucket"),
        ('sum by (process) (rejoinder_serving{release="$release"}', "parse error"),
    ],
)
def test_a_panel_that_asks_for_what_is_not_there_is_caught(seen: Seen, expression: str, told: str) -> None:
    """Controls: they differ from panels by a word."""
    query = Query("traffic", "control", "short", (0, 0, 8, 8), expression, "{{process}}")
    (fault,) = seen.faults(query)
    assert told in fault


def test_every_rule_is_evaluated_and_what_it_selects_is_there(seen: Seen) -> None:
    groups = seen.prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    wanted = [rule for group in rule_groups()["groups"] for rule in group["rules"]]
    assert len(rules) == len(wanted) > 20
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    unseen = set()
    for rule in rules:
        seen.prometheus.now(rule["query"])
        for selector in selectors(rule["query"]):
            assert unknown_values(selector) == set()
            if not fitting(seen, selector):
                assert fitting(seen, loosened(selector)), f"{rule['name']}: nothing fits {loosened(selector)}"
                unseen.add(re.sub(r',?(namespace|release)="\w+"', "", selector).replace("{,", "{"))
    assert unseen == set(UNSEEN)


def test_no_alert_is_active_where_nothing_is_wrong(seen: Seen) -> None:
    """Nor pending: whoever has no rollout, no canary and no refused call would be woken after a while."""
    assert [dict(each) for each in seen.calm] == []


def test_alerts_are_active_for_what_was_done(seen: Seen) -> None:
    found = seen.prometheus.over("count by (alertname, alertstate) (ALERTS)", seen.began, seen.ended)
    active = {(each["metric"]["alertname"], each["metric"]["alertstate"]) for each in found}
    fired = {"InteractionsDropped", "CallsCutAtDrain", "ArmsFenced"}
    waited = {"NobodyServes", "EventsRejected"}
    assert {(f"Rejoinder{name}", "firing") for name in fired} <= active
    assert {(f"Rejoinder{name}", "pending") for name in waited} <= active


def fitting(seen: Seen, selector: str) -> int:
    """How many series a selector fits in the time that was seen."""
    found = seen.prometheus.now(f"count(last_over_time({selector}[{seen.ended - seen.began + 60:.0f}s]))")
    return int(found[0]["value"][1]) if found else 0


def test_a_selector_that_fits_nothing_is_caught(seen: Seen) -> None:
    selector = 'rejoinder_rpc_errors_total{namespace="ns",release="rejoinder",cause="QUEUE_FULL"}'
    assert fitting(seen, selector) == fitting(seen, loosened(selector)) == 0


def test_flaggers_query_is_answered(seen: Seen) -> None:
    (template,) = of_kind(rendered("gpu"), "MetricTemplate")
    (found,) = seen.prometheus.now(template["spec"]["query"].replace("{{ variables.policy }}", SECOND))
    assert float(found["value"][1]) == 0.0, "not worse"


def test_pictures_of_every_board(seen: Seen, tmp_path: Path) -> None:
    if program() is None:
        pytest.skip("no Chromium: sudo apt-get install -y chromium")
    PICTURES.mkdir(parents=True, exist_ok=True)
    answers = {query: seen.answer(query) for query in queries()}
    titles = {name: board["title"] for name, board in boards().items()}
    page = PICTURES / "index.html"
    page.write_text(pictures.page(titles, answers, seen.ended), "utf-8")
    browser = Browser(tmp_path / "browser")
    try:
        browser.go(page.as_uri())
        for name in titles:
            browser.picture(PICTURES / f"{name}.png", of=f"#{name}")
        assert browser.errors == []
    finally:
        browser.close()


def test_an_alert_is_pending_for_a_process_that_is_gone(seen: Seen) -> None:
    """The last test: rerank does not come back."""

    def missed() -> set[str]:
        found = seen.prometheus.now('ALERTS{alertname="RejoinderNobodyServes"}')
        return {each["metric"]["process"] for each in found}

    wait_until(lambda: missed() == set(), "an end of what the log's absence began")
    seen.site.stop("rerank")
    wait_until(lambda: missed() == {"rerank"}, "the alert")
