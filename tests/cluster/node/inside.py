"""The first process of a cluster's namespaces: sets them up, then collects whoever has lost its parent.

`python inside.py FOLDER` by way of `unshare -n -m -p -f --mount-proc --propagation private`. When it is killed the
kernel ends everything else in there, and with the last process go mounts and network.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

NODE_IP, SERVICES, PODS = "10.99.0.1", "10.96.0.0/16", "10.244.0.0/24"
#: Kernel settings that a kubelet writes and that belong to the whole machine: inside they are plain files.
TUNABLES = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
#: Where daemons write at places of their own choosing: inside, what they write stays in memory.
FOLDERS = ("/var/lib", "/var/log", "/opt", "/usr/libexec")
_NETWORK = (
    "ip link set lo up",
    # The node's address: loopback's is refused.
    "ip link add node0 type bridge",
    f"ip addr add {NODE_IP}/24 dev node0",
    "ip link set node0 up",
    # Without any route the node itself could not reach a service.
    f"ip route add {SERVICES} dev node0",
)


def main(folder: Path) -> None:
    # Names of network namespaces and locks of others lie there.
    _run("mount -t tmpfs tmpfs /run")
    Path("/run/lock").mkdir()
    for place in map(Path, FOLDERS):
        # What is written from outside below an overlay is not seen in it.
        if place.is_dir() and not folder.is_relative_to(place):
            _aside(place)
    for command in _NETWORK:
        _run(command)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for name in TUNABLES:
        real, ours = Path("/proc/sys") / name, folder / "tunables" / name.replace("/", ".")
        ours.parent.mkdir(exist_ok=True)
        ours.write_text(real.read_text())
        _run(f"mount --bind {ours} {real}")
    (folder / "inside").touch()
    while True:
        signal.sigwait({signal.SIGCHLD})
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _aside(place: Path) -> None:
    changes = Path("/run/changes") / str(place).strip("/").replace("/", ".")
    upper, work = changes / "upper", changes / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    _run(f"mount -t overlay overlay -o lowerdir={place},upperdir={upper},workdir={work} {place}")


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


if __name__ == "__main__":
    # Blocked, one that comes between two waits is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    main(Path(sys.argv[1]))
