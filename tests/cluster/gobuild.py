"""Programs compiled from pinned Go modules, once, and kept in the user's cache folder. Needs Go, no root."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: The least Go that compiles what is pinned: Kubernetes' go.mod says so.
GO = (1, 24)
#: Seconds for one program: twice what the dearest took on a machine that was busy with other things.
PATIENCE_S = 3600.0


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rejoinder"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While the block lasts nobody else makes this folder of the cache; the one it lies in is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove(folder: Path) -> None:
    """A folder of the cache: whoever is killed meanwhile leaves none that looks whole."""
    gone = folder.with_name(f".part-gone-{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone)


class CannotBuild(Exception):
    """Says in one line what a person must do."""


def go() -> str:
    """Go's program: on the PATH, or where its own archive and Debian put it. Raises CannotBuild."""
    places = (shutil.which("go"), "/usr/local/go/bin/go", *sorted(map(str, Path("/usr/lib").glob("go-*/bin/go")))[::-1])
    found = [place for place in places if place and os.access(place, os.X_OK)]
    for place in found:
        said = subprocess.run([place, "env", "GOVERSION"], cwd="/", capture_output=True, text=True, check=False).stdout
        version = re.match(r"go(\d+)\.(\d+)", said)
        if version and (int(version[1]), int(version[2])) >= GO:
            return place
    wanted = ".".join(map(str, GO))
    raise CannotBuild(f"the cluster's tests need Go {wanted} or later; {'an older one' if found else 'none'} is here")


def compiled(path: Path, module: Path, arguments: Sequence[str]) -> Path:
    """The program at `path`; built first if it is not there, by one of those who ask at a time. module: the folder of
    its go.mod. arguments: of `go build`, its package last. Raises CannotBuild; Go's own output is shown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            # Built beside its place and moved in whole: a build that was killed leaves no half program.
            part = path.parent / f".{path.name}.part"
            command = [go(), "build", "-trimpath", "-o", str(part), *arguments]
            print(f"building {path.name}, once", flush=True)
            began = time.monotonic()
            _run(command, module, path.name)
            part.rename(path)
            print(f"built {path.name} in {time.monotonic() - began:.0f} s", flush=True)
    return path


def _run(command: list[str], module: Path, program: str) -> None:
    """In a process group of its own, so that the compilers end with it."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    with subprocess.Popen(command, cwd=module, env=environment, start_new_session=True) as process:
        try:
            status = process.wait(PATIENCE_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CannotBuild(f"{program} was not built in {PATIENCE_S:.0f} s") from None
            raise
    if status:
        raise CannotBuild(f"{program} could not be built; Go's own words stand above")
