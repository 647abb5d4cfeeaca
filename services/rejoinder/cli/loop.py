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
from rejoinder.core.arms import Salts
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import FailedPrecondition, InvalidArgument, NotFound
from rejoinder.core.types import RoundEvent
from rejoinder.ledger.reading.windows import Leaving
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.embedded import folder_of
from rejoinder.registry.reviews import reviews
from rejoinder.registry.store import open_store
from rejoinder.rounds import ablation
from rejoinder.rounds.ablation import Ablation
from rejoinder.rounds.cellpairs import Bench
from rejoinder.rounds.pairs.context import Context, Sampler, Scorer
from rejoinder.rounds.plan import HOLDOUT_SHARE, Previews
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
def models_of(services: Mapping[str, str], policy: str) -> Iterator[tuple[Sampler | None, Scorer | None]]:
    """The policy and the reward service as a builder asks them; None where there is no address."""
    from rejoinder.clients.policy import PolicyClient
    from rejoinder.clients.reward import RewardClient
    from rejoinder.rounds.services import PolicyPort, RewardPort

    sampler = scorer = None
    with ExitStack() as stack:
        if "policy" in services:
            sampler = PolicyPort(stack.enter_context(PolicyClient(Connection(services["policy"]))), policy)
        if "reward" in services:
            scorer = RewardPort(stack.enter_context(RewardClient(Connection(services["reward"]))))
        yield sampler, scorer


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
    from rejoinder.rounds.pairs.summarise import embedded
    from rejoinder.rounds.warm import Warm

    store = open_store(str(data / "registry"))
    artefacts = Artefacts(store, data / "registry" / "artefacts")
    with ExitStack() as stack:
        run = run or stack.enter_context(Warm())
        windows, record = stack.enter_context(windows_of(data))
        sampler, scorer = stack.enter_context(models_of(services, wanted.policy))
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


@contextmanager
def ablation_of(
    data: Path,
    policy: str,
    evidence: str,
    recipe: Mapping[str, Any],
    wanted: ablation.Grid,
    services: Mapping[str, str],
    base: Path | None,
    told: Callable[[str], None],
) -> Iterator[Ablation]:
    """An ablation on a data folder: on what users say now, or on what an unfinished one of the same words began with.

    recipe: the base's plain values. evidence: whose answers, "" for all. base: None for the embedded one. Raises
    ClaimTaken while another ablation is under way there.
    """
    from rejoinder.rounds.pairs.summarise import embedded
    from rejoinder.rounds.warm import Warm

    store, folder = open_store(str(data / "registry")), data / "rounds" / ablation.FOLDER
    stable = stable_of(store, Artefacts(store, data / "registry" / "artefacts"), policy)
    back = frozenset(name.removesuffix(".json") for name in store.names(f"rolled_back/{policy}"))
    leaving = Leaving(Salts().holdout, HOLDOUT_SHARE, back)
    verdicts = {pair: review.verdict for pair, review in reviews(store, policy).items()}
    with (
        ablation.alone(folder),
        Warm() as run,
        windows_of(data) as (ledger, _),
        models_of(services, policy) as (sampler, scorer),
    ):
        window = ledger.preview("", evidence, leaving)
        kind = ablation.kind_of(recipe, evidence, wanted)
        pieces, as_of, begun = ablation.pinned(folder, kind, window.evidence, window.manifest.as_of)
        context = Context(policy, stable, 0, 0, sampler, scorer, embedded(), AT_ONCE)

        def held() -> set[tuple[str, str]]:
            return {(piece.tenant, piece.id) for piece in ledger.preview("", evidence, leaving).evidence}

        bench = Bench(
            folder,
            base or folder_of("base"),
            erasure_key(data),
            context,
            run,
            SystemClock(),
            held,
            as_of,
            told,
            verdicts,
        )
        try:
            yield ablation.Ablation(bench, pieces)
        except (InvalidArgument, FailedPrecondition):
            # It cannot go on with what there was.
            begun.unlink(missing_ok=True)
            raise
        # It came to its end: the next one reads what is there then.
        begun.unlink(missing_ok=True)


def stable_of(store: Any, artefacts: Artefacts, policy: str) -> str:
    """The version that is stable, "" where that is the base or nothing was served yet."""
    from rejoinder.registry.served import current

    try:
        name = current(store, policy).version
    except NotFound:
        return ""
    return "" if artefacts.version(policy, name).kind == "base" else name
