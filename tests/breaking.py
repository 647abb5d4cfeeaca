"""No proto breaks who is deployed already: `buf breaking` of the working tree against main's own protos.

Against the commit where this branch left main; on main itself, against the one before. Without git or history there is
nothing to compare with, and one line says so. `python tests/breaking.py`: status 1 where a change would break.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Beside the interpreter that runs this.
BUF = Path(sys.executable).with_name("buf")
MAINS = ("main", "origin/main")


def git(root: Path, *arguments: str) -> bytes | None:
    """What git answers in a checkout; None where it refuses, or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def before(root: Path) -> str:
    """The commit to compare with, "" where there is none."""
    head = git(root, "rev-parse", "HEAD")
    bases = [found for name in MAINS if (found := git(root, "merge-base", "HEAD", name))]
    base = bases[0] if bases else head
    if base == head:
        base = git(root, "rev-parse", "--verify", "HEAD~1") or head
    return base.decode().strip() if base else ""


def breaks(root: Path, commit: str) -> tuple[int, str]:
    """Exit status of `buf breaking` against the protos of a commit, and what it says."""
    packed = git(root, "archive", commit, "protos", "buf.yaml")
    if packed is None:
        return 0, f"not compared with {commit[:7]}: it has no protos"
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        done = subprocess.run(
            [str(BUF), "breaking", "--against", folder], cwd=root, capture_output=True, text=True, check=False
        )
    return done.returncode, (done.stdout + done.stderr).strip()


def main(root: Path = ROOT) -> int:
    commit = before(root)
    if not commit:
        print("protos: not compared with main: no git history here")
        return 0
    status, said = breaks(root, commit)
    if said:
        print(f"protos, against {commit[:7]}:\n{said}")
    return status


if __name__ == "__main__":
    sys.exit(main())
