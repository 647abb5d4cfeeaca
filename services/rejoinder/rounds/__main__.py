"""A stage of a round in a cluster: `python -m rejoinder.rounds prepare|finish [--settings FILE]`.

Exit status: 0 done, 2 a person must mend something first, 1 anything else: another attempt may pass.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.ledger import LedgerClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.clients.policy import PolicyClient
from rejoinder.clients.reward import RewardClient
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import DataLoss, RejoinderError
from rejoinder.core.keyfile import read_key
from rejoinder.core.types import RoundEvent
from rejoinder.registry.artefacts import Artefacts, folder_digest
from rejoinder.registry.store import open_store
from rejoinder.rounds import recipe as recipes
from rejoinder.rounds.pairs.summarise import embedded
from rejoinder.rounds.runner import Loop, Ports
from rejoinder.rounds.services import PolicyPort, RewardPort, WindowPort
from rejoinder.rounds.settings import RoundsSettings
from rejoinder.rounds.staged import finish, prepare
from rejoinder.runtime.settings import load
from rejoinder.stream.headers import record_of
from rejoinder.stream.opening import kafka_log

_MENDABLE = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "DATA_LOSS"}


@contextmanager
def opened(settings: RoundsSettings) -> Iterator[tuple[Loop, Ports]]:
    """The loop and the ports of the round. Raises DataLoss for another base model than the round was made of."""
    asked, services = settings.round, settings.services
    found = folder_digest(asked.base)
    if found != asked.base_digest.removeprefix("sha256:"):
        raise DataLoss("the base model is not what the round was made of", found=found)
    at = partial(Connection, tls=services.tls, token=token_in(services.token_file))
    store = open_store(services.registry)
    with ExitStack() as stack:
        sampler = scorer = None
        if services.policy:
            sampler = PolicyPort(stack.enter_context(PolicyClient(at(services.policy))), asked.policy)
        if services.reward:
            scorer = RewardPort(stack.enter_context(RewardClient(at(services.reward))))
        ledger = stack.enter_context(LedgerClient(at(services.ledger)))
        loop = Loop(
            asked.policy,
            uid=asked.holder,
            folder=asked.folder / "rounds",
            base=asked.base,
            base_export=asked.base_export.removeprefix("sha256:"),
            stable=asked.stable,
            evidence_policy=asked.evidence,
            salt=read_key(settings.erasure.key_file, "erasure.key_file"),
        )
        ports = Ports(
            store,
            Artefacts(store, asked.folder / "artefacts"),
            WindowPort(ledger),
            _recorder(settings, at, stack),
            SystemClock(),
            sampler,
            scorer,
            embedded(),
        )
        yield loop, ports


def _recorder(
    settings: RoundsSettings, at: Callable[[str], Connection], stack: ExitStack
) -> Callable[[RoundEvent], None]:
    if settings.log.kind == "kafka":
        log = kafka_log(settings.log.kafka.model_dump(), "rejoinder-rounds", only=("rounds",))
        stack.callback(log.close)
        return lambda event: _appended(log.append([record_of(event, "rejoinder/rounds")]).result())
    owner = stack.enter_context(LogOwnerClient(at(settings.log.owner)))
    return lambda event: _appended(owner.append([record_of(event, "rejoinder/rounds")]))


def _appended(answer: object) -> None:
    """What was answered is of no use: the same stage twice is the same event."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m rejoinder.rounds")
    parser.add_argument("stage", choices=("prepare", "finish"))
    parser.add_argument("--settings", type=Path, help="YAML file; the environment overrides it")
    arguments = parser.parse_args()
    try:
        settings = load(RoundsSettings, "rounds", arguments.settings)
        recipe = recipes.of(settings.round.recipe)
        with opened(settings) as (loop, ports):
            if arguments.stage == "prepare":
                prepare(loop, recipe, ports, settings.round.number)
            else:
                finish(loop, recipe, ports)
    except RejoinderError as error:
        print(f"rejoinder rounds: {error.message} [{error.reason}]", file=sys.stderr)
        return 2 if error.status in _MENDABLE else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
