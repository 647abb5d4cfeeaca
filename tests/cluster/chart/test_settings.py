"""Every settings file and variable that the chart writes is read by its process's own loader."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rejoinder.core.errors import BadSettings
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.exporter import Exporter
from rejoinder.runtime.settings import SERVICES, Theme, load

from tests.cluster.chart.generate import SETTINGS, package
from tests.cluster.chart.rendered import NAMES, Object, component, named, of_kind, pods, rendered

#: The stages of rounds are no process of the chart's: the operator makes their pods.
CLASSES = {**SETTINGS, "rounds": "RoundsSettings"}


def settings_class(process: str) -> type[Theme]:
    return getattr(importlib.import_module(f"{package(process)}.settings"), CLASSES[process])


def environment(pod: Object) -> dict[str, str]:
    """What a container's own variables are; a field reference is the pod's name."""
    values = {}
    for container in pod["spec"]["containers"]:
        for each in container.get("env", ()):
            values[each["name"]] = each.get("value", "rejoinder-process-0")
    return values


def loaded(objects: tuple[Object, ...], process: str, folder: Path) -> Any:
    """Raises BadSettings."""
    config = next(each for each in of_kind(objects, "ConfigMap") if component(each) == process)
    file = folder / f"{process}.yaml"
    file.write_text(config["data"]["settings.yaml"])
    workloads = [pod for _, pod in pods(objects) if component(pod) == process]
    service = "ledger" if process == "migrate" else process
    return load(settings_class(service), service, file, environment(workloads[0]))


def processes(objects: tuple[Object, ...]) -> list[str]:
    return [component(each) for each in of_kind(objects, "ConfigMap") if "settings.yaml" in each["data"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_rendered_file_is_read_by_its_process(name: str, tmp_path: Path) -> None:
    objects = rendered(name)
    for process in processes(objects):
        settings = loaded(objects, process, tmp_path)
        if hasattr(settings, "check"):
            settings.check()
        if process == "observe":
            settings.mappers()
            settings.start()


def test_all_processes_are_looked_at() -> None:
    seen = {process for name in NAMES for process in processes(rendered(name))}
    assert seen == {*SETTINGS, "migrate"}
    assert set(SERVICES) <= set(CLASSES), "a process without a row in the chart"


def test_the_stages_of_rounds_read_what_the_operator_mounts(tmp_path: Path) -> None:
    with_operator = [objects for name in NAMES if "operator" in processes(objects := rendered(name))]
    assert with_operator
    for objects in with_operator:
        (config,) = (each for each in of_kind(objects, "ConfigMap") if "rounds.yaml" in each["data"])
        assert config["metadata"]["name"] == loaded(objects, "operator", tmp_path).rounds.config_map
        file = tmp_path / "rounds.yaml"
        file.write_text(config["data"]["rounds.yaml"])
        settings = load(settings_class("rounds"), "rounds", file, {})
        assert settings.log.kafka.bootstrap
        # One Secret, mounted at one place by the operator.
        theme = settings.services
        for path in (
            theme.token_file,
            theme.ca_file,
            theme.cert_file,
            theme.key_file,
            settings.log.kafka.password_file,
        ):
            assert path is None or path.parent == Path("/etc/rejoinder/secrets")


def test_the_stages_of_rounds_find_what_the_services_find_on_the_shared_volume(tmp_path: Path) -> None:
    """The claim stands at /registry in ours and at the stages' own folder in theirs."""
    objects = rendered("default", "operator.enabled=true", "rollouts.enabled=false")
    (config,) = (each for each in of_kind(objects, "ConfigMap") if "rounds.yaml" in each["data"])
    file = tmp_path / "rounds.yaml"
    file.write_text(config["data"]["rounds.yaml"])
    rounds = load(settings_class("rounds"), "rounds", file, {})
    policy, operator = (loaded(objects, process, tmp_path) for process in ("policy", "operator"))
    registry = Path(rounds.services.registry).relative_to(rounds.round.folder)
    assert {Path(each).relative_to("/registry") for each in (policy.model.registry, operator.policy.registry)} == {
        registry
    }
    artefacts = (rounds.round.folder / "artefacts").relative_to(rounds.round.folder)
    assert Path(policy.model.artefacts).relative_to("/registry") == artefacts


def test_a_key_that_no_process_has_would_be_noticed(tmp_path: Path) -> None:
    """The control: the loader, not this file, knows the names."""
    objects = rendered("default")
    config = next(each for each in of_kind(objects, "ConfigMap") if component(each) == "policy")
    values = yaml.safe_load(config["data"]["settings.yaml"]) | {"recrod": {}}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(BadSettings, match="recrod"):
        load(settings_class("policy"), "policy", tmp_path / "policy.yaml", {})


def test_the_embedded_pod_sets_variables_that_its_processes_have() -> None:
    (_, pod), *_ = [each for each in pods(rendered("embedded")) if component(each[1]) == "embedded"]
    env = environment(pod)
    for service in {name.split("_")[1].lower() for name in env if name.startswith("REJOINDER_")}:
        settings = load(settings_class(service), service, None, env)
        assert (settings.server.host, settings.server.auth.open) == ("0.0.0.0", True)


def test_the_persons_own_settings_win(tmp_path: Path) -> None:
    settings = loaded(rendered("production"), "feedback", tmp_path)
    assert settings.redact.kinds == ("email", "phone")
    assert settings.log.kafka.bootstrap == "events-kafka-bootstrap.ns.svc:9093"


def test_an_issuers_keys_are_read_where_they_are_mounted_or_served(tmp_path: Path) -> None:
    said = '{"issuer":"https://issuer.example","audience":"a"'
    mounted = rendered("default", f'auth.jwt={{"configMap":"keys","settings":{said}}}}}')
    served = rendered(
        "default", f'auth.jwt.settings={said},"jwks":"https://issuer.example/keys","algorithms":["ES256"]}}'
    )
    for process in processes(mounted):
        if process == "migrate":
            continue
        jwt = loaded(mounted, process, tmp_path).server.auth.jwt
        assert (jwt.issuer, jwt.jwks) == ("https://issuer.example", "/etc/rejoinder/jwks/jwks.json")
        (pod,) = [pod for _, pod in pods(mounted) if component(pod) == process]
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        assert volumes["jwks"]["configMap"]["name"] == "keys"
        jwt = loaded(served, process, tmp_path).server.auth.jwt
        assert (jwt.jwks, jwt.algorithms) == ("https://issuer.example/keys", ("ES256",))
        jwt = loaded(rendered("production"), process, tmp_path).server.auth.jwt
        assert jwt.is_url
        assert (jwt.ca_file, jwt.token_file) == tuple(Path("/etc/rejoinder/cluster") / n for n in ("ca.crt", "token"))
        assert loaded(rendered("default"), process, tmp_path).server.auth.jwt.issuer == ""


def test_who_was_given_words_is_recorded_on_a_volume_that_can_be_written(tmp_path: Path) -> None:
    for more in ((), ("ledger.persistence.enabled=false",)):
        objects = rendered("default", *more)
        file = loaded(objects, "ledger", tmp_path).looks_file
        (pod,) = [pod for _, pod in pods(objects) if component(pod) == "ledger"]
        mounts = {each["mountPath"]: each for each in pod["spec"]["containers"][0]["volumeMounts"]}
        assert not mounts[str(file.parent)].get("readOnly")


def test_a_rate_is_every_process_s_and_its_own_settings_win(tmp_path: Path) -> None:
    limited = rendered("default", 'auth.rate={"principal_per_s":50,"address_per_s":5}',
                       'gateway.settings={"server":{"rate":{"principal_per_s":9}}}')  # fmt: skip
    for process in processes(limited):
        if process == "migrate":
            continue
        rate = loaded(limited, process, tmp_path).server.rate
        assert (rate.principal_per_s, rate.address_per_s) == (9 if process == "gateway" else 50, 5)
        assert loaded(rendered("default"), process, tmp_path).server.rate.principal_per_s is None


@pytest.mark.parametrize("name", [name for name in NAMES if name != "embedded"])
def test_every_file_that_settings_name_is_mounted(name: str, tmp_path: Path) -> None:
    objects = rendered(name)
    for label, pod in pods(objects):
        process = component(pod)
        if process not in processes(objects):
            continue
        mounts = [mount["mountPath"] for c in pod["spec"]["containers"] for mount in c["volumeMounts"]]
        for path in paths_in(loaded(objects, process, tmp_path).model_dump()):
            if path.is_relative_to("/opt/rejoinder/models"):
                continue
            assert any(path.is_relative_to(mount) for mount in mounts), f"{label}: nothing is mounted for {path}"


def paths_in(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value] if value.is_absolute() else []
    if isinstance(value, dict):
        return [path for each in value.values() for path in paths_in(each)]
    return []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "embedded"])
def test_a_pod_lives_longer_than_its_drain(name: str, tmp_path: Path) -> None:
    """preStop, callers that leave, calls, what runs beside them, the spool: the order of runtime/server.py."""
    objects = rendered(name)
    for label, pod in pods(objects):
        process = component(pod)
        if process not in processes(objects) or process == "migrate":
            continue
        settings = loaded(objects, process, tmp_path)
        stop = pod["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        drain = getattr(getattr(settings, "record", None), "drain_s", 0.0)
        least = stop + settings.server.leave_s + 2 * settings.server.grace_s + drain
        assert least < pod["spec"]["terminationGracePeriodSeconds"] <= least + 15, label


def test_the_engine_knows_every_replica_by_a_name_that_stands(tmp_path: Path) -> None:
    objects = rendered("production")
    settings = loaded(objects, "rollouts", tmp_path)
    policy = named(objects, "StatefulSet", "rejoinder-policy")
    service = named(objects, "Service", policy["spec"]["serviceName"])
    host = f"{service['metadata']['name']}.ns.svc.cluster.local:50052"
    assert list(settings.policy.replicas) == [f"rejoinder-policy-{n}.{host}" for n in range(policy["spec"]["replicas"])]
    assert service["spec"]["clusterIP"] == "None"


def test_under_tls_a_pod_is_ready_when_its_metrics_say_serving() -> None:
    (pod, *_) = [pod for _, pod in pods(rendered("production")) if component(pod) == "feedback"]
    *python, line = pod["spec"]["containers"][0]["readinessProbe"]["exec"]["command"]
    assert python == ["python3", "-I", "-S", "-c"]
    metrics = Metrics()
    exporter = Exporter("127.0.0.1", 0, metrics)
    ask = [sys.executable, *python[1:], line.replace("9464", str(exporter.port))]
    try:
        for value, status in ((0, 1), (1, 0), (0, 1)):
            metrics["serving"].set(value)
            assert subprocess.run(ask, check=False).returncode == status
    finally:
        exporter.close()
    assert subprocess.run(ask, check=False, capture_output=True).returncode == 1


def test_no_secret_stands_in_a_variable_or_a_settings_file() -> None:
    for name in NAMES:
        objects = rendered(name)
        assert not of_kind(objects, "Secret")
        for label, pod in pods(objects):
            for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]:
                assert "envFrom" not in container, label
                for each in container.get("env", ()):
                    assert "secretKeyRef" not in each.get("valueFrom", {}), label


@pytest.mark.parametrize(("scaling", "most"), [({"enabled": True, "maxReplicas": 7}, 7), ({"enabled": False}, 3)])
def test_ingest_is_told_how_many_of_it_there_may_be_at_once(scaling: dict[str, Any], most: int, tmp_path: Path) -> None:
    """Each keeps to that part of every quota: with fewer of them told, more than a tenant's would pass."""
    given = (f"feedback.autoscaling={json.dumps(scaling)}", "feedback.replicas=3")
    assert loaded(rendered("production", *given), "feedback", tmp_path).processes == most


def test_the_console_asks_with_its_visitors_tokens_and_for_what_is_there(tmp_path: Path) -> None:
    for name, engine in (("production", True), ("gpu", False)):
        settings = loaded(rendered(name), "console", tmp_path)
        themes = (settings.ledger, settings.feedback, settings.rollouts)
        assert [theme.token_file for theme in themes] == [None] * 3
        assert [bool(theme.address) for theme in themes] == [True, True, engine]
        ledger = loaded(rendered(name), "ledger", tmp_path)
        assert settings.looks.key_file == ledger.erasure.key_file
