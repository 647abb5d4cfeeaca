"""A real Prometheus server on loopback that scrapes processes as the chart's own monitors would have it scrape pods."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from rejoinder.cli.supervisor import free_ports

from tests.chaos.harness import wait_until
from tests.cluster.chart.rendered import component, of_kind, pods, rendered
from tests.cluster.tools.build import built

#: Seconds between two scrapes, and two looks at the rules.
EVERY_S = 1.0
#: What the operator for Prometheus adds to each target by itself, for either kind of monitor.
_ADDED = {
    "namespace": "__meta_kubernetes_namespace",
    "pod": "__meta_kubernetes_pod_name",
    "container": "__meta_kubernetes_pod_container_name",
}


class QueryFailed(Exception):
    """Prometheus's own words."""


def scrapes(ports: Mapping[str, int]) -> list[dict[str, Any]]:
    """Scrape configurations of processes by the chart's monitors: a process that the values `production` run is found
    by their PodMonitor, the others by the ServiceMonitor of `gpu`. ports: process → metrics port."""
    return [_scrape(process, port) for process, port in ports.items()]


def _scrape(process: str, port: int) -> dict[str, Any]:
    found = [
        (pod, monitor, objects)
        for objects in map(rendered, ("production", "gpu"))
        for _, pod in pods(objects)
        if component(pod) == process.partition("-")[0]
        for monitor in of_kind(objects, "PodMonitor", "ServiceMonitor")
    ]
    pod, monitor, objects = found[0]
    spec, by_pod = monitor["spec"], monitor["kind"] == "PodMonitor"
    metadata, job = pod["metadata"], f"ns/{monitor['metadata']['name']}"
    if not by_pod:
        (service,) = [
            each
            for each in of_kind(objects, "Service")
            if component(each) == process and any(one["name"] == "metrics" for one in each["spec"]["ports"])
        ]
        metadata, job = service["metadata"], service["metadata"]["name"]
    assert spec["selector"]["matchLabels"].items() <= metadata["labels"].items(), f"no monitor finds {process}"
    (endpoint,) = spec["podMetricsEndpoints" if by_pod else "endpoints"]
    prefix = f"__meta_kubernetes_{'pod' if by_pod else 'service'}_label_"
    meta = {prefix + re.sub(r"\W", "_", name): value for name, value in metadata["labels"].items()}
    container = pod["spec"]["containers"][0]["name"]
    meta |= dict(zip(_ADDED.values(), ("ns", f"rejoinder-{process}-0", container), strict=True))
    return {
        "job_name": process,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": meta}],
        "relabel_configs": [
            {"target_label": "job", "replacement": job},
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *({"source_labels": [source], "target_label": label} for label, source in _ADDED.items()),
            *(
                {"source_labels": each["sourceLabels"], "target_label": each["targetLabel"]}
                for each in endpoint["relabelings"]
            ),
        ],
    }


def rule_groups() -> dict[str, Any]:
    """The chart's PrometheusRule as the server's own file has it."""
    (rule,) = of_kind(rendered("production"), "PrometheusRule")
    return dict(rule["spec"])


class Prometheus:
    """owns: the process and its data under `folder`; leaving ends it."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        (port,) = free_ports(1)
        self._url = f"http://127.0.0.1:{port}"
        (folder / "rules.yaml").write_text(yaml.safe_dump(rule_groups()))
        config = {
            "global": {"scrape_interval": f"{EVERY_S:g}s", "evaluation_interval": f"{EVERY_S:g}s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": scrapes(ports),
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self._command = [
            str(built("prometheus")),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]

    def __enter__(self) -> Prometheus:
        with (self._folder / "log").open("wb") as log:
            # As few threads as it has work for: it shares two cores with all that it scrapes.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self._folder, env=os.environ | {"GOMAXPROCS": "1"}
            )
        try:
            wait_until(self._ready, "Prometheus")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(30)

    def _ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=10):
                return True
        except OSError:
            return False

    def ask(self, path: str, **parameters: Any) -> Any:
        """`data` of an answer of /api/v1. Raises QueryFailed."""
        body = urllib.parse.urlencode(parameters, doseq=True).encode() if parameters else None
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/{path}", body, timeout=60) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise QueryFailed(error.read().decode()) from None
        if found.get("warnings") or found.get("infos"):
            raise QueryFailed(f"{found.get('warnings')} {found.get('infos')}")
        return found["data"]

    def values(self, label: str, match: str) -> list[str]:
        """Values of a label, as Grafana's `label_values` asks for them."""
        # By GET alone: this path takes no form.
        found = self.ask(f"label/{label}/values?{urllib.parse.urlencode({'match[]': match})}")
        return [str(each) for each in found]

    def over(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        """Series of a query over a time, a point a second. Raises QueryFailed."""
        found = self.ask("query_range", query=expression, start=start, end=end, step=EVERY_S)
        return list(found["result"])

    def now(self, expression: str) -> list[dict[str, Any]]:
        """Series of a query at this moment. Raises QueryFailed."""
        return list(self.ask("query", query=expression)["result"])
