"""The reward service on its real model: what callers see, under load, late, and with a model that was tampered with."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial

import pytest
from rejoinder.clients import AsyncRewardClient, RewardClient
from rejoinder.core.errors import EmptyField, NoSuchHead, QueueFull, TooLong
from rejoinder.core.modelfolder import FACTS, GRAPH, seal, verified
from rejoinder.core.types import Message, Role
from rejoinder.reward.__main__ import build
from rejoinder.reward.settings import HeadSettings, RewardSettings
from rejoinder.rounds.judge import judge
from rejoinder.rounds.services import RewardPort
from rejoinder.runtime.batching.textmodel import BatchSettings, ModelSettings
from rejoinder.runtime.settings import ServerSettings

from tests.chaos.harness import wait_until
from tests.patient import Patient
from tests.system.serving import served

pytestmark = pytest.mark.system

SCORE = "/rejoinder.v1.RewardService/Score"

ASKED = [Message(Role.USER, "How do I boil an egg?")]
GOOD = "Put the egg in boiling water for about seven minutes, then cool it under cold water and peel it."
LONG = "and then some more words about it " * 60


@pytest.fixture
def settings(models):
    model = ModelSettings(folder=models / "bt-v1", threads=1)
    return RewardSettings(server=ServerSettings(grace_s=5.0), model=model)


async def test_scores_come_in_order_with_the_digest_of_the_files_that_were_loaded_f12(settings):
    async with (
        served("reward", settings, build) as at,
        AsyncRewardClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        scores = await client.score(ASKED, [GOOD, "I don't know.", GOOD])
        assert scores.scores[0] == pytest.approx(scores.scores[2], abs=1e-4)
        assert scores.scores[0] > scores.scores[1]
        assert scores.digest == verified(settings.model.folder).digest
        [head] = await client.heads()
        assert (head.name, head.digest, head.shape, head.default_head) == ("bt", scores.digest, "scalar", True)


async def test_a_second_head_judges_a_gate_and_a_copy_of_the_first_does_not(settings, models, tmp_path):
    """By weights, not by name; what differs here is a fact of the export, for want of other weights."""
    other = shutil.copytree(models / "bt-v1", tmp_path / "other")
    facts = json.loads((other / FACTS).read_text())
    (other / FACTS).write_text(json.dumps(facts | {"note": "another"}))
    seal(other)
    model = settings.model
    more = {
        "gate": HeadSettings(model=model.model_copy(update={"folder": other})),
        "copy": HeadSettings(model=model),
    }
    async with served("reward", settings.model_copy(update={"more": more}), build) as at:

        def judged():
            with RewardClient(Patient(at.target, deadline_s=60.0)) as client:
                port = RewardPort(client)
                return judge("copy", port), judge("gate", port)[0].score(ASKED, [GOOD, "No."]), client.heads()

        (nobody, why), (good, bad), heads = await asyncio.to_thread(judged)
    assert nobody is None
    assert "scored the pairs" in why
    assert good > bad
    assert [(head.name, head.default_head) for head in heads] == [("bt", True), ("gate", False), ("copy", False)]


async def test_comparisons_of_both_orders_sum_to_one(settings):
    async with (
        served("reward", settings, build) as at,
        AsyncRewardClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        ahead, behind = await asyncio.gather(client.compare(ASKED, GOOD, "No."), client.compare(ASKED, "No.", GOOD))
        assert ahead.probability_a > 0.5
        assert ahead.probability_a + behind.probability_a == pytest.approx(1.0, abs=1e-5)


async def test_a_score_does_not_depend_on_what_it_was_batched_with(settings):
    async with (
        served("reward", settings, build) as at,
        AsyncRewardClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        alone = (await client.score(ASKED, [GOOD])).scores[0]
        crowd = [client.score(ASKED, [GOOD + " word" * (n % 17)]) for n in range(40)]
        together = [answer.scores[0] for answer in await asyncio.gather(*crowd)]
        assert together[0] == pytest.approx(alone, abs=1e-4)
        assert together[17] == pytest.approx(alone, abs=1e-4)
        assert at.metrics.value("batch_run_s") < 41


async def test_refusals_carry_their_reasons(settings):
    async with (
        served("reward", settings, build) as at,
        AsyncRewardClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        with pytest.raises(NoSuchHead):
            await client.score(ASKED, ["a"], head="judge")
        with pytest.raises(EmptyField):
            await client.score(ASKED, [])
        with pytest.raises(TooLong):
            await client.score(ASKED, ["a"] * 257)


async def test_a_full_queue_answers_with_a_delay_and_computes_nothing_for_it(settings):
    small = settings.model_copy(update={"batch": BatchSettings(max_queued_tokens=4000)})
    async with served("reward", small, build) as at:
        once = Patient(at.target, tries=1, deadline_s=60.0)
        async with AsyncRewardClient(once) as client:
            # One of them fills the queue but for a row, so a second has no room until nearly all of it is computed.
            calls = [asyncio.create_task(client.score(ASKED, [LONG] * 15)) for _ in range(4)]
            results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [r for r in results if isinstance(r, QueueFull)]
        assert refused
        assert all(r.retry_after_s > 0 for r in refused)
        assert len(refused) + sum(not isinstance(r, Exception) for r in results) == 4


async def test_callers_whose_deadline_the_queue_would_not_meet_are_refused_at_once_and_not_computed_for(settings):
    async with served("reward", settings, build) as at, AsyncRewardClient(Patient(at.target, tries=1)) as client:
        busy = asyncio.create_task(client.score(ASKED, [LONG] * 128, deadline_s=90.0))
        # The batch at work is the busy caller's: whoever comes now waits behind 128 rows.
        await asyncio.to_thread(wait_until, lambda: at.metrics.value("batch_run_s") >= 2, "the second batch")
        # Too short for 128 rows by the headroom that is kept, and long enough for a refusal on a machine held up.
        late = [asyncio.create_task(client.score(ASKED, [LONG] * 16, deadline_s=3.0)) for _ in range(4)]
        results = await asyncio.gather(*late, return_exceptions=True)
        assert all(isinstance(result, QueueFull) for result in results)
        assert all(result.retry_after_s > 0 for result in results)
        assert len((await busy).scores) == 128
        # Counted when the caller has been told.
        refused = partial(at.metrics.value, "rpc_s", method=SCORE, status="RESOURCE_EXHAUSTED")
        await asyncio.to_thread(wait_until, lambda: refused() == 4, "the count of the refused")
        warm_up = 1
        assert at.metrics.value("batch_queue_s") == warm_up + 128


def test_the_process_says_when_it_serves_and_ends_cleanly(models, tmp_path):
    ready = tmp_path / "ready.json"
    env = {
        **os.environ,
        "REJOINDER_REWARD__SERVER__PORT": "0",
        "REJOINDER_REWARD__SERVER__READY_FILE": str(ready),
        "REJOINDER_REWARD__MODEL__FOLDER": str(models / "bt-v1"),
        "REJOINDER_REWARD__MODEL__THREADS": "1",
    }
    process = subprocess.Popen([sys.executable, "-m", "rejoinder.reward"], env=env, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(ready.exists, "the ready file")
        port = json.loads(ready.read_text())["port"]
        with RewardClient(Patient(f"127.0.0.1:{port}")) as client:
            assert len(client.score(ASKED, [GOOD]).scores) == 1
        process.send_signal(signal.SIGTERM)
        _, lines = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "event=model_loaded" in lines
    assert "egg" not in lines


def test_a_tampered_model_is_never_served(models, tmp_path):
    folder = tmp_path / "bt-v1"
    shutil.copytree(models / "bt-v1", folder)
    with (folder / GRAPH).open("ab") as graph:
        graph.write(b"\0")
    env = {**os.environ, "REJOINDER_REWARD__SERVER__PORT": "0", "REJOINDER_REWARD__MODEL__FOLDER": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "rejoinder.reward"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "DATA_LOSS" in done.stderr
