"""What the daemons of a node are told. Every sentence here is a trap that somebody fell into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.images.build import PAUSE
from tests.cluster.node.inside import NODE_IP, PODS

NODE = "node1"
API = f"https://{NODE_IP}:6443"
#: user → groups of everybody who speaks with the API server; each has the token `NAME-token`.
USERS = {
    "admin": ("system:masters",),
    "system:kube-controller-manager": (),
    "system:kube-scheduler": (),
    "system:kube-proxy": (),
    f"system:node:{NODE}": ("system:nodes",),
}


def tokens() -> str:
    """The API server's file of tokens."""
    return "".join(f'{name}-token,{name},{name},"{",".join(groups)}"\n' for name, groups in USERS.items())


def kubeconfig(user: str, ca: Path) -> str:
    said = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": API, "certificate-authority": str(ca)}}],
        "users": [{"name": "u", "user": {"token": f"{user}-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    return json.dumps(said)


def containerd(folder: Path) -> str:
    return f"""version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Whoever lacks CAP_SYS_RESOURCE can write no negative one.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


def network(folder: Path) -> str:
    """A cable from each pod to the node, which routes: what a pod sends to a service comes back the same way."""
    ipam = {
        "type": "host-local",
        "dataDir": str(folder / "addresses"),
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    said = {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}]}
    return json.dumps(said)


def kubelet(folder: Path, cgroup: str) -> str:
    said: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        # Nobody but the cluster is in its network.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "resolvConf": str(folder / "resolv.conf"),
        "clusterDNS": [NODE_IP],
        "clusterDomain": "cluster.local",
        "podLogsDir": str(folder / "logs" / "pods"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "oomScoreAdj": 0,
        "maxPods": 60,
    }
    return json.dumps(said)


def names(kubeconfig: Path) -> str:
    """CoreDNS's file: names of services and pods, and nothing beyond the cluster."""
    return f""".:53 {{
  errors
  kubernetes cluster.local {{
    kubeconfig {kubeconfig}
    ttl 5
  }}
}}
"""
