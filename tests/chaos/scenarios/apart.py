"""What only root may do, so that nothing outlives this process however it ends: a view of mounts of its own, small
volumes in it, and network namespaces."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.scenarios.row import Skipped

_CLONE_NEWNS = 0x00020000


def own_mounts() -> None:
    """From here on what this process mounts is seen by it and its children alone, and ends with them. Before any
    thread; without the right to, nothing happens and `small_volume` says so."""
    if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def small_volume(at: Path, size_mb: int) -> Iterator[SmallVolume]:
    """A volume of memory of so many megabytes. Raises Skipped where this process may mount none."""
    at.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(at)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        raise Skipped(f"a small volume needs the right to mount one (root): {mounted.stderr.strip()[:120]}")
    try:
        yield SmallVolume(at)
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=False)


class SmallVolume:
    """owns: the ballast that fills it."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self._ballast = at / "ballast"

    def fill(self) -> None:
        """Takes every free byte."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.at)
        return found.f_bavail * found.f_frsize

    def clear(self) -> None:
        self._ballast.unlink()


class Namespace:
    """A network namespace that one cable ties to ours. owns: both; they end with the last process inside.

    here, there: the addresses of the cable's ends.
    """

    here, there = "10.213.77.1", "10.213.77.2"

    def __init__(self) -> None:
        self.name = f"rejoinder{os.getpid()}"
        self._cable = f"rj{os.getpid() % 100_000}"
        self.within = ("ip", "netns", "exec", self.name)

    def __enter__(self) -> Namespace:
        if shutil.which("ip") is None:
            raise Skipped("a network namespace needs `ip` (Debian's iproute2)")
        made = subprocess.run(["ip", "netns", "add", self.name], capture_output=True, text=True, check=False)
        if made.returncode:
            raise Skipped(f"a network namespace needs root: {made.stderr.strip()[:120]}")
        try:
            _ip("link", "add", self._cable, "type", "veth", "peer", "name", "inner", "netns", self.name)
            _ip("addr", "add", f"{self.here}/30", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
            _ip("-n", self.name, "addr", "add", f"{self.there}/30", "dev", "inner")
            _ip("-n", self.name, "link", "set", "lo", "up")
            self.mend()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        subprocess.run(["ip", "link", "del", self._cable], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)

    def cut(self) -> None:
        """Nothing passes: packets are lost without a word to whoever sent them."""
        _ip("-n", self.name, "link", "set", "inner", "down")

    def mend(self) -> None:
        _ip("-n", self.name, "link", "set", "inner", "up")

    @property
    def cut_off(self) -> bool:
        return Path(f"/sys/class/net/{self._cable}/carrier").read_text().strip() == "0"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
