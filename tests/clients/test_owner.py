from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rejoinder.clients.connection import Connection
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import Fenced
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.port import NewRecord
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.v1 import feedback_pb2

from tests.clients.fakes import ScriptedChannel
from tests.system.ingest.serving import running


def test_a_step_is_sent_once_with_records_headers_and_positions() -> None:
    channel = ScriptedChannel(
        CommitStep=feedback_pb2.CommitStepResponse(coordinates=[{"topic": "signals", "offset": 3}])
    )
    client = LogOwnerClient(Connection("nowhere:1"), channel)
    record = NewRecord("signals", b"k", b"v", (("ce_id", b"s1"),))
    (place,) = client.commit_step("worker-0", 2, [record], "signals", {("feedback", 1): 9})
    assert place.offset == 3
    ((_, request),) = channel.asked
    assert (request.transactional_id, request.epoch, request.group) == ("worker-0", 2, "signals")
    assert (request.records[0].headers[0].name, request.offsets[0].offset) == ("ce_id", 9)


@pytest.mark.system
async def test_a_follower_writes_through_the_owner_and_an_older_one_is_fenced(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    log = SqliteLog(path, LogSettings(), SystemClock())
    async with running(log) as server:
        client = LogOwnerClient(Connection(server.target))

        def follow() -> None:
            follower = FollowerLog(path, client)
            old, new = follower.transaction("worker-0"), follower.transaction("worker-0")
            record = NewRecord("signals", b"k", b"v")
            with pytest.raises(Fenced):
                old.step([record])
            (place,) = new.step([record])
            assert follower.read("signals", place.partition, 0)[0].value == b"v"
            assert follower.append([record]).result(60)[0].outcome == "recorded"
            follower.close()

        await asyncio.to_thread(follow)
        client.close()
    log.close()
