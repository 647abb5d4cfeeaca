"""The cluster itself, beside the machine's own. That it goes without a trace, with one kill, the fixture looks at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cluster.node import inside
from tests.cluster.node.node import Node
from tests.cluster.node.traces import changed, in_space, settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def test_a_cluster_is_up_and_the_machine_as_it_was(before_node: dict[str, str], node: Node) -> None:
    assert len(in_space(node.init)) > 8
    assert all(each.is_dir() for each in node.cgroups())
    assert not changed(before_node)
    # The control: what it writes into is not what the machine has.
    assert (node.folder / "tunables" / "kernel.panic").read_text() != settings()["kernel/panic"]
    # What daemons write down of pods at fixed places, such as /var/lib/cni.
    for place in inside.FOLDERS:
        probe = Path(place) / node.folder.name
        subprocess.run([*node.command("-m"), "mkdir", str(probe)], check=True)
        assert not probe.exists()
