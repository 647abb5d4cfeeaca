"""The root file system under our images: Debian's Python 3.11 in the place of `python:3.11-slim-bookworm`.

Made by mmdebstrap from the package sources that this machine is set up with. No coreutils: nothing needs them.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

PATH = "/usr/local/bin:/usr/bin:/bin"
SUITE = "bookworm"
#: libstdc++ and libgcc for grpcio, numpy and the model runtimes; a shell and pip for what RUN does.
PACKAGES = ("python3-minimal", "libpython3-stdlib", "python3-pip", "libstdc++6", "dash", "netbase", "tzdata")
#: Where RUN is lent this machine's own.
_EMPTY = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf")
_FOLDERS = ("proc", "sys", "dev", "tmp", "run", "etc/ssl")
PATIENCE_S = 600.0


def made(folder: Path) -> Path:
    """The root's folder, named after what it is made from; made first if it is not there."""
    key = hashlib.sha256(repr(("base/1", SUITE, PACKAGES, _EMPTY, _FOLDERS)).encode()).hexdigest()
    root = folder / key
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            part = folder / f".{key}.part"
            shutil.rmtree(part, ignore_errors=True)
            _bootstrap(part)
            part.rename(root)
    return root


def _bootstrap(part: Path) -> None:
    sources = [
        path
        for path in map(Path, ("/etc/apt/sources.list", *sorted(Path("/etc/apt/sources.list.d").glob("*"))))
        if path.exists()
    ]
    said = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}", SUITE, str(part)]
    done = subprocess.run([*said, *map(str, sources)], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode:
        raise RuntimeError(f"mmdebstrap: {done.stderr[-2000:]}")
    for name in _FOLDERS:
        (part / name).mkdir(parents=True, exist_ok=True)
    (part / "tmp").chmod(0o1777)
    for name in _EMPTY:
        (part / name).touch()
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(part / name, ignore_errors=True)
