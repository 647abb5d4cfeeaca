"""The chart as it is rendered for the ways people install it: what holds in every one, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.chart.generate import CHART, outputs
from tests.cluster.chart.rendered import NAMES, Object, Refused, component, of_kind, pods, program, rendered
from tests.cluster.chart.values import read

#: Long enough that every name must be cut.
LONG = "a-release-whose-name-is-as-long-as-helm-lets-it-be53"
#: One name that YAML 1.1 takes for a truth, one for a number.
ODD = ("y", "1e3")


def containers(pod: Object) -> Iterator[Object]:
    yield from pod["spec"]["containers"]
    yield from pod["spec"].get("initContainers", ())


@pytest.mark.parametrize("name", NAMES)
def test_lint_has_nothing_to_say(name: str) -> None:
    command = [program("helm"), "lint", "--strict", str(CHART), f"--values={CHART / 'ci' / f'{name}-values.yaml'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_unit_suites_pass() -> None:
    done = subprocess.run([program("helm-unittest"), str(CHART)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_is_restricted(name: str) -> None:
    """Pod Security `restricted`, a read-only root and no token that nobody asked for."""
    for label, pod in pods(rendered(name)):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"], label
        assert spec["securityContext"]["runAsUser"] == 65532, label
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, label
        assert spec.get("automountServiceAccountToken") is False or component(pod) == "operator", label
        assert not any("hostPath" in volume for volume in spec["volumes"]), label
        for container in containers(pod):
            secure = container["securityContext"]
            assert secure["allowPrivilegeEscalation"] is False, label
            assert secure["readOnlyRootFilesystem"] is True, label
            assert secure["capabilities"] == {"drop": ["ALL"]}, label


@pytest.mark.parametrize("name", NAMES)
def test_every_container_says_what_it_takes_disk_included(name: str) -> None:
    for label, pod in pods(rendered(name)):
        for container in containers(pod):
            for side in ("requests", "limits"):
                assert {"memory", "ephemeral-storage"} <= set(container["resources"][side]), f"{label}: {side}"
        for volume in pod["spec"]["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit"), f"{label}: {volume['name']}"


@pytest.mark.parametrize("name", NAMES)
def test_volumes_and_mounts_fit_together(name: str) -> None:
    objects = rendered(name)
    claims = {
        each["metadata"]["name"]: {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", ())}
        for each in of_kind(objects, "StatefulSet")
    }
    for label, pod in pods(objects):
        volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
        assert len(volumes) == len(set(volumes)), f"{label}: a volume twice"
        known = set(volumes) | claims.get(label.partition("/")[2], set())
        mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert mounted == known, f"{label}: {mounted ^ known}"
        for container in containers(pod):
            assert not any("subPath" in mount for mount in container["volumeMounts"]), f"{label}: would not rotate"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("release", [LONG, *ODD])
def test_names_fit_and_labels_are_text_whatever_the_release_is_called(name: str, release: str) -> None:
    for each in rendered(name, release=release):
        meta = each["metadata"]
        assert len(meta["name"]) <= 63, meta["name"]
        assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", meta["name"]), meta["name"]
        for key, value in texts(each):
            assert isinstance(value, str), f"{each['kind']}/{meta['name']}: {key}={value!r}"
            assert len(value) <= 63 or "annotations" in key, f"{key}={value!r}"


def texts(thing: Any, inside: str = "") -> Iterator[tuple[str, Any]]:
    """Everything below `labels`, `matchLabels` and `annotations`, at any depth."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            if inside and not isinstance(value, (dict, list)):
                yield f"{inside}.{key}", value
            yield from texts(value, key if key in ("labels", "matchLabels", "annotations") else "")
    elif isinstance(thing, list):
        for each in thing:
            yield from texts(each)


@pytest.mark.parametrize("name", NAMES)
def test_selectors_find_their_pods_and_nothing_stands_twice(name: str) -> None:
    objects = rendered(name)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    labelled = [pod["metadata"]["labels"] for _, pod in pods(objects)]

    def found(labels: dict[str, str]) -> bool:
        return any(labels.items() <= pod.items() for pod in labelled)

    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            assert found(spec["selector"]), each["metadata"]["name"]
        for selector in ("selector", "podSelector"):
            if isinstance(spec.get(selector), dict) and "matchLabels" in spec[selector]:
                assert found(spec[selector]["matchLabels"]), f"{each['kind']}/{each['metadata']['name']}"
                assert "app.kubernetes.io/version" not in spec[selector]["matchLabels"]


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_has_its_network_policy(name: str) -> None:
    objects = rendered(name)
    covered = {component(each) for each in of_kind(objects, "NetworkPolicy")}
    running = {component(pod) for label, pod in pods(objects)}
    assert running <= covered


def test_who_calls_whom_is_let_through_on_both_sides() -> None:
    """An address in a process's settings is an egress of its own and an ingress of the other."""
    objects = rendered("production")
    policies = {component(each): each["spec"] for each in of_kind(objects, "NetworkPolicy")}
    for config in of_kind(objects, "ConfigMap"):
        process = component(config)
        text = config["data"].get("settings.yaml", "")
        for other in set(re.findall(r"rejoinder-(\w+)-headless", text)):
            assert other in peers(policies[process]["egress"], "to"), f"{process} -> {other}"
            assert process in peers(policies[other]["ingress"], "from"), f"{process} -> {other}"


def peers(rules: list[Object], side: str) -> set[str]:
    return {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for rule in rules
        for peer in rule.get(side, ())
        if peer.get("podSelector", {}).get("matchLabels")
    }


def test_a_changed_setting_restarts_its_process_and_no_other() -> None:
    def sums(*sets: str) -> dict[str, str]:
        found = pods(rendered("default", *sets))
        return {
            component(pod): pod["metadata"]["annotations"]["checksum/settings"]
            for _, pod in found
            if "checksum/settings" in pod["metadata"].get("annotations", {})
        }

    before, after = sums(), sums("reward.settings.max_responses=7")
    assert {name for name in before if before[name] != after[name]} == {"reward"}


def test_the_operator_may_do_nothing_by_wildcard_and_reads_no_secret() -> None:
    for name in ("gpu",):
        for role in of_kind(rendered(name, "operator.clusterWide=false"), "Role") + of_kind(
            rendered(name), "ClusterRole"
        ):
            for rule in role["rules"]:
                assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
                assert "secrets" not in rule["resources"]


def test_the_operator_changes_no_lease_but_its_own() -> None:
    (leader,) = [each for each in of_kind(rendered("gpu"), "Role") if each["metadata"]["name"].endswith("-leader")]
    for rule in leader["rules"]:
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["rejoinder-operator"]


def test_the_operators_roles_lie_where_it_watches() -> None:
    objects = rendered("gpu", "operator.clusterWide=false", 'operator.watchNamespaces=["one","two"]')
    watched = {each["metadata"]["namespace"] for each in of_kind(objects, "Role")}
    assert watched == {"ns", "one", "two"}
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_person_wants_of_every_pod_is_on_every_pod(name: str) -> None:
    """A mesh is told to leave Jobs alone, a quota counts by label; a sleep of 0 is refused before Kubernetes 1.34."""
    wanted = ('pods.labels={"mesh":"off"}', 'pods.annotations={"inject":"no"}', "pods.preStopSeconds=0")
    for label, pod in pods(rendered(name, *wanted)):
        assert pod["metadata"]["labels"]["mesh"] == "off", label
        assert pod["metadata"]["annotations"]["inject"] == "no", label
        assert not [each for each in containers(pod) if "lifecycle" in each], label


@pytest.mark.parametrize("sets", [(), ("policy.enabled=false", "rollouts.enabled=false")])
def test_claims_that_pods_name_are_made(sets: tuple[str, ...]) -> None:
    objects = rendered("default", "triton.enabled=true", *sets)
    made = {each["metadata"]["name"] for each in of_kind(objects, "PersistentVolumeClaim")}
    for label, pod in pods(objects):
        for volume in pod["spec"]["volumes"]:
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or claim in made, f"{label}: {claim}"


def test_the_first_version_is_published_with_what_the_process_was_given() -> None:
    """An object store's credentials and roots: without them the pod would never come to its container."""
    volume, mount = {"name": "ca", "emptyDir": {"sizeLimit": "1Mi"}}, {"name": "ca", "mountPath": "/ca"}
    variable = {"name": "AWS_CA_BUNDLE", "value": "/ca/ca.crt"}
    extra = json.dumps({"env": [variable], "volumes": [volume], "volumeMounts": [mount]})
    (pod,) = [pod for _, pod in pods(rendered("default", f"policy.extra={extra}")) if component(pod) == "policy"]
    for container in containers(pod):
        assert variable in container["env"], container["name"]
        assert "/ca" in [mount["mountPath"] for mount in container["volumeMounts"]], container["name"]


def test_a_port_says_whether_it_is_clear() -> None:
    """A mesh that is told `h2c` speaks clear text to a port of TLS."""
    for name, said in (("default", {"kubernetes.io/h2c"}), ("production", {"https"})):
        services = [each for each in of_kind(rendered(name), "Service") if component(each) != "triton"]
        ports = [port for each in services for port in each["spec"]["ports"] if port["name"] in ("grpc", "http")]
        assert {port["appProtocol"] for port in ports} == said


def test_models_on_a_triton_are_asked_there_and_kept_loaded_beside_it() -> None:
    asking = ('reward.settings={"model":{"backend":"triton"}}', 'rerank.settings={"encoder":{"backend":"triton"}}')
    objects = rendered("default", "triton.enabled=true", *asking)
    (service,) = [each for each in of_kind(objects, "Service") if component(each) == "triton"]
    target = f"dns:///{service['metadata']['name']}.ns.svc.cluster.local:8001"
    for process, model in (("reward", "model"), ("rerank", "encoder")):
        (config,) = [each for each in of_kind(objects, "ConfigMap") if component(each) == process]
        settings = yaml.safe_load(config["data"]["settings.yaml"])
        assert (settings[model]["backend"], settings[model]["triton"]["target"]) == ("triton", target)
    (pod,) = [pod for _, pod in pods(objects) if component(pod) == "triton"]
    server, keeper = containers(pod)
    assert "--model-control-mode=explicit" in server["args"]
    repository = next(each for each in server["args"] if each.startswith("--model-repository="))
    assert keeper["args"] == ["--server=127.0.0.1:8001", repository.replace("--model-repository", "--repository")]
    assert keeper["image"].split(":")[0].endswith("/reward")
    policies = {component(each): each["spec"] for each in of_kind(objects, "NetworkPolicy")}
    assert peers(policies["triton"]["ingress"], "from") >= {"reward", "rerank"}
    assert all("triton" in peers(policies[process]["egress"], "to") for process in ("reward", "rerank"))


def test_the_self_test_gets_through_whoever_may_call() -> None:
    callers = 'networkPolicy.callers=[{"podSelector":{"matchLabels":{"app.kubernetes.io/component":"chat"}}}]'
    policies = {component(each): each["spec"] for each in of_kind(rendered("embedded", callers), "NetworkPolicy")}
    assert "selftest" in peers(policies["embedded"]["ingress"], "from")
    assert peers(policies["selftest"]["egress"], "to") == {"embedded"}


EGRESS = {
    "PostgreSQL where its address says": (
        *("ledger", 6432),
        'postgresql.url="postgresql+psycopg://u@db:6432/x?sslmode=require"',
    ),
    "PostgreSQL where its address says nothing": ("ledger", 5432, 'postgresql.url="postgresql+psycopg://u@db/x"'),
    "the second of two PostgreSQL": ("ledger", 5433, 'postgresql.url="postgresql+psycopg://u@one,two:5433/x"'),
    "the owner's PostgreSQL": ("migrate", 6000, 'migrations.url="postgresql+psycopg://owner@db:6000/x"'),
    "an object store on its port": (
        *("policy", 9000),
        'registry.url="s3://models"',
        'networkPolicy.objectStore=[{"ports":[{"port":9000}]}]',
    ),
    "an object store": ("policy", 443, 'registry.url="s3://models"'),
    "a model server of OpenAI's kind": (
        *("gateway", 8000),
        "gateway.enabled=true",
        'gateway.settings={"upstream":{"kind":"openai","openai":{"url":"http://vllm:8000/v1"}}}',
    ),
    "OpenAI": (
        *("gateway", 443),
        "gateway.enabled=true",
        'gateway.settings={"upstream":{"kind":"openai","openai":{"url":"https://api.example.com/v1"}}}',
    ),
    "the second judge of the audit": (
        *("signals", 9443),
        'signals.settings={"audit":{"judge":"audit-endpoint","endpoint":{"url":"https://judge:9443/v1","model":"j"}}}',
    ),
    "an issuer's key set": (
        *("reward", 8443),
        'auth.jwt={"settings":{"issuer":"i","audience":"a","jwks":"https://issuer.example:8443/keys"}}',
    ),
    "the API server's key set": ("reward", 6443, 'auth.jwt={"cluster":true,"settings":{"issuer":"i","audience":"a"}}'),
    "the API server's key set where it is": (
        *("reward", 16443),
        'auth.jwt={"cluster":true,"settings":{"issuer":"i","audience":"a"}}',
        'networkPolicy.apiServer=[{"ports":[{"port":16443}]}]',
    ),
    "other people's brokers": (
        *("observe", 9192),
        "observe.enabled=true",
        'observe.settings={"brokers":{"bootstrap":"theirs:9192"},"topics":[{"topic":"t","map":{"form":"turns"}}]}',
    ),
}


@pytest.mark.parametrize("what", EGRESS)
def test_the_way_out_is_open_to(what: str) -> None:
    process, port, *sets = EGRESS[what]
    (policy,) = [each for each in of_kind(rendered("default", *sets), "NetworkPolicy") if component(each) == process]
    assert port in [each["port"] for rule in policy["spec"]["egress"] for each in rule["ports"]]


def test_turns_are_posted_to_a_service_of_the_observer_once_that_is_asked_for() -> None:
    for asked in (False, True):
        topics = 'observe.settings={"topics":[{"topic":"t","map":{"preset":"flat"}}]}'
        sets = ("observe.http.enabled=true",) if asked else (topics,)
        objects = rendered("default", "observe.enabled=true", *sets)
        ports = {
            port["name"]: port["port"]
            for service in of_kind(objects, "Service")
            if component(service) == "observe"
            for port in service["spec"]["ports"]
        }
        assert ports.get("http") == (8070 if asked else None)
        (policy,) = [each for each in of_kind(objects, "NetworkPolicy") if component(each) == "observe"]
        opened = [each["port"] for rule in policy["spec"]["ingress"] for each in rule["ports"]]
        assert ("http" in opened) == asked


def test_certificates_hold_the_names_that_are_called() -> None:
    objects = rendered("production")
    names = {component(each): each["spec"]["dnsNames"] for each in of_kind(objects, "Certificate")}
    for config in of_kind(objects, "ConfigMap"):
        for host in re.findall(r"([\w.-]*rejoinder-[\w.-]+\.svc[\w.]*):\d", config["data"].get("settings.yaml", "")):
            if "-triton." in host:
                # In clear text; who may reach it is a network policy's.
                continue
            other = re.search(r"rejoinder-(\w+)-headless", host)
            assert other, host
            below = f"*.{host.partition('.')[2]}"
            assert host in names[other[1]] or below in names[other[1]], host


REFUSED = {
    "an observer that reads nothing": ("observe.enabled=true", "observe.settings.topics is empty"),
    "a misspelt value": ("feedback.replica=3", "replica"),
    "a misspelt setting": ('policy.settings={"record":{"drain":1}}', "drain"),
    "a setting out of its range": ('policy.settings={"engine":{"max_batch":999}}', "max_batch"),
    "a misspelt resource": ('feedback.resources={"limit":{"memory":"1Gi"}}', "limit"),
    "a misspelt part of the pods": ('feedback.extra={"nodeselector":{}}', "nodeselector"),
    "a word in place of a number": ('feedback.replicas="two"', "replicas"),
    "a password in the address": ('postgresql.url="postgresql+psycopg://u:secret@db/x"', "url"),
    "a password behind the address": ('postgresql.url="postgresql+psycopg://u@db/x?password=s"', "url"),
    "brokers without a port": ('kafka.bootstrap="one:9092,two"', "bootstrap"),
    "SASL without a user": ('kafka.sasl={"mechanism":"SCRAM-SHA-256","existingSecret":"k"}', "kafka.sasl.user"),
    "an engine without replicas": ("policy.replicas=0", "policy.replicas"),
    "two ledgers": ("ledger.replicas=2", "replicas"),
    "a digest that is none": ('feedback.image.digest="sha256:12"', "digest"),
    "no brokers": ('kafka.bootstrap=""', "kafka.bootstrap"),
    "no key": ('erasure.existingSecret=""', "erasure.existingSecret"),
    "nobody's credentials": ('auth.existingSecret=""', "auth.existingSecret"),
    "SASL without a password": ('kafka.sasl.mechanism="SCRAM-SHA-256"', "kafka.sasl.existingSecret"),
    "TLS without certificates": ("tls.enabled=true", "tls.existingSecret"),
    "replicas that the engine cannot know": ("policy.autoscaling.enabled=true", "policy.autoscaling"),
    "two who decide": ("operator.enabled=true", "rollouts.enabled and operator.enabled"),
    "a spool that fills its volume": ("policy.spool.maxBytes=1073741824", "policy.spool.maxBytes"),
    "an issuer without an audience": ('auth.jwt={"cluster":true,"settings":{"issuer":"i"}}', "settings.audience"),
    "an issuer without keys": ('auth.jwt.settings={"issuer":"i","audience":"a"}', "needs one of"),
    "a symmetric algorithm": ('auth.jwt.settings={"algorithms":["HS256"]}', "algorithms"),
    "a misspelt setting of the issuer": ('auth.jwt.settings={"audienc":"a"}', "audienc"),
    "a misspelt rate": ('auth.rate={"principals_per_s":5}', "principals_per_s"),
    "a rate of nothing": ('auth.rate={"principal_per_s":0}', "principal_per_s"),
    "keys at two places": (
        'auth.jwt={"cluster":true,"configMap":"c","settings":{"issuer":"i","audience":"a"}}',
        "needs one of",
    ),
    "the cluster's token for somebody else's server": (
        'auth.jwt={"cluster":true,"settings":{"issuer":"i","audience":"a","jwks":"https://issuer.example/keys"}}',
        "needs one of",
    ),
    "an issuer where all are trusted": (
        'auth={"open":true,"jwt":{"cluster":true,"settings":{"issuer":"i","audience":"a"}}}',
        "auth.jwt and auth.open",
    ),
    "a scaler without its group": ("signals.keda.enabled=true", "signals.keda.consumerGroup"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused(what: str) -> None:
    given, named = REFUSED[what]
    with pytest.raises(Refused, match=re.escape(named)):
        rendered("default", given)


def test_what_is_missing_is_said_all_at_once() -> None:
    with pytest.raises(Refused) as refused:
        rendered("")
    for name in ("kafka.bootstrap", "postgresql.url", "erasure.existingSecret", "auth.existingSecret"):
        assert name in str(refused.value)


def test_schema_and_table_are_made_from_the_values() -> None:
    for file, text in outputs().items():
        assert file.read_text("utf-8") == text, f"{file.name}: run `make gen`"


def test_every_value_has_its_sentence() -> None:
    _, rows = read(CHART / "values.yaml")
    assert [".".join(row.path) for row in rows if not row.said] == []


def test_the_schema_is_closed_wherever_the_chart_knows_the_keys() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    values, _ = read(CHART / "values.yaml")

    def walk(node: Any, value: Any, path: str) -> None:
        if isinstance(value, dict) and value and "$ref" not in node:
            assert node.get("additionalProperties") is not None, f"{path} is open"
            for key, below in value.items():
                if key in node.get("properties", {}):
                    walk(node["properties"][key], below, f"{path}.{key}")

    walk(schema, values, "")


def test_people_reach_the_console_over_its_pages_alone() -> None:
    objects = rendered("default", "console.enabled=true")
    of_it = [each for each in objects if component(each) == "console"]
    (service,) = (s for s in of_kind(of_it, "Service") if s["spec"].get("clusterIP") != "None")
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]
    (policy,) = of_kind(of_it, "NetworkPolicy")
    assert [[port["port"] for port in rule["ports"]] for rule in policy["spec"]["ingress"]] == [["metrics"], ["http"]]
    assert {"ledger", "feedback", "rollouts"} <= peers(policy["spec"]["egress"], "to")
    asked = [each for each in of_kind(objects, "NetworkPolicy") if component(each) == "rollouts"]
    assert "console" in peers(asked[0]["spec"]["ingress"], "from")
