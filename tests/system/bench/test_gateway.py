"""loadtests/gateway in its short form: every side answers rightly, and rows say what was demanded."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from loadtests.gateway import sides
from loadtests.gateway.__main__ import (
    CALLERS,
    REFUSALS,
    Bench,
    Capacity,
    Turn,
    at,
    capacity,
    overload,
    overload_rows,
    rows_of,
    settle,
)
from loadtests.openloop.run import Found
from loadtests.openloop.tally import Tally
from loadtests.peers import closed_loop
from loadtests.processes import Measured, apart
from loadtests.work.chat import Complete, Params, refusal
from loadtests.work.reach import Reach

pytestmark = pytest.mark.system


async def asked(side: sides.Side, callers: int) -> Tally:
    work = Complete(Params(), Reach({"gateway": side.target}), 1)
    try:
        (tally,) = (await closed_loop(work, range(40), callers)).tallies.values()
    finally:
        await work.close()
    return tally


async def crowded(side: sides.Side, connections: int) -> tuple[Tally, list[bool]]:
    """Of two callers, where others hold so many connections; and whether each of these stays after an answer."""
    host, _, port = side.target.rpartition(":")
    held = [await asyncio.open_connection(host, int(port)) for _ in range(connections)]
    try:
        tally, stays = await asked(side, 2), []
        for reader, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            stays.append(b"connection: close" not in head.lower())
        return tally, stays
    finally:
        for _, writer in held:
            writer.close()


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


def test_who_finds_no_room_is_told_so_as_openai_tells_it_and_when_to_come_back(tmp_path: Path) -> None:
    # Connections that say nothing are held for longer than this takes.
    few = {"SERVER__MAX_IN_FLIGHT": "1", "HTTP__MAX_CONNECTIONS": "4", "HTTP__HEAD_S": "600"}
    with ExitStack() as stack:
        ours = sides.ours(stack, tmp_path, sides.bare(stack, tmp_path, 0.02), few)
        tally, stays = asyncio.run(crowded(ours, 5))
        assert (tally.good, set(tally.errors)) == (0, {"HTTP 503"})
        assert stays == [True] * 4 + [False], "who was there before goes on"
        with apart(ours.processes):
            tally = asyncio.run(asked(ours, 3))
    assert tally.good > 0
    assert "HTTP 429" in tally.errors
    assert set(tally.errors) <= set(REFUSALS)


def test_a_refusal_that_clients_would_not_understand_is_named() -> None:
    told = b'{"error": {"message": "no room", "type": "rate_limit_error", "param": null, "code": "queue_full"}}'
    assert refusal(429, b"http/1.1 429 x\r\nretry-after: 1\r\n", told) == "HTTP 429"
    assert refusal(429, b"http/1.1 429 x\r\n", told) == "HTTP 429 NO_RETRY_AFTER"
    assert refusal(500, b"http/1.1 500 x\r\n", told) == "HTTP 500"
    for other in (b"Service Unavailable", b"[]", b'{"error": "no room"}', b'{"error": {"message": "x"}}'):
        assert refusal(503, b"http/1.1 503 x\r\n", other) == "HTTP 503 NO_SHAPE"


def test_goodput_at_three_times_the_peak_is_beside_it_and_refusals_are_counted_by_their_shape() -> None:
    tally = Tally()
    for _ in range(90):
        tally.answered(0.5, 1.0)
    tally.answered(1.5, 1.0)
    for reason in ("HTTP 429", "HTTP 429", "HTTP 503 NO_SHAPE"):
        tally.failed(reason, 0.01)
    tally.failed("DEADLINE_EXCEEDED", 1.0)
    goodput, admitted, shaped, soon = overload_rows(tally, 10.0, 10.0, 1.0)
    assert (goodput.ours, goodput.peer, goodput.met) == (9.0, 10.0, True)
    assert (admitted.ours, admitted.peer) == (90, 92)
    assert (shaped.ours, shaped.peer, shaped.met) == (2, 3, False)
    assert (round(soon.ours), soon.peer) == (10, 1000)


def test_a_search_that_finds_no_peak_is_a_fault_and_loses_nothing(tmp_path: Path) -> None:
    class Rising(Bench):
        def run(self, side: sides.Side, rate: float, seed: int = 1) -> Any:
            tally = Tally()
            for _ in range(int(rate)):
                tally.answered(0.01, 1.0)
            return Found({"complete": tally}), self.scenario(rate), {}

    rows, more = overload(Rising(tmp_path, 1.0, 1.0), sides.Side("ours", ()), 10.0)
    assert rows == []
    assert "begin the search higher" in more["faults"]["overload"][0]


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
