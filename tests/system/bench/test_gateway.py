"""loadtests/gateway in its short form: every side answers rightly, and rows say what was demanded."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtests.gateway import sides
from loadtests.gateway.__main__ import CALLERS, Bench, Capacity, Turn, at, capacity, rows_of, settle
from loadtests.openloop.tally import Tally
from loadtests.peers import closed_loop
from loadtests.processes import Measured
from loadtests.work.chat import Complete, Params
from loadtests.work.reach import Reach

pytestmark = pytest.mark.system


async def answered(side: sides.Side, stream: bool) -> int:
    work = Complete(Params(stream=stream), Reach({"gateway": side.target}), 1)
    try:
        (tally,) = (await closed_loop(work, range(8), 2)).tallies.values()
    finally:
        await work.close()
    assert not tally.errors
    return tally.good


def test_the_gateway_and_the_hop_pass_on_what_the_bare_server_says(tmp_path: Path) -> None:
    with ExitStack() as stack:
        upstream = sides.bare(stack, tmp_path, 0.001)
        ours, hop = sides.ours(stack, tmp_path, upstream), sides.hop(stack, tmp_path, upstream)
        assert [asyncio.run(answered(side, False)) for side in (upstream, ours, hop)] == [8, 8, 8]
        assert [asyncio.run(answered(side, True)) for side in (upstream, ours)] == [8, 8]
        assert capacity(ours).cpu_ms > 0
        settle(ours)


def test_the_cpu_of_a_servers_children_is_its_own(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    burns = "import os,sys,time\nwhile time.process_time() < .2: pass\nos.write(1, b'done')\ntime.sleep(600)"
    program.write_text(
        "import signal, subprocess, sys\n"
        "from loadtests.processes import ends_with_us, say_ready\n"
        "first = ends_with_us(signal.SIGKILL)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {burns!r}], stdout=subprocess.PIPE, preexec_fn=first)\n"
        "child.stdout.read(4)\n"
        "from pathlib import Path\n"
        "say_ready(Path(sys.argv[1]), 0)\n"
        "sys.stdin.read()\n"
    )
    with Measured("parent", tmp_path, (str(program),)) as parent:
        assert parent.cpu_us() > 150_000


def turns(
    bare: float, ours: float, theirs: float, rate: float, good: float = 1.0
) -> dict[tuple[str, float], list[Turn]]:
    made = {"bare": bare, "ours": ours, "hop": ours, "litellm": theirs}
    return {(side, rate): [Turn(s, s, good if side == "litellm" else 1.0, {side: 1.0})] for side, s in made.items()}


def test_added_is_over_the_bare_server_and_five_times_less_is_demanded_at_the_last_rate(tmp_path: Path) -> None:
    found = Bench(tmp_path, 1.0, 1.0)
    found.turns = turns(0.02, 0.022, 0.03, 50.0) | turns(0.02, 0.03, 0.08, 500.0, good=0.5)
    found.closed = {side: [Capacity(9.0, ms)] for side, ms in (("ours", 2.0), ("hop", 1.0), ("litellm", 8.0))}
    rows = {row.name: row for row in rows_of(found, [50.0, 500.0])}
    last = rows["added p99 at 500/s / LiteLLM's"]
    assert (round(last.ours), round(last.peer), last.demand, last.met) == (10, 60, 0.2, True)
    assert rows["added p50 at 50/s / LiteLLM's"].demand is None
    assert rows[f"CPU of a request, log included, {CALLERS} callers / LiteLLM's"].ratio == 0.25
    held = rows["added p99 / LiteLLM's at 50/s, the greatest that both hold"]
    assert (round(held.ratio, 3), held.met) == (0.2, True)


def test_what_was_not_answered_is_in_the_percentiles() -> None:
    tally = Tally()
    for n in range(98):
        tally.answered(0.01 + n / 1e4, 1.0)
    tally.failed("HTTP 429", 0.001)
    tally.failed("DEADLINE_EXCEEDED", 1.0)
    assert at(tally, 50, 1.0) < 0.016
    assert at(tally, 99, 1.0) == 1.0
    assert at(Tally(), 50, 1.0) == 1.0
