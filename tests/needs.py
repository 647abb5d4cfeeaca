"""What the tests take from the machine and cannot install without root: one line that does it, and exit status 1.

Apache Kafka's jars and Kubernetes' modules come by themselves; Java, Go, etcd and a PostgreSQL server do not.
`--packages` prints Debian's names alone, for scripts, and for root those of a node that runs pods too: without them its
tests say why they were not run.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

#: What a node that runs pods is made of: Debian package → a program of it.
NODE = {
    "etcd-server": "etcd",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
}


def missing() -> list[str]:
    """Debian packages."""
    wanted = {"default-jre-headless": "java", "maven": "mvn"}
    packages = [package for package, program in wanted.items() if shutil.which(program) is None]
    if shutil.which("postgres") is None and not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        packages.append("postgresql")
    if shutil.which("etcd") is None:
        packages.append("etcd-server")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        packages.append("chromium")
    # Its own archive is not on the PATH of every shell; what is too old is told where it is needed.
    if shutil.which("go") is None and not Path("/usr/local/go/bin/go").exists():
        packages.append("golang")
    return packages


def missing_of_a_node() -> list[str]:
    """Debian packages."""
    packages = [package for package, program in NODE.items() if shutil.which(program) is None]
    return packages if Path("/usr/lib/cni/ptp").exists() else [*packages, "containernetworking-plugins"]


if __name__ == "__main__":
    names = missing()
    if "--packages" in sys.argv and os.geteuid() == 0:
        names += [name for name in missing_of_a_node() if name not in names]
    if names:
        print(" ".join(names) if "--packages" in sys.argv else f"missing: sudo apt-get install -y {' '.join(names)}")
        sys.exit(1)
