"""Other people's CRDs, from the Go modules that they come in, read and never compiled.

`python -m tests.cluster.foreign.crds` fetches them once.
go.mod and go.sum beside this file pin them; the files lie under `~/.cache/rejoinder/foreign/<digest of these>/`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster.gobuild import CannotBuild, alone, cache, go

HERE = Path(__file__).parent

#: Name of a CRD → its module and its file there.
FILES = {
    "analysistemplates.argoproj.io": ("github.com/argoproj/argo-rollouts", "manifests/crds/analysis-template-crd.yaml"),
    "metrictemplates.flagger.app": ("github.com/fluxcd/flagger", "artifacts/flagger/crd.yaml"),
    "trainjobs.trainer.kubeflow.org": (
        "github.com/kubeflow/trainer/v2",
        "manifests/base/crds/trainer.kubeflow.org_trainjobs.yaml",
    ),
    "jobsets.jobset.x-k8s.io": ("sigs.k8s.io/jobset", "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml"),
    "httproutes.gateway.networking.k8s.io": (
        "sigs.k8s.io/gateway-api",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ),
    "grpcroutes.gateway.networking.k8s.io": (
        "sigs.k8s.io/gateway-api",
        "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml",
    ),
    "inferencepools.inference.networking.k8s.io": (
        "sigs.k8s.io/gateway-api-inference-extension",
        "config/crd/bases/inference.networking.k8s.io_inferencepools.yaml",
    ),
}


def folder() -> Path:
    pinned = b"".join((HERE / name).read_bytes() for name in ("go.mod", "go.sum"))
    return cache() / "foreign" / hashlib.sha256(pinned + repr(FILES).encode()).hexdigest()[:16]


def missing() -> str:
    """What a test says that cannot run, "" where all is."""
    return "" if folder().exists() else "python -m tests.cluster.foreign.crds"


def made() -> Path:
    """The folder with `<name>.yaml` of each; fetched first where it is not there. Raises CannotBuild."""
    place = folder()
    with alone(place):
        if not place.exists():
            part = place.with_name(f".part-{place.name}")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for name, (module, file) in FILES.items():
                shutil.copyfile(_fetched(module) / file, part / f"{name}.yaml")
            part.rename(place)
    return place


def installed(server: Any, *names: str) -> None:
    """These kinds on a control plane, until it serves them; a test skips where they were never fetched."""
    import pytest
    import yaml

    if missing():
        pytest.skip(missing())
    for name in names:
        parts = yaml.load_all((folder() / f"{name}.yaml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        crd = next(each for each in parts if each and each["metadata"]["name"] == name)
        where = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=test&force=true"
        answer = server.call("PATCH", where, crd, kind="apply-patch+yaml")
        assert answer.status in (200, 201), answer.body
    for name in names:
        plural, _, group = name.partition(".")
        version = next(v["name"] for v in _versions(server, name))
        server.wait_for_kind(f"/apis/{group}/{version}/{plural}")
        server.wait_for_discovery(f"/apis/{group}/{version}", plural)


def _versions(server: Any, name: str) -> list[dict[str, Any]]:
    found = server.call("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}").body
    return [each for each in found["spec"]["versions"] if each["served"]]


def _fetched(module: str) -> Path:
    """Where a module lies whose digest is that of go.sum: Go itself refuses another one."""
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    command = [go(), "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}")
    line = f"{module} {found.get('Version')} {found.get('Sum')}"
    if done.returncode or line not in (HERE / "go.sum").read_text().splitlines():
        raise CannotBuild(f"{module} could not be fetched: {found.get('Error') or done.stderr.strip()[-300:] or line}")
    return Path(found["Dir"])


if __name__ == "__main__":
    try:
        print(made())
    except CannotBuild as error:
        sys.exit(f"foreign: {error}")
