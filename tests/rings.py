"""Runs every ring of tests and prints one table: ring · ran · passed · not run, because.

A ring is a set of paths with a budget in seconds. A test that skips is "not run" and is named with its reason; under
CI=true nothing may be left out. The last line is `N passed, N failed, N skipped`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Folders that are no room's mirror.
OTHER_RINGS = ("contracts", "system", "hostile", "chaos", "cluster")


@dataclass(frozen=True)
class Ring:
    """budget_s bounds the ring's wall time in the short form on two cores. workers: processes that share its files out;
    only what watches no clock and starts no servers has more than one."""

    name: str
    paths: tuple[str, ...]
    budget_s: int
    workers: int = 1


def rings() -> tuple[Ring, ...]:
    rooms = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and path.name not in (*OTHER_RINGS, "data") and not path.name.startswith((".", "_"))
    )
    return (
        Ring("unit", tuple(rooms), 275, workers=2),
        Ring("contract", ("tests/contracts",), 75),
        Ring("system", ("tests/system", "tests/hostile"), 425),
        Ring("chaos", ("tests/chaos",), 250),
        Ring("cluster", ("tests/cluster",), 105),
    )


@dataclass(frozen=True)
class Result:
    """cpu_s: user and system time of pytest and of what it waited for: what two cores could do in half of it."""

    ring: Ring
    ran: int
    passed: int
    failed: int
    seconds: float
    cpu_s: float
    not_run: tuple[str, ...]


def run(ring: Ring, proof: bool) -> Result:
    report = ROOT / "build" / f"ring-{ring.name}.xml"
    report.unlink(missing_ok=True)
    marks = "" if proof else "not proof"
    command = [sys.executable, "-m", "pytest", *ring.paths, f"--junitxml={report}", "-m", marks, "--durations=8"]
    environment = dict(os.environ)
    if ring.workers > 1:
        # Each worker has a core; a second thread of its matrix products would wait for it by burning another's.
        environment["OPENBLAS_NUM_THREADS"] = "1"
        command += [f"--numprocesses={ring.workers}", "--dist=loadfile"]
    started, used = time.monotonic(), cpu_s()
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    seconds, cpu = time.monotonic() - started, cpu_s() - used
    if not report.exists():
        return Result(ring, 0, 0, 1, seconds, cpu, (f"pytest ended with {code} and no report",))
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = tuple(
        f"{case.get('classname')}.{case.get('name')}: {mark.get('message')}"
        for case in cases
        if (mark := case.find("skipped")) is not None
    )
    # Ended by something else than its tests (a file that cannot be collected, an interrupt): never a pass.
    failed = max(failed, int(code not in (0, 1)))
    return Result(ring, len(cases) - len(skipped), len(cases) - len(skipped) - failed, failed, seconds, cpu, skipped)


def cpu_s() -> float:
    """Of all that this process has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proof", action="store_true", help="the long forms too")
    parser.add_argument("--ring", action="append", help="only this ring (may be repeated)")
    arguments = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    results = [run(ring, arguments.proof) for ring in rings() if not arguments.ring or ring.name in arguments.ring]
    head = f"{'ring':10} {'ran':>5} {'passed':>7} {'failed':>7} {'seconds':>8} {'budget':>7}  {'cpu':>6}"
    print(f"\n{head}  not run, because")
    late = False
    for result in results:
        over = not arguments.proof and result.seconds > result.ring.budget_s
        late = late or over
        print(
            f"{result.ring.name:10} {result.ran:5} {result.passed:7} {result.failed:7} {result.seconds:8.0f} "
            f"{result.ring.budget_s:7}{'!' if over else ' '} {result.cpu_s:6.0f}  {len(result.not_run) or ''}"
        )
        for reason in result.not_run:
            print(f"{'':10} {reason}")
    failed = sum(result.failed for result in results)
    skipped = sum(len(result.not_run) for result in results)
    print(f"\n{sum(result.passed for result in results)} passed, {failed} failed, {skipped} skipped")
    if late:
        print("a ring took longer than its budget (!)")
    incomplete = os.environ.get("CI") == "true" and skipped > 0
    return 1 if failed or incomplete or any(result.ran == 0 for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
