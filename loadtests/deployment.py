"""Where the services under load are: given, in a running `rejoinder up`, or in one that is started for the run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rejoinder.cli.supervisor import addresses
from rejoinder.cli.up import OBSERVE

from loadtests.processes import ROOT, ends_with_us, environment

_START_S = 180.0
_END_S = 60.0


class Missing(RuntimeError):
    """A service that the scenario needs has no address."""


def running(given: Mapping[str, str], data: Path | None, needs: Sequence[str]) -> dict[str, str]:
    """Service → target, those given first. Raises Missing."""
    found = {**(addresses(data) if data is not None else {}), **given}
    lacking = [name for name in needs if name not in found]
    if lacking:
        raise Missing(f"no address of {', '.join(lacking)}: give it, or the data folder of a running `rejoinder up`")
    return {name: found[name] for name in needs}


@contextmanager
def started(folder: Path, needs: Sequence[str]) -> Iterator[dict[str, str]]:
    """`rejoinder up` on free ports over a data folder of its own, ended after use. Raises RuntimeError."""
    log = folder / "up.log"
    less = ["--observe"] if set(needs) <= set(OBSERVE) else []
    command = [sys.executable, "-m", "rejoinder.cli.main", "up", "--data", str(folder / "data"), "--free-ports", *less]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # Asked, not killed: it has processes of its own to end.
            preexec_fn=ends_with_us(signal.SIGTERM),
        )
    try:
        deadline = time.monotonic() + _START_S
        while not set(needs) <= set(addresses(folder / "data")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"up did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.05)
        yield running({}, folder / "data", needs)
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
