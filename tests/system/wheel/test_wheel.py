"""The wheel as it is built of this tree: it says that it is typed, and its bare install is enough for the clients."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.proof]

ROOT = Path(__file__).parents[3]
#: What grpcio, grpcio-status and protobuf bring.
BARE = ("grpcio", "grpcio-status", "protobuf", "googleapis-common-protos", "typing-extensions")
SDK = """
import sys
import rejoinder.clients as sdk
from rejoinder.clients.owner import LogOwnerClient
with sdk.FeedbackClient(sdk.Connection("nowhere:1")):
    pass
assert sdk.__file__.startswith(sys.argv[1]), sdk.__file__
"""


def uv() -> str:
    found = shutil.which("uv") or str(ROOT / ".venvs" / "uv" / "bin" / "uv")
    if not Path(found).exists():
        pytest.skip("uv is not here: make setup brings it")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [uv(), "build", "-q", "--wheel", "--python", sys.executable, "--out-dir", str(folder / "out"), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = (folder / "out").glob("*.whl")
    zipfile.ZipFile(file).extractall(folder / "lib")
    return folder / "lib"


def imported(wheel: Path, folder: Path, *packages: str) -> subprocess.CompletedProcess[str]:
    """The clients imported from the wheel, with these distributions beside it and nothing else."""
    site = folder / "site"
    for package in packages:
        for name in importlib.metadata.files(package) or ():
            if ".." not in name.parts and ".dist-info" not in name.parts[0]:
                there = site / name
                there.parent.mkdir(parents=True, exist_ok=True)
                there.symlink_to(Path(str(name.locate())))
    text = f"import sys\nsys.path[:0] = [{str(wheel)!r}, {str(site)!r}]\n{SDK}"
    # No site-packages and no PYTHONPATH: what is not above is not there.
    return subprocess.run([sys.executable, "-I", "-S", "-c", text, str(wheel)], capture_output=True, text=True)


def test_it_is_typed_and_holds_the_stubs(wheel: Path) -> None:
    assert (wheel / "rejoinder" / "py.typed").is_file()
    assert list((wheel / "rejoinder" / "v1").glob("*_pb2.pyi"))
    assert (wheel / "rejoinder_operator").is_dir()


def test_its_bare_install_imports_the_clients(wheel: Path, tmp_path: Path) -> None:
    done = imported(wheel, tmp_path, *BARE)
    assert done.returncode == 0, done.stderr


def test_without_protobuf_it_would_not(wheel: Path, tmp_path: Path) -> None:
    """The control: nothing of this environment is seen."""
    done = imported(wheel, tmp_path, *(name for name in BARE if name != "protobuf"))
    assert "ModuleNotFoundError" in done.stderr
