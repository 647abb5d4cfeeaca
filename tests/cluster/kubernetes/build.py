"""Kubernetes' programs, built once from the Go module proxy and kept in the user's cache folder.

`python -m tests.cluster.kubernetes.build [PROGRAM …]` builds what is missing and prints the folder. The folder is named
after go.mod and go.sum, so another version is another folder. The API server is some 600 CPU-seconds, each further
program 50–130; several callers wait for one build, and each build says how long it took. Needs Go, no root. Exit status
1 with one line where there is none, or it takes longer than `PATIENCE_S`.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tests.cluster.gobuild import CannotBuild, cache, compiled

HERE = Path(__file__).parent
VERSION = "1.34.4"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")


def folder() -> Path:
    """Where the programs of this go.mod and go.sum lie, built or not."""
    pinned = hashlib.sha256((HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()).hexdigest()[:16]
    return cache() / "kubernetes" / pinned


def flags() -> str:
    """Linker flags; without the version the server calls itself v0.0.0."""
    major, minor, _ = VERSION.split(".")
    facts = {
        "gitVersion": f"v{VERSION}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in facts.items())]
    )


def build(program: str) -> Path:
    """The program's path; built first if it is not there. Raises CannotBuild."""
    return compiled(folder() / program, HERE, ["-ldflags", flags(), f"k8s.io/kubernetes/cmd/{program}"])


if __name__ == "__main__":
    try:
        for name in sys.argv[1:] or PROGRAMS:
            build(name)
    except CannotBuild as error:
        sys.exit(f"kubernetes: {error}")
    print(folder())
