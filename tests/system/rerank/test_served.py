"""The rerank service on real models, its slates in a real feedback service's log, and without one."""

from __future__ import annotations

import asyncio
import socket

import pytest
from rejoinder.clients import AsyncRerankClient
from rejoinder.clients.rerank import RerankAsk
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import EmptyField, TooLong, UnknownRow
from rejoinder.core.modelfolder import verified
from rejoinder.core.types import Message, Role
from rejoinder.rerank.__main__ import build
from rejoinder.rerank.settings import RecordSettings, RerankSettings
from rejoinder.runtime.batching.textmodel import ModelSettings
from rejoinder.runtime.settings import ServerSettings
from rejoinder.stream.headers import event_of
from rejoinder.stream.memory import MemoryLog

from tests.chaos.harness import wait_until
from tests.patient import Patient
from tests.system.ingest.serving import running
from tests.system.serving import served

pytestmark = pytest.mark.system

CANDIDATES = (
    ("market", "The stock market fell two percent on Monday."),
    ("bread", "Mix flour, water, salt and yeast, let the dough rise and bake the loaf for forty minutes."),
    ("cat", "My cat sleeps on the warm laptop."),
)
ASK = RerankAsk("How do I bake bread at home?", CANDIDATES, user_id="u")


@pytest.fixture
def settings(models, tmp_path):
    def made(feedback: str, **rest) -> RerankSettings:
        return RerankSettings(
            server=ServerSettings(grace_s=5.0),
            encoder=ModelSettings(folder=models / "minilm", threads=1),
            reward=ModelSettings(folder=models / "bt-v1", threads=1),
            record=RecordSettings(feedback=feedback, spool=tmp_path / "spool", **rest),
        )

    return made


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def slates(log: MemoryLog) -> list:
    partitions = range(log.partitions("interactions"))
    return [event_of(record) for p in partitions for record in log.read("interactions", p, 0)]


async def test_every_ranker_orders_by_its_own_scores_and_says_which_weights_they_are(settings, models):
    async with served("rerank", settings(free_address(), drain_s=0.0), build) as at:
        async with AsyncRerankClient(Patient(at.target, deadline_s=60.0)) as client:
            by_likeness = await client.rerank(ASK)
            assert by_likeness.ranked[0].id == "bread"
            assert by_likeness.digest == verified(models / "minilm").digest
            by_reward = await client.rerank(RerankAsk(ASK.query, CANDIDATES, ranker="reward"))
            assert by_reward.digest == verified(models / "bt-v1").digest
            scores = [c.score for c in by_reward.ranked]
            assert scores == sorted(scores, reverse=True)
            as_it_came = await client.rerank(RerankAsk(ASK.query, CANDIDATES, ranker="identity"))
            assert [c.id for c in as_it_came.ranked] == ["market", "bread", "cat"]


async def test_what_is_known_of_the_user_moves_the_scores(settings):
    known = (Message(Role.USER, "I love cats."),)
    async with served("rerank", settings(free_address(), drain_s=0.0), build) as at:
        async with AsyncRerankClient(Patient(at.target, deadline_s=60.0)) as client:
            plain, personal = [
                {c.id: c.score for c in (await client.rerank(ask)).ranked}
                for ask in (ASK, RerankAsk(ASK.query, CANDIDATES, user_context=known))
            ]
    assert personal["cat"] - plain["cat"] > personal["market"] - plain["market"]


async def test_a_slate_is_in_the_log_as_it_was_shown_with_propensities_u14(settings):
    log = MemoryLog(SystemClock())
    async with running(log) as feedback, served("rerank", settings(feedback.target), build) as at:
        async with AsyncRerankClient(Patient(at.target, deadline_s=60.0)) as client:
            shown = await client.rerank(RerankAsk(ASK.query, CANDIDATES, temperature=0.3, seed=3, top_n=2))
        await asyncio.to_thread(wait_until, lambda: len(slates(log)) == 1, "the slate")
        [logged] = slates(log)
    assert logged.ranking.candidates == shown.ranked
    assert (logged.interaction_id, logged.attempt_id) == (shown.interaction_id, shown.attempt_id)
    assert all(0 < c.propensity < 1 for c in logged.ranking.candidates)
    assert (logged.served.version, logged.served.digest) == ("cosine", shown.digest)


async def test_with_the_log_away_slates_are_shown_and_reach_it_when_it_is_back(settings):
    address, log = free_address(), MemoryLog(SystemClock())
    async with (
        served("rerank", settings(address), build) as at,
        AsyncRerankClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        shown = [await client.rerank(ASK) for _ in range(3)]
        assert all(len(slate.ranked) == 3 for slate in shown)
        assert at.metrics.value("spool_bytes") > 0, "what waits is exported: an alert goes by it"
        port = int(address.rsplit(":", 1)[1])
        async with running(log, ServerSettings(port=port, grace_s=1.0)):
            await asyncio.to_thread(wait_until, lambda: len(slates(log)) == 3, "the three slates")
    assert {s.attempt_id for s in slates(log)} == {s.attempt_id for s in shown}


async def test_a_full_store_loses_records_and_no_slate_and_says_how_many(settings):
    async with served("rerank", settings(free_address(), spool_max_bytes=1024, drain_s=0.0), build) as at:
        async with AsyncRerankClient(Patient(at.target, deadline_s=60.0)) as client:
            for _ in range(8):
                assert len((await client.rerank(ASK)).ranked) == 3
        kept, dropped = (at.metrics.value("slates_total", record=name) for name in ("kept", "dropped"))
    assert kept + dropped == 8
    assert kept > 0
    assert dropped > 0


async def test_refusals_carry_their_reasons(settings):
    async with served("rerank", settings(free_address(), drain_s=0.0), build) as at:
        async with AsyncRerankClient(Patient(at.target, deadline_s=60.0)) as client:
            with pytest.raises(UnknownRow, match="identity"):
                await client.rerank(RerankAsk("q", CANDIDATES, ranker="oracle"))
            with pytest.raises(EmptyField):
                await client.rerank(RerankAsk("q", ()))
            with pytest.raises(TooLong):
                await client.rerank(RerankAsk("q", tuple((str(i), "a") for i in range(1001))))
