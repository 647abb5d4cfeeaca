"""The ledger process: `python -m rejoinder.ledger [--settings FILE]`; `… migrate` brings its tables up, `… replay
--into NEW_FILE` rebuilds one."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import RejoinderError
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.erasure.erase import ErasableStore
from rejoinder.ledger.intake.relay import Relay, RelayLog, keep_relaying
from rejoinder.ledger.intake.replay import replay
from rejoinder.ledger.service import LedgerService, follow
from rejoinder.ledger.settings import LedgerProcess
from rejoinder.ledger.stores.dialect import Postgres, where_of
from rejoinder.registry.datasets import PairSets
from rejoinder.runtime.looks import Looks
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.settings import load
from rejoinder.runtime.spool import Spools
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.opening import kafka_log
from rejoinder.stream.port import Log
from rejoinder.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server


def open_log(settings: LedgerProcess) -> Log:
    if settings.log.kind == "kafka":
        return kafka_log(settings.log.kafka.model_dump(), "rejoinder-ledger")
    owner = Connection(settings.log.owner, token=token_in(settings.log.owner_token_file))
    return FollowerLog(str(settings.log.path), LogOwnerClient(owner))


def reached(settings: LedgerProcess) -> list[ErasableStore]:
    """The stores of others on this machine."""
    stores = ((PairSets, settings.store.pair_sets), (Spools, settings.store.spools))
    return [kind(folder) for kind, folder in stores if folder is not None]


async def build(settings: LedgerProcess, chassis: Chassis) -> Room:
    ledger = await asyncio.to_thread(Ledger, settings.where(), settings.ledger(), chassis.clock, reached(settings))
    log = await asyncio.to_thread(open_log, settings)
    key = settings.ledger().forgetting.key
    looks = Looks(settings.looks_file, key, "ledger", chassis.clock, chassis.log)
    service = LedgerService(ledger, log, lambda record: log.append([record]).result(), looks)

    async def close() -> None:
        await asyncio.to_thread(log.close)
        await asyncio.to_thread(ledger.close)

    def waiting(error: RejoinderError) -> None:
        # All tenants wait, be it for one topic that may not be read.
        chassis.log.warning("log_awaited", reason=error.reason, error=error.message)

    async def projecting(stop: asyncio.Event) -> None:
        await follow(ledger, log, settings.log.wait_s, stop, waiting)

    async def relaying(stop: asyncio.Event) -> None:
        relay = Relay(ledger.store, cast(RelayLog, log), chassis.clock)
        await keep_relaying(relay, settings.log.wait_s, stop, waiting)

    return Room(
        add=(partial(add_LedgerServiceServicer_to_server, service),),
        background=(projecting, relaying) if settings.log.kind == "kafka" and settings.log.relay else (projecting,),
        close=close,
    )


def rebuild(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m rejoinder.ledger replay")
    parser.add_argument("--settings", type=Path, help="YAML file; the environment overrides it")
    parser.add_argument("--into", required=True, help="the new ledger: a file that does not exist, or a PostgreSQL URL")
    parser.add_argument("--password-file", type=Path, help="its first line is the password for such a URL")
    parser.add_argument("--from-snapshot", type=Path, help="begin with this one, and read what the log has since")
    arguments = parser.parse_args(argv)
    settings = load(LedgerProcess, "ledger", arguments.settings, os.environ)
    into = where_of(arguments.into, arguments.password_file)
    log = open_log(settings)
    try:
        if isinstance(into, Postgres):
            from rejoinder.ledger.stores.migrate import migrate_unused

            migrate_unused(into)
        print(replay(log, into, settings.ledger(), SystemClock(), snapshot=arguments.from_snapshot))
    finally:
        log.close()
    return 0


def bring_up(argv: list[str]) -> int:
    """What a deployment runs before the process of a new version starts."""
    # Here, as it takes a third of a second to import.
    from rejoinder.ledger.stores.migrate import migrate

    parser = argparse.ArgumentParser(prog="python -m rejoinder.ledger migrate")
    parser.add_argument("--settings", type=Path, help="YAML file; the environment overrides it")
    settings = load(LedgerProcess, "ledger", parser.parse_args(argv).settings, os.environ)
    done = migrate(settings.where())
    print(f"{done.where}: schema {done.before} -> {done.after}")
    return 0


def told(command: Callable[[list[str]], int], argv: list[str]) -> int:
    """A command's exit status; what a person must mend is one line."""
    try:
        return command(argv)
    except RejoinderError as error:
        print(f"rejoinder ledger: {error.message} [{error.reason}]", file=sys.stderr)
        return 2


COMMANDS = {"replay": rebuild, "migrate": bring_up}

if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in COMMANDS:
        sys.exit(told(COMMANDS[sys.argv[1]], sys.argv[2:]))
    sys.exit(run("ledger", LedgerProcess, build))
