"""The ledger process: `python -m rejoinder.ledger [--settings FILE]`; `… replay --into NEW_FILE` rebuilds one."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from rejoinder.clients.connection import Connection
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.clock import SystemClock
from rejoinder.ledger.book import Ledger, replay
from rejoinder.ledger.service import LedgerService, follow
from rejoinder.ledger.settings import LedgerProcess
from rejoinder.registry.datasets import PairSets
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.settings import load
from rejoinder.stream.follower import FollowerLog
from rejoinder.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server


def open_log(settings: LedgerProcess) -> FollowerLog:
    token_file = settings.log.owner_token_file
    token = "" if token_file is None else lambda: token_file.read_text().strip()
    return FollowerLog(str(settings.log.path), LogOwnerClient(Connection(settings.log.owner, token=token)))


async def build(settings: LedgerProcess, chassis: Chassis) -> Room:
    others = () if settings.store.pair_sets is None else (PairSets(settings.store.pair_sets),)
    ledger = await asyncio.to_thread(Ledger, settings.store.path, settings.ledger(), chassis.clock, others)
    log = open_log(settings)
    service = LedgerService(ledger, log, lambda record: log.append([record]).result())

    async def close() -> None:
        await asyncio.to_thread(log.close)
        await asyncio.to_thread(ledger.close)

    def waiting(reason: str) -> None:
        chassis.log.info("log_awaited", reason=reason)

    async def projecting(stop: asyncio.Event) -> None:
        await follow(ledger, log, settings.log.wait_s, stop, waiting)

    return Room(
        add=(partial(add_LedgerServiceServicer_to_server, service),),
        background=(projecting,),
        close=close,
    )


def rebuild(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m rejoinder.ledger replay")
    parser.add_argument("--settings", type=Path, help="YAML file; the environment overrides it")
    parser.add_argument("--into", type=Path, required=True, help="file of the new ledger; must not exist")
    arguments = parser.parse_args(argv)
    settings = load(LedgerProcess, "ledger", arguments.settings, os.environ)
    log = open_log(settings)
    try:
        print(replay(log, arguments.into, settings.ledger(), SystemClock()))
    finally:
        log.close()
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["replay"]:
        sys.exit(rebuild(sys.argv[2:]))
    sys.exit(run("ledger", LedgerProcess, build))
