"""What a node must leave of this machine as it was: everything goes with one kill."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.images.layers import Image
from tests.cluster.node import inside
from tests.cluster.node.node import Node


def settings() -> dict[str, str]:
    """The machine's own, where the kubelet and kube-proxy would write."""
    names = (*inside.TUNABLES, "net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max")
    found = {name: Path("/proc/sys") / name for name in names}
    return {name: path.read_text() for name, path in found.items() if path.exists()}


def changed(before: Mapping[str, str]) -> dict[str, str]:
    """Of these settings those that are others now; the first node of a machine may bring a module with its own."""
    return {name: value for name, value in settings().items() if name in before and value != before[name]}


def left(folder: Path) -> set[str]:
    """What a node leaves where it is not alone: mounts below its folder or of networks of pods, its bridge, control
    groups under names that everybody's kubelet takes. Other tests may mount and make others meanwhile."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    mounts = {where for where in (line.split()[1] for line in lines) if str(folder) in where or "/cni-" in where}
    interfaces = {path.name for path in Path("/sys/class/net").iterdir() if path.name == "node0"}
    groups = {str(path) for name in ("kubepods", "k8s.io") for path in Path("/sys/fs/cgroup").glob(f"*/{name}")}
    return mounts | interfaces | groups


def in_space(pid: int) -> set[int]:
    """Processes of this machine that share a process's network, but for this one, which visits it."""
    wanted, found = os.readlink(f"/proc/{pid}/ns/net"), set()
    for each in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            if os.readlink(f"/proc/{each}/ns/net") == wanted:
                found.add(each)
        except OSError:
            continue
    return found - {os.getpid()}


@contextmanager
def passing(images: Mapping[str, Image]) -> Iterator[Node]:
    """A node that comes up and goes. Raises AssertionError where it leaves a trace."""
    before = settings()
    with Node(images) as node:
        yield node
        within, groups, folder = in_space(node.init), node.cgroups(), node.folder
    assert not [pid for pid in within if Path(f"/proc/{pid}").exists()]
    assert not any(each.exists() for each in groups)
    assert not folder.exists()
    assert not left(folder)
    assert not changed(before)
