"""Programs that the cluster's tests run, built from the Go module proxy once and kept in the user's cache folder.

A folder beside this file is a Go module whose go.mod and go.sum pin what is built; the result lies under
`~/.cache/rejoinder/tools/<digest of these, of sources beside them and of the flags>/`. Run as a program it builds what
every ring needs, or the programs that are named, and says where.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.gobuild import CannotBuild, cache, compiled, go

HERE = Path(__file__).parent

_HELM = "helm.sh/helm/v3"
#: What Helm takes the cluster for where it has none to ask; without it, for 1.20.
_KUBERNETES = ("1", "34")


@dataclass(frozen=True)
class Program:
    """module: folder of its go.mod. package: its command. flags: of `go build`, beside those of all. proof: only the
    long forms need it."""

    module: str
    package: str
    flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    # When it is built is no part of what is built.
    proof: bool = field(default=False, repr=False)


PROGRAMS = {
    "helm": Program(
        "helm",
        f"{_HELM}/cmd/helm",
        link=(
            f"-X {_HELM}/internal/version.version=v3.22.0",
            f"-X {_HELM}/pkg/chartutil.k8sVersionMajor={_KUBERNETES[0]}",
            f"-X {_HELM}/pkg/chartutil.k8sVersionMinor={_KUBERNETES[1]}",
            f"-X {_HELM}/pkg/lint/rules.k8sVersionMajor={_KUBERNETES[0]}",
            f"-X {_HELM}/pkg/lint/rules.k8sVersionMinor={_KUBERNETES[1]}",
        ),
    ),
    "helm-unittest": Program("helm", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"),
    "promtool": Program("promtool", "github.com/prometheus/prometheus/cmd/promtool", ("-tags", "remove_all_sd")),
    # The same tags: it compiles some fifty packages more than promtool, whose cache it takes.
    "prometheus": Program(
        "promtool", "github.com/prometheus/prometheus/cmd/prometheus", ("-tags", "remove_all_sd"), proof=True
    ),
    # Beside a node: its names, and the process that holds a pod.
    "coredns": Program("coredns", "."),
    "pause": Program("pause", "."),
}


def path_of(name: str) -> Path:
    """Where a program lies, built or not."""
    program = PROGRAMS[name]
    module = HERE / program.module
    made_from = [file.read_bytes() for file in (module / "go.mod", module / "go.sum", *sorted(module.glob("*.go")))]
    said = b"\0".join([*made_from, repr(program).encode()])
    return cache() / "tools" / hashlib.sha256(said).hexdigest()[:16] / name


def missing() -> str:
    """What a test says that cannot run; "" when everything stands or can be built."""
    if all(path_of(name).exists() for name, program in PROGRAMS.items() if not program.proof):
        return ""
    try:
        go()
    except CannotBuild as error:
        return str(error)
    return ""


def built(name: str) -> Path:
    """The program; built first where it is not there. Raises CannotBuild."""
    program = PROGRAMS[name]
    link = " ".join(("-s", "-w", *program.link))
    arguments = ["-mod=readonly", *program.flags, "-ldflags", link, program.package]
    return compiled(path_of(name), HERE / program.module, arguments)


if __name__ == "__main__":
    try:
        for name in sys.argv[1:] or [name for name, program in PROGRAMS.items() if not program.proof]:
            print(built(name), flush=True)
    except CannotBuild as error:
        sys.exit(f"tools: {error}")
