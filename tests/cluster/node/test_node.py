"""The cluster itself: pods run, everything goes with one kill, and the machine stays as it was."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.images.build import images
from tests.cluster.node import inside
from tests.cluster.node.node import Node, missing

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def settings() -> dict[str, str]:
    """The machine's own, where the kubelet and kube-proxy would write."""
    names = (*inside.TUNABLES, "net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max")
    found = {name: Path("/proc/sys") / name for name in names}
    return {name: path.read_text() for name, path in found.items() if path.exists()}


def left(folder: Path) -> set[str]:
    """What a node leaves where it is not alone: mounts below its folder or of networks of pods, its bridge, control
    groups under names that everybody's kubelet takes. Other tests may mount and make others meanwhile."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    mounts = {where for where in (line.split()[1] for line in lines) if str(folder) in where or "/cni-" in where}
    interfaces = {path.name for path in Path("/sys/class/net").iterdir() if path.name == "node0"}
    groups = {str(path) for name in ("kubepods", "k8s.io") for path in Path("/sys/fs/cgroup").glob(f"*/{name}")}
    return mounts | interfaces | groups


def processes() -> set[int]:
    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}


def in_space(pid: int) -> set[int]:
    """Processes of this machine that share a process's network."""
    wanted, found = os.readlink(f"/proc/{pid}/ns/net"), set()
    for each in processes():
        try:
            if os.readlink(f"/proc/{each}/ns/net") == wanted:
                found.add(each)
        except OSError:
            continue
    return found


def test_a_cluster_comes_up_and_goes_without_a_trace() -> None:
    if missing():
        pytest.skip(f"no node: {missing()}")
    before = settings()
    with Node(images("embedded")) as node:
        within = in_space(node.init)
        groups = node.cgroups()
        assert len(within) > 8
        assert all(each.is_dir() for each in groups)
        # The control: what it writes into is not what the machine has.
        assert (node.folder / "tunables" / "kernel.panic").read_text() != before["kernel/panic"]
        assert settings() == before
        # What daemons write down of pods at fixed places, such as /var/lib/cni.
        for place in inside.FOLDERS:
            probe = Path(place) / node.folder.name
            subprocess.run([*node.command("-m"), "mkdir", str(probe)], check=True)
            assert not probe.exists()
        folder, init = node.folder, node.init
        os.kill(init, signal.SIGKILL)
    assert not [pid for pid in within if Path(f"/proc/{pid}").exists() and pid != os.getpid()]
    assert not any(each.exists() for each in groups)
    assert not folder.exists()
    assert not left(folder)
    assert settings() == before
