"""A policy whose version changes again and again under load: every answer must be of the version that it names.

Versions have the weights of one of two adapters, and what each of them says to a question is known beforehand. A
watched answer that is not what its version says crossed over unflagged; a likelihood that is not its version's was read
from another version's cache. At most one version beside the one that speaks stays loaded, so each change loads one and
lets one go.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rejoinder.clients.policy import End, Start
from rejoinder.core.arms import Version
from rejoinder.core.clock import SystemClock
from rejoinder.core.types import Message, Role, Sampling
from rejoinder.registry.artefacts import Version as Manifest
from rejoinder.runtime.backends.generation import EngineSettings, GenerationEngine
from rejoinder.runtime.backends.rows import BASE, Row

from loadtests import report
from loadtests.processes import ends_with_us
from loadtests.serve.measure import Found
from loadtests.serve.models import Models
from tests.chaos.harness import Traffic, wait_until
from tests.system.policy.world import POLICY, World, asking, text_of
from tests.tinypolicy import ADAPTERS, tiny_policy

SWAPS, CALLERS, VERSIONS = 1000, 4, 6
QUESTIONS = ("list three rivers", "why is the sky blue", "give me a short answer please", "what about fahrenheit")
GREEDY = Sampling(0.0, max_tokens=12)
#: Of a log-probability in nats: two adapters' differ by far more.
EQUAL = 1e-3
_WAIT_S = 60.0


@dataclass(frozen=True)
class Said:
    """What weights say to a question: their greedy answer, and log p of `asked_of` after it."""

    text: str
    log_prob: float


@dataclass
class Counted:
    """answers: heard to their end; failed: calls that were not; crossed, stale: see above."""

    swaps: int = 0
    answers: int = 0
    likelihoods: int = 0
    failed: int = 0
    crossed: int = 0
    stale: int = 0


CONTINUATION = "seine loire rhone"


def known() -> Mapping[tuple[str, str], Said]:
    """(adapter, question) → what it says; "" is the base. Raises ValueError where two adapters say the same."""
    engine = GenerationEngine(tiny_policy() / "export", EngineSettings(threads=1), SystemClock())
    try:
        for name in ADAPTERS:
            engine.load_adapter(name, tiny_policy() / name / "adapter.onnx_adapter").result(_WAIT_S)
        found = {}
        for name in (BASE, *ADAPTERS):
            for question in QUESTIONS:
                tokens = engine.encode_chat([Message(Role.USER, question)])
                row = Row(tokens, GREEDY, name)
                engine.submit([row])
                likely = engine.likelihood(tokens, [engine.encode(CONTINUATION)], name)
                found[name, question] = Said(row.done.result(_WAIT_S).text, likely.done.result(_WAIT_S)[0])
    finally:
        engine.close()
    for question in QUESTIONS:
        if len({found[name, question].text for name in (BASE, *ADAPTERS)}) < 1 + len(ADAPTERS):
            raise ValueError("two versions say the same: a crossing would not be seen")
    return found


def counted(folder: Path, swaps: int) -> Counted:
    """Raises TimeoutError where a version never speaks."""
    said, totals, guard = known(), Counted(), threading.Lock()
    # No queue of changes: a replica hears of the next within the poll.
    world = World(folder, {"MODEL__EXTRA_VERSIONS": "1"}, first=ends_with_us(signal.SIGKILL))
    try:
        world.start()
        adapters = {world.base.version: BASE}
        versions = [_published(world, number, adapters) for number in range(VERSIONS)]
        clients = [world.client() for _ in range(CALLERS + 1)]
        asks, heard = count(), {"version": ""}

        def answered(caller: int, question: str) -> None:
            ask = asking(question, user_id=f"u{caller}", sampling=GREEDY)
            parts = list(clients[caller].generate(ask))
            start, end = parts[0], parts[-1]
            assert isinstance(start, Start)
            assert isinstance(end, End)
            version = start.served.version
            with guard:
                totals.answers += 1
                totals.crossed += text_of(parts) != said[adapters[version], question].text
            heard["version"] = version

        def measured(question: str) -> None:
            version = heard["version"] or world.base.version
            found = clients[-1].likelihood([Message(Role.USER, question)], [CONTINUATION], version=version)
            with guard:
                totals.likelihoods += 1
                totals.stale += abs(found.log_probs[0] - said[adapters[version], question].log_prob) > EQUAL

        def call(caller: int, stop: threading.Event) -> None:
            question = QUESTIONS[next(asks) % len(QUESTIONS)]
            try:
                if caller < CALLERS:
                    answered(caller, question)
                else:
                    measured(question)
            except Exception as error:
                print(f"a call failed: {error!r}")
                with guard:
                    totals.failed += 1

        with Traffic(CALLERS + 1, call) as traffic:
            for number in range(swaps):
                version = versions[number % VERSIONS]
                world.canary(version, 1.0)
                wait_until(lambda version=version: heard["version"] == version.version, "the new version", _WAIT_S)
                totals.swaps += 1
        traffic.check()
    finally:
        world.close()
    return totals


def _published(world: World, number: int, adapters: dict[str, str]) -> Version:
    """A version of its own digest with the weights of one of the adapters."""
    name = ADAPTERS[number % len(ADAPTERS)]
    made = world.folder / f"version-{number}"
    shutil.copytree(tiny_policy() / name, made)
    (made / "number").write_text(str(number), "utf-8")
    version = Version(f"{POLICY}-s{number:04d}", world.artefacts.put(made))
    world.artefacts.publish(
        Manifest(POLICY, version.version, version.digest, base_digest=world.base.digest, round=number + 10)
    )
    adapters[version.version] = name
    return version


def measured(folder: Path, models: Models, rounds: int, swaps: int = SWAPS) -> tuple[list[report.Row], Found]:
    found = counted(folder, swaps)
    name = f"{found.swaps} adapter swaps under load, {found.answers} answers, {found.likelihoods} likelihoods"
    return [
        report.Row(f"{name}: failed calls", found.failed, found.swaps, "calls/swap", 0.0),
        report.Row(f"{name}: answers that crossed unflagged", found.crossed, found.swaps, "answers/swap", 0.0),
        report.Row(f"{name}: likelihoods of a stale cache", found.stale, found.swaps, "likelihoods/swap", 0.0),
    ], {}
