"""What a deployment costs at rest and a hop adds: `rejoinder up` with logging on, one caller at a time.

Hops take turns call by call, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from rejoinder.core.clock import SystemClock
from rejoinder.core.types import Message, Role, Sampling
from rejoinder.runtime.backends.generation import EngineSettings, GenerationEngine
from rejoinder.runtime.backends.rows import Row
from rejoinder.v1 import common_pb2, policy_pb2

from loadtests import deployment
from loadtests import report as said
from loadtests.processes import ROOT, Measured, rss_bytes_of
from loadtests.serve.callers import Http, Rpc
from loadtests.serve.generation import GENERATE
from loadtests.serve.measure import Found, Taken, percentile
from loadtests.serve.models import Models
from loadtests.serve.shared import words

SERVICES = ("feedback", "ledger", "signals", "policy", "reward", "rerank", "rollouts", "gateway")
CALLS, TOKENS, PROMPT_WORDS = 200, 8, 12
_MIB = 2**20


def idle(root: Path = Path("/proc"), of: int | None = None) -> dict[str, int]:
    """Service → resident bytes of its process, below the process `of` (this one)."""
    parents, names = {}, {}
    for folder in root.glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text("utf-8")
            command = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue  # it ended while one looked
        pid = int(folder.name)
        parents[pid] = int(stat.rpartition(")")[2].split()[1])
        named = [part for part in command if part.startswith("rejoinder.")]
        names[pid] = named[0].removeprefix("rejoinder.") if named else ""
    mine, found = of or os.getpid(), {}
    for pid, name in names.items():
        above = parents.get(pid)
        while above and above != mine:
            above = parents.get(above)
        if above == mine and name in SERVICES:
            found[name] = rss_bytes_of(pid)
    return found


async def hops(engine: GenerationEngine, policy: int, gateway: int, calls: int) -> dict[str, list[float]]:
    """Way → seconds of each call: the engine in this process, PolicyService, the gateway over HTTP."""
    rpc, http = Rpc(policy, GENERATE, policy_pb2.GenerateResponse.FromString, channels=1), Http(gateway)

    async def in_process(text: str) -> None:
        row = Row(engine.encode_chat([Message(Role.USER, text)]), Sampling(1.0, max_tokens=TOKENS, seed=1))
        engine.submit([row])
        await asyncio.wrap_future(row.done)

    async def served(text: str) -> None:
        messages = [common_pb2.Message(role=common_pb2.ROLE_USER, content=text)]
        sampling = common_pb2.Sampling(temperature=1.0, max_tokens=TOKENS, seed=1)
        async for _ in rpc.stream(policy_pb2.GenerateRequest(messages=messages, user_id="u", sampling=sampling)):
            pass

    async def over_http(text: str) -> None:
        asked = {"model": "assist", "messages": [{"role": "user", "content": text}], "max_tokens": TOKENS, "seed": 1}
        await http.post("/v1/chat/completions", {**asked, "user": "u"})

    ways: Mapping[str, Callable[[str], Awaitable[None]]] = {
        "engine in process": in_process,
        "policy service": served,
        "gateway": over_http,
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for number in range(calls + 10):
            text = words(random.Random(number), PROMPT_WORDS)
            for way, call in ways.items():
                began = time.perf_counter()
                await call(text)
                if number >= 10:
                    took[way].append(time.perf_counter() - began)
    finally:
        await rpc.close()
        await http.close()
    return took


def stored(data: Path) -> int:
    """Bytes of the pages in use of every database, what still lies in a journal included."""
    total = 0
    for path in data.rglob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            (pages,) = database.execute("PRAGMA page_count").fetchone()
            (free,) = database.execute("PRAGMA freelist_count").fetchone()
            (size,) = database.execute("PRAGMA page_size").fetchone()
        total += (pages - free) * size
    return total


def measured(folder: Path, models: Models, rounds: int, calls: int = CALLS) -> tuple[list[said.Row], Found]:
    with deployment.started(folder, ("feedback", "ledger", "policy", "reward", "rerank")) as targets:
        log = (folder / "up.log").read_text("utf-8", "replace")
        gateway = int(re.findall(r"the OpenAI API: http://127\.0\.0\.1:(\d+)/v1", log)[0])
        policy = int(targets["policy"].rpartition(":")[2])
        with Measured("empty", folder, ("-m", "loadtests.ingest.peers.empty_server", "chassis")) as empty:
            least = empty.rss_bytes() / _MIB
        rows = [
            said.Row(f"idle memory, {name} / a service that does nothing", rss / _MIB, least, "MiB")
            for name, rss in sorted(idle().items())
        ]
        engine = GenerationEngine(ROOT / "build" / "models" / "policy", EngineSettings(), SystemClock())
        try:
            before = stored(folder / "data")
            took = asyncio.run(hops(engine, policy, gateway, calls))
        finally:
            engine.close()
    # Both ways to the policy left an interaction each; read once the deployment has put everything away.
    written = (stored(folder / "data") - before) / (2 * (calls + 10))
    ways = list(took)
    for below, way in pairwise(ways):
        for of in (50, 99):
            high, low = percentile(took[way], of) * 1e3, percentile(took[below], of) * 1e3
            rows.append(said.Row(f"p{of} of {TOKENS} tokens through the {way} / {below}", high, low, "ms"))
    rows.append(said.Row("kept for an interaction (log and ledger) / its words alone", written, _words(), "bytes"))
    return rows, {way: [Taken(len(each), 0.0, sum(each), tuple(each))] for way, each in took.items()}


def _words() -> float:
    """Bytes of a question."""
    return sum(len(words(random.Random(n), PROMPT_WORDS).encode()) for n in range(CALLS)) / CALLS
