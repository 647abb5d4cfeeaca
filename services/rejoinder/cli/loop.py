"""A policy's rounds on this machine: through the services of `rejoinder up` where they run, else owning the folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rejoinder.cli.datafolder import DataFolder, erasure_key
from rejoinder.cli.supervisor import addresses
from rejoinder.clients.connection import Connection
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import NotFound
from rejoinder.core.types import RoundEvent
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.embedded import folder_of
from rejoinder.registry.store import open_store
from rejoinder.rounds.plan import Previews
from rejoinder.rounds.runner import Loop, Ports, Windows

#: Answers that a round asks for at once: the services batch what comes together.
AT_ONCE = 64


@dataclass(frozen=True)
class Wanted:
    """What a person may say of a round. base, base_export: None for the embedded ones. evidence: whose answers."""

    policy: str
    evidence: str = ""
    base: Path | None = None
    base_export: Path | None = None
    checks: Mapping[str, Callable[..., bool | None]] = field(default_factory=dict)


class FolderWindows(Windows, Previews, Protocol):
    """What a round needs of the ledger, and what a dry run does."""


@contextmanager
def windows_of(data: Path) -> Iterator[tuple[FolderWindows, Callable[[RoundEvent], None]]]:
    """The ledger's windows, and where a round's events are recorded."""
    running = addresses(data)
    if "ledger" not in running:
        with DataFolder(data) as opened:
            opened.project()
            yield opened.ledger, opened.record_round
            opened.project()
        return
    from rejoinder.clients.ledger import LedgerClient
    from rejoinder.clients.owner import LogOwnerClient
    from rejoinder.rounds.services import WindowPort
    from rejoinder.stream.headers import record_of

    with (
        LedgerClient(Connection(running["ledger"])) as ledger,
        LogOwnerClient(Connection(running["feedback"])) as owner,
    ):

        def record(event: RoundEvent) -> None:
            owner.append([record_of(event, "rejoinder/rounds")])

        yield WindowPort(ledger), record


@contextmanager
def round_of(
    data: Path,
    wanted: Wanted,
    services: Mapping[str, str],
    told: Callable[[str, str], None],
    run: Callable[[Sequence[str]], dict[str, Any]] | None = None,
) -> Iterator[tuple[Loop, Ports]]:
    """The loop and the ports of its next round. services: addresses of policy and reward where they are there. run: who
    runs the stages' commands; None: a process that warms up while pairs are built, for this round alone."""
    from rejoinder.clients.policy import PolicyClient
    from rejoinder.clients.reward import RewardClient
    from rejoinder.rounds.pairs.summarise import embedded
    from rejoinder.rounds.services import PolicyPort, RewardPort
    from rejoinder.rounds.warm import Warm

    store = open_store(str(data / "registry"))
    artefacts = Artefacts(store, data / "registry" / "artefacts")
    with ExitStack() as stack:
        run = run or stack.enter_context(Warm())
        windows, record = stack.enter_context(windows_of(data))
        sampler = scorer = None
        if "policy" in services:
            client = stack.enter_context(PolicyClient(Connection(services["policy"])))
            sampler = PolicyPort(client, wanted.policy)
        if "reward" in services:
            scorer = RewardPort(stack.enter_context(RewardClient(Connection(services["reward"]))))
        loop = Loop(
            wanted.policy,
            uid=f"{wanted.policy}@{data.resolve()}",
            folder=data / "rounds",
            base=wanted.base or folder_of("base"),
            base_export=artefacts.put(wanted.base_export or folder_of("policy")),
            stable=stable_of(store, artefacts, wanted.policy),
            evidence_policy=wanted.evidence,
            salt=erasure_key(data),
        )
        ports = Ports(
            store,
            artefacts,
            windows,
            record,
            SystemClock(),
            sampler,
            scorer,
            embedded(),
            wanted.checks,
            told,
            run,
            at_once=AT_ONCE,
        )
        yield loop, ports


def stable_of(store: Any, artefacts: Artefacts, policy: str) -> str:
    """The version that is stable, "" where that is the base or nothing was served yet."""
    from rejoinder.registry.served import current

    try:
        name = current(store, policy).version
    except NotFound:
        return ""
    return "" if artefacts.version(policy, name).kind == "base" else name
