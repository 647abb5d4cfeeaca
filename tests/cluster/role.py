"""What the operator may do in a namespace, and no more: no Secrets, no Pods, no wildcard."""

from __future__ import annotations

from typing import Any

READ = ["get", "list", "watch"]
RULES: list[dict[str, Any]] = [
    {"apiGroups": ["rejoinder.dev"], "resources": ["preferenceloops"], "verbs": READ},
    {
        "apiGroups": ["rejoinder.dev"],
        "resources": ["policyrounds", "policyrollouts"],
        "verbs": [*READ, "create", "delete"],
    },
    {
        "apiGroups": ["rejoinder.dev"],
        "resources": ["preferenceloops/status", "policyrounds/status", "policyrollouts/status"],
        "verbs": ["patch"],
    },
    # blockOwnerDeletion asks for the right to set the owner's finalizers (OwnerReferencesPermissionEnforcement).
    {
        "apiGroups": ["rejoinder.dev"],
        "resources": ["preferenceloops/finalizers", "policyrounds/finalizers"],
        "verbs": ["update"],
    },
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": [*READ, "create", "delete"]},
    # Where the chart's integrations.gatewayAPI is on; an apply is a patch that may create.
    {
        "apiGroups": ["gateway.networking.k8s.io"],
        "resources": ["httproutes", "grpcroutes"],
        "verbs": ["create", "patch"],
    },
    # Where rounds.backends names them.
    {"apiGroups": ["jobset.x-k8s.io"], "resources": ["jobsets"], "verbs": [*READ, "create", "delete"]},
    {"apiGroups": ["trainer.kubeflow.org"], "resources": ["trainjobs"], "verbs": [*READ, "create", "delete"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]


def role(namespace: str, user: str) -> list[tuple[str, dict[str, Any]]]:
    """(collection, manifest) of Role and RoleBinding."""
    api = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    return [
        (f"{api}/roles", {"metadata": {"name": "operator"}, "rules": RULES}),
        (f"{api}/rolebindings", {"metadata": {"name": "operator"}, "subjects": [subject], "roleRef": reference}),
    ]
