"""A real API server takes everything that the chart renders, strictly, and every pod under Pod Security *restricted*.

A bad Deployment is accepted with a warning only, so each pod template is asked for as a Pod. Kinds of other people's
CRDs need not be installed here and are named below.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.cluster.apiserver import ControlPlane
from tests.cluster.chart.rendered import NAMES, Object, of_kind, pods, rendered
from tests.cluster.foreign.crds import installed

pytestmark = pytest.mark.system

PATHS = {
    "ClusterRole": "rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ConfigMap": "v1/configmaps",
    "Deployment": "apps/v1/deployments",
    "HorizontalPodAutoscaler": "autoscaling/v2/horizontalpodautoscalers",
    "Job": "batch/v1/jobs",
    "NetworkPolicy": "networking.k8s.io/v1/networkpolicies",
    "PersistentVolumeClaim": "v1/persistentvolumeclaims",
    "Pod": "v1/pods",
    "PodDisruptionBudget": "policy/v1/poddisruptionbudgets",
    "Role": "rbac.authorization.k8s.io/v1/roles",
    "RoleBinding": "rbac.authorization.k8s.io/v1/rolebindings",
    "Service": "v1/services",
    "ServiceAccount": "v1/serviceaccounts",
    "StatefulSet": "apps/v1/statefulsets",
}
#: Rendered and no more: their CRDs come with other people's programs.
RENDERED = {"Certificate", "KafkaUser", "PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor"}
#: Of other people's programs too, with their CRDs.
FOREIGN = {
    "AnalysisTemplate": "argoproj.io/v1alpha1/analysistemplates",
    "MetricTemplate": "flagger.app/v1beta1/metrictemplates",
}
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> ControlPlane:
    body = {"metadata": {"name": "ns", "labels": RESTRICTED}}
    assert plane.call("POST", "/api/v1/namespaces", body).status == 201
    return plane


def where(thing: Object) -> str:
    group, _, plural = (PATHS | FOREIGN)[thing["kind"]].rpartition("/")
    root = "/api" if group == "v1" else "/apis"
    space = "" if thing["kind"].startswith("Cluster") else f"/namespaces/{thing['metadata'].get('namespace', 'ns')}"
    return f"{root}/{group}{space}/{plural}"


def apply(server: Any, thing: Object, dry: bool) -> Any:
    """Server-side, strict: a field that the kind does not have is refused."""
    query = f"?fieldManager=chart&force=true&fieldValidation=Strict{'&dryRun=All' if dry else ''}"
    path = f"{where(thing)}/{thing['metadata']['name']}{query}"
    return server.call("PATCH", path, thing, kind="apply-patch+yaml")


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_taken(server: Any, name: str) -> None:
    for thing in rendered(name):
        if thing["kind"] in RENDERED | FOREIGN.keys():
            continue
        answer = apply(server, thing, dry=True)
        label = f"{thing['kind']}/{thing['metadata']['name']}"
        assert answer.status in (200, 201), f"{label}: {answer.body.get('message')}"


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_is_let_in_under_restricted(server: Any, name: str) -> None:
    for label, template in pods(rendered(name)):
        pod = pod_of(template)
        answer = server.call("POST", "/api/v1/namespaces/ns/pods?dryRun=All&fieldValidation=Strict", pod)
        assert answer.status == 201, f"{label}: {answer.body.get('message')}"


def pod_of(template: Object) -> Object:
    spec = deepcopy(template["spec"])
    # A StatefulSet makes the claim's volume; a Pod must say it.
    known = {volume["name"] for volume in spec["volumes"]}
    mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in sorted(mounted - known)]
    meta = {key: template["metadata"][key] for key in ("labels", "annotations") if key in template["metadata"]}
    # No priority class stands here, and the server looks for it before anything else.
    spec.pop("priorityClassName", None)
    spec.pop("runtimeClassName", None)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, "name": "probe"},
        "spec": {**spec, "volumes": [*spec["volumes"], *claims]},
    }


def test_a_pod_that_may_not_be_is_refused(server: Any) -> None:
    """The control: root, and a field that no Pod has."""
    ((_, template), *_) = pods(rendered("default"))
    root = pod_of(template)
    root["spec"]["securityContext"] = {"runAsUser": 0}
    answer = server.call("POST", "/api/v1/namespaces/ns/pods?dryRun=All", root)
    assert (answer.status, "PodSecurity" in answer.body["message"]) == (403, True)
    odd = pod_of(template)
    odd["spec"]["containers"][0]["readynessProbe"] = {}
    answer = server.call("POST", "/api/v1/namespaces/ns/pods?dryRun=All&fieldValidation=Strict", odd)
    assert (answer.status, "readynessProbe" in answer.body["message"]) == (400, True)


def test_an_upgrade_changes_nothing_that_cannot_be_changed(server: Any) -> None:
    """For real, one over the other; Jobs and the self-test are deleted before they are made anew."""
    changed = ('image.tag="2"', 'commonLabels={"team":"other"}', "policy.replicas=3", "pods.preStopSeconds=4")
    for objects in (rendered("default"), rendered("default", *changed)):
        for thing in objects:
            if thing["kind"] in ("Job", "Pod"):
                continue
            answer = apply(server, thing, dry=False)
            assert answer.status in (200, 201), f"{thing['metadata']['name']}: {answer.body.get('message')}"


def test_templates_of_others_are_taken_where_their_kinds_are(server: Any) -> None:
    """Argo Rollouts' and Flagger's own schemas; the control has a field that they do not."""
    installed(server, "analysistemplates.argoproj.io", "metrictemplates.flagger.app")
    found = of_kind(rendered("gpu"), *FOREIGN)
    assert {thing["kind"] for thing in found} == FOREIGN.keys()
    for thing in found:
        answer = apply(server, thing, dry=True)
        assert answer.status == 201, answer.body.get("message")
        odd = {**thing, "spec": {**thing["spec"], "qwery": "1"}}
        answer = apply(server, odd, dry=True)
        assert (answer.status, "qwery" in answer.body["message"]) == (500, True) or answer.status in (400, 422)


def test_kinds_that_no_server_looks_at_here_are_these() -> None:
    kinds = {thing["kind"] for name in NAMES for thing in rendered(name)}
    assert kinds - set(PATHS) - FOREIGN.keys() <= RENDERED
    assert of_kind(rendered("production"), *RENDERED)
