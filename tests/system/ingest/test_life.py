"""The process as an operator meets it: busy ports, a drain under load, slow callers, signals (F06, U02)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rejoinder.clients import AsyncFeedbackClient, FeedbackClient
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import Feedback, FollowUp
from rejoinder.runtime.settings import ServerSettings
from rejoinder.stream.headers import event_of
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

from tests.chaos.harness import Process, Traffic, wait_until
from tests.patient import Patient
from tests.system.ingest.serving import HeldLog, running

pytestmark = pytest.mark.system

COMMAND = [sys.executable, "-m", "rejoinder.feedback"]


def said(event_id: str = "") -> Feedback:
    return Feedback(event_id=event_id, interaction_id="i", kind=FollowUp("no"))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    out = Process(COMMAND, tmp_path, "feedback", {"LOG__PATH": str(tmp_path / "log.db"), "SERVER__GRACE_S": "10"})
    yield out
    out.close()


def stored(path: Path) -> Counter[str]:
    log = SqliteLog(str(path), LogSettings(), SystemClock())
    try:
        parts = range(log.partitions("feedback"))
        return Counter(event_of(record).event_id for p in parts for record in log.read("feedback", p, 0, 1_000_000))
    finally:
        log.close()


def refused(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"LOG__PATH": str(tmp_path / "other.db"), "SERVER__PORT": "0", **environment}
    env = {**os.environ, **{f"REJOINDER_FEEDBACK__{name}": value for name, value in settings.items()}}
    return subprocess.run(COMMAND, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("setting", ["SERVER__PORT", "SERVER__METRICS_PORT"])
def test_a_busy_port_is_named_to_a_person_without_a_traceback(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = refused(tmp_path, **{setting: str(port)})
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert str(port) in last
    assert setting.lower().replace("__", ".") in last
    assert last.endswith("[PORT_BUSY]")


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"SERVER__PROT": "7"}, ("prot", "port", "BAD_SETTINGS")),
        ({"PROCESSES": "2"}, ("2 processes need Kafka", "BAD_SETTINGS")),
        ({"PRODUCTION": "true", "LOG__KIND": "memory"}, ("memory", "BAD_SETTINGS")),
        ({"SERVER__HOST": "0.0.0.0"}, ("server.auth.file", "BAD_SETTINGS")),
        ({"REDACT__KINDS": "[email, telephone]"}, ("telephone", "known: url, email", "BAD_SETTINGS")),
    ],
    ids=["misspelt", "two owners of SQLite", "memory in production", "open to the network unsaid", "no such kind"],
)
def test_settings_that_cannot_be_meant_end_the_start(
    tmp_path: Path, environment: dict[str, str], names: tuple[str, ...]
) -> None:
    ended = refused(tmp_path, **environment)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    for name in names:
        assert name in ended.stderr.strip().splitlines()[-1]


def test_a_second_owner_of_the_log_is_refused_and_the_first_serves_on(process: Process, tmp_path: Path) -> None:
    process.start()
    ended = refused(tmp_path, LOG__PATH=str(tmp_path / "log.db"))
    assert ended.returncode == 2
    assert "STORE_OWNED" in ended.stderr
    with FeedbackClient(Patient(f"127.0.0.1:{process.port}")) as client:
        assert client.record_feedback([said()])[0].recorded


def test_a_drain_under_load_loses_nothing_acknowledged_and_a_second_signal_does_not_break_it(
    process: Process, tmp_path: Path
) -> None:
    process.start()
    acked: list[str] = []
    numbers = itertools.count()
    clients = [FeedbackClient(Patient(f"127.0.0.1:{process.port}", tries=1)) for _ in range(4)]

    def caller(number: int, stop: threading.Event) -> None:
        try:
            results = clients[number].record_feedback([said(f"{number}-{next(numbers)}") for _ in range(5)])
        except RejoinderError:
            stop.wait(0.05)
            return
        acked.extend(result.event_id for result in results if result.recorded)

    with Traffic(4, caller) as traffic:
        wait_until(lambda: len(acked) > 200, "traffic")
        os.kill(process.pid, signal.SIGTERM)
        wait_until(lambda: "event=drain_started" in process.log_path.read_text(), "the drain")
        assert process.told_until_ended() == 0
    traffic.check()
    for client in clients:
        client.close()
    kept = stored(tmp_path / "log.db")
    assert set(acked) - kept.keys() == set()
    assert max(kept.values()) == 1


def test_the_drain_order_is_told_step_by_step(process: Process) -> None:
    process.start()
    assert process.terminate() == 0
    text = Path(process.log_path).read_text()
    order = ["serving_started", "drain_started", "calls_ended", "background_ended", "last_step_ended", "drain_ended"]
    places = [text.index(f"event={event}") for event in order]
    assert places == sorted(places)


def test_the_ready_file_says_where_and_goes_with_the_process(tmp_path: Path) -> None:
    ready = tmp_path / "feedback.ready"
    settings = {"LOG__PATH": str(tmp_path / "log.db"), "SERVER__METRICS_PORT": "0"}
    process = Process(COMMAND, tmp_path, "feedback", settings)
    try:
        process.start()
        facts = json.loads(ready.read_text())
        assert (facts["pid"], facts["port"]) == (process.pid, process.port)
        with socket.create_connection(("127.0.0.1", facts["metrics_port"]), timeout=30) as peer:
            peer.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"rejoinder_serving 1.0" in b"".join(iter(lambda: peer.recv(65536), b""))
        assert process.terminate() == 0
        assert not ready.exists()
    finally:
        process.close()


async def test_a_drain_waits_for_the_call_at_work_and_refuses_the_next_one() -> None:
    log = HeldLog()
    async with running(log, ServerSettings(grace_s=10)) as server:
        async with AsyncFeedbackClient(Patient(server.target, tries=1)) as client:
            at_work = asyncio.create_task(client.record_feedback([said()]))
            await _until(lambda: log.waiting == 1)
            draining = asyncio.create_task(server.server.drain())
            await _until(lambda: "event=drain_started" in server.lines.text)
            with pytest.raises(RejoinderError) as raised:
                await client.record_feedback([said()])
            assert raised.value.status == "UNAVAILABLE"
            log.release()
            assert (await at_work)[0].recorded
            await draining
        assert "cancelled=0" in server.lines.text


async def test_a_call_that_outlasts_the_grace_is_cancelled_and_counted() -> None:
    log = HeldLog()
    async with running(log, ServerSettings(grace_s=0.2)) as server:
        async with AsyncFeedbackClient(Patient(server.target, tries=1)) as client:
            at_work = asyncio.create_task(client.record_feedback([said()]))
            await _until(lambda: log.waiting == 1)
            await server.server.drain()
            with pytest.raises(RejoinderError):
                await at_work
        assert "event=calls_ended cancelled=1" in server.lines.text
        assert server.metrics.value("rpc_cancelled_at_drain_total") == 1
        log.release()


async def test_slow_callers_hold_no_slot_and_hold_up_nobody() -> None:
    async with running(server=ServerSettings(max_in_flight=2, grace_s=0.5)) as server:
        # Headers only: the request never comes.
        path = "/rejoinder.v1.FeedbackService/RecordFeedback"
        slow = [server.channel.stream_unary(path)() for _ in range(20)]
        for call in slow:
            await call.wait_for_connection()
        # Half an HTTP/2 preface, byte by byte.
        with socket.create_connection(("127.0.0.1", server.server.port), timeout=5) as peer:
            peer.sendall(b"PRI * HTTP/2")
            async with AsyncFeedbackClient(Patient(server.target, tries=1)) as client:
                for _ in range(10):
                    assert (await client.record_feedback([said()], deadline_s=60))[0].recorded
        assert server.metrics.value("rpc_in_flight") == 0
        for call in slow:
            call.cancel()


async def test_health_answers_by_service_name_and_reflection_lists_what_is_served() -> None:
    async with running() as server:
        health = health_pb2_grpc.HealthStub(server.channel)
        for name in ("", "rejoinder.v1.FeedbackService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as raised:
            await health.Check(health_pb2.HealthCheckRequest(service="rejoinder.v1.RewardService"))
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        reflection = reflection_pb2_grpc.ServerReflectionStub(server.channel)
        call = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        services = {s.name for s in (await call.read()).list_services_response.service}
        assert services == {"rejoinder.v1.FeedbackService", "grpc.health.v1.Health"}


async def _until(true: object) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)
