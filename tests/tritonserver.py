"""A real Triton server for tests, of the wheel in `.venvs/triton` (`make .venvs/triton/.ready`): no root, no image.

The wheel's programs may lie there without leave to run, its python backend stands apart from its stubs, and a stub
takes its interpreter from PYTHONHOME and knows no virtual environment: all of that is put right in a folder of the
test's own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rejoinder.cli.supervisor import free_ports

from loadtests.processes import ends_with_us

ENVIRONMENT = Path(__file__).parent.parent / ".venvs" / "triton"
_PREFIX = "rejoinder_test_"
_SITE = ENVIRONMENT / "lib" / "python3.11" / "site-packages"


@dataclass(frozen=True)
class TritonServer:
    """target: of gRPC. repository: its folder of models. log: what it says."""

    target: str
    metrics: str
    repository: Path
    log: Path
    process: subprocess.Popen[bytes]

    def stubs(self) -> list[int]:
        """Process ids of the python backend's models, oldest first."""
        return children(self.process.pid, "triton_python_backend_stub")


def children(parent: int, name: str) -> list[int]:
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        for pid in (task / "children").read_text().split():
            if name in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(int(pid))
    return sorted(found)


@contextmanager
def running(folder: Path) -> Iterator[TritonServer]:
    """A server under explicit control, no model loaded; `folder` is empty or not there. It may not be ready yet."""
    if not (_SITE / "pytriton").is_dir():
        raise FileNotFoundError(f"{_SITE} holds no Triton: make .venvs/triton/.ready")
    repository = folder / "models"
    repository.mkdir(parents=True)
    program = _programs(folder)
    http, grpc, metrics = free_ports(3)
    home = Path(sysconfig.get_config_var("base_prefix") or sysconfig.get_config_var("prefix"))
    command = [
        str(program),
        f"--model-repository={repository}",
        f"--backend-directory={folder / 'backends'}",
        "--model-control-mode=explicit",
        *(f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")),
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
        "--allow-gpu-metrics=false",
        "--exit-timeout-secs=1",
        f"--backend-config=python,shm-region-prefix-name={_PREFIX}{grpc}_",
    ]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{_SITE / 'nvidia_pytriton.libs'}:{_libpython()}",
        "PYTHONHOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "REJOINDER_TRITON_SITE": str(_SITE),
    }
    log = folder / "triton.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=ends_with_us(signal.SIGTERM),
        )
    try:
        yield TritonServer(f"127.0.0.1:{grpc}", f"127.0.0.1:{metrics}", repository, log, process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        finally:
            # A stub outlives a server that does not end in time, and a killed one leaves its shared memory behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for region in Path("/dev/shm").glob(f"{_PREFIX}{grpc}_*"):
                region.unlink(missing_ok=True)


def _programs(folder: Path) -> Path:
    """The server's own program; beside it its one backend with the stub of this Python."""
    theirs = _SITE / "pytriton" / "tritonserver"
    backend = folder / "backends" / "python"
    shutil.copytree(theirs / "backends" / "python", backend)
    for source, target in (
        (theirs / "python_backend_stubs" / "3.11" / "triton_python_backend_stub", backend),
        (theirs / "bin" / "tritonserver", folder),
    ):
        Path(shutil.copy(source, target)).chmod(0o755)
    return folder / "tritonserver"


def _libpython() -> Path:
    """The folder of libpython3.11, which a stub is linked with."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    places = [sysconfig.get_config_var("LIBDIR"), f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/lib"]
    for place in places:
        for file in (name, "libpython3.11.so.1.0"):
            if place and file.endswith(".so.1.0") and (Path(place) / file).is_file():
                return Path(place)
    raise FileNotFoundError("no libpython3.11.so.1.0 on this machine (Debian: sudo apt-get install libpython3.11)")
