"""Containerd's store with images unpacked, made once for a set of images and kept in the user's cache folder.

Unpacking is what costs a start most. A node gets a folder of its own that shares what never changes: blobs by hard
links, snapshots by links to their folders, and a copy of the two small databases. What it adds or deletes is its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from loadtests.processes import ends_with_us
from tests.cluster import gobuild
from tests.cluster.images import archive
from tests.cluster.images.layers import Image

_BLOBS = "io.containerd.content.v1.content/blobs/sha256"
_SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/snapshots"
_DATABASES = ("io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db")
#: Sets of images that are kept, those in use beside: our sources are a layer, so each change of them is another set.
_KEPT = 2
#: Bytes from which a blob is no description of an image but a layer's archive.
_ARCHIVE = 1 << 20
#: Seconds until gigabytes are unpacked, on a loaded machine.
PATIENCE_S = 900.0


@contextmanager
def taken(images: Mapping[str, Image]) -> Iterator[Path]:
    """The store's folder, which stays while the block lasts."""
    while True:
        folder = prepared(images)
        with held(folder):
            # Between the two others may have asked for sets of theirs.
            if folder.exists():
                yield folder
                return


def prepared(images: Mapping[str, Image]) -> Path:
    """The store's folder; made first if it is not there."""
    said = {name: [list(map(str, image.layers)), archive.config(image, [])] for name, image in sorted(images.items())}
    folder = gobuild.cache() / "node" / hashlib.sha256(json.dumps(["store/2", said]).encode()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.parent / ".part"
            shutil.rmtree(part, ignore_errors=True)
            _fill(part, images)
            part.rename(folder)
        os.utime(folder)
        there = [each for each in folder.parent.iterdir() if each.is_dir()]
        whole = [each for each in there if not each.name.startswith(".")]
        for each in set(there) - set(whole):
            # Of someone who was killed: whoever makes or takes away one holds the lock.
            shutil.rmtree(each)
        for each in sorted(whole, key=lambda each: each.stat().st_mtime)[:-_KEPT]:
            with suppress(BlockingIOError), held(each, fcntl.LOCK_EX | fcntl.LOCK_NB):
                gobuild.remove(each)
    return folder


@contextmanager
def held(store: Path, how: int = fcntl.LOCK_SH) -> Iterator[None]:
    """While the block lasts nobody takes the store away. Raises BlockingIOError where that is asked for."""
    with (store.parent / f".{store.name}.lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield


def share(store: Path, into: Path) -> None:
    """Makes a root for another containerd."""
    for name in _DATABASES:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store / name, into / name)
    for name, link in ((_BLOBS, os.link), (_SNAPSHOTS, os.symlink)):
        (into / name).mkdir(parents=True)
        for each in (store / name).iterdir():
            link(each, into / name / each.name)


def load(socket: Path, images: Mapping[str, Image]) -> None:
    """Images into a running containerd, by reference."""
    command = ["ctr", "-a", str(socket), "-n", "k8s.io", "images", "import", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as loading:
        assert loading.stdin is not None
        archive.write(images, loading.stdin)
        said, _ = loading.communicate(timeout=PATIENCE_S)
    assert loading.returncode == 0, said.decode(errors="replace")[-2000:]


def _fill(root: Path, images: Mapping[str, Image]) -> None:
    """By a containerd of its own, in mounts of its own."""
    with tempfile.TemporaryDirectory(prefix="rejoinder-store-") as folder:
        socket, file = Path(folder) / "socket", Path(folder) / "containerd.toml"
        file.write_text(
            f'version = 2\nroot = "{root}"\nstate = "{folder}/state"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{socket}"\n'
        )
        command = ["unshare", "-m", "-n", "-p", "-f", "--kill-child", "--propagation", "private"]
        with (Path(folder) / "log").open("wb") as log:
            containerd = [*command, "containerd", "-c", str(file)]
            running = subprocess.Popen(containerd, stdout=log, stderr=log, preexec_fn=ends_with_us(signal.SIGKILL))
        try:
            _until_answers(socket, running, Path(folder) / "log")
            load(socket, images)
            _forget_archives(root / _BLOBS)
        finally:
            # The first process of a namespace does as it is told only by a handler; containerd has one.
            if running.poll() is None:
                children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
                for child in children:
                    os.kill(int(child), signal.SIGTERM)
                running.wait(60.0)


def _forget_archives(blobs: Path) -> None:
    """Once unpacked they are asked for by name and size alone: a hole of the same size takes no disk."""
    for each in blobs.iterdir():
        size = each.stat().st_size
        if size >= _ARCHIVE:
            each.chmod(0o644)
            os.truncate(each, 0)
            os.truncate(each, size)


def _until_answers(socket: Path, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60.0
    while subprocess.run(["ctr", "-a", str(socket), "version"], capture_output=True, check=False).returncode:
        if running.poll() is not None or time.monotonic() > end:
            raise AssertionError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.05)
