"""The examples as a stranger runs them: against real services, where nothing but the SDK can be imported."""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rejoinder.core.types import Click, Comment, FollowUp, Rating
from rejoinder.rerank.__main__ import build as build_rerank
from rejoinder.rerank.settings import RecordSettings, RerankSettings
from rejoinder.reward.__main__ import build as build_reward
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.batching.textmodel import ModelSettings
from rejoinder.runtime.settings import ServerSettings

from tests.chaos.harness import wait_until
from tests.clients.test_base import BLOCK
from tests.system.models import built
from tests.system.policy.world import World
from tests.system.serving import served

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
#: A port that nobody listens on.
NOWHERE = "127.0.0.1:1"
_RUN = f"{BLOCK}\nimport runpy\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"


def run(name: str, *arguments: object, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _RUN, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, input=said, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("examples"), {"ENGINE__TEXT_EVERY_S": "0"})
    try:
        yield made.start()
    finally:
        made.close()


def at(world: World) -> list[str]:
    assert world.policy is not None
    return ["--policy", f"127.0.0.1:{world.policy.port}", "--feedback", f"127.0.0.1:{world.feedback.port}"]


def ok(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_chat_s_next_turn_is_a_follow_up_on_the_answer_before(world: World) -> None:
    ended = run("chat.py", *at(world), "--user", "ann", said="list three rivers\nno, of Spain\n")
    ok(ended)
    assert ended.stderr.count("[reaction: RECORDED]") == 1, ended.stderr
    wait_until(lambda: len(mine(world, "ann")) == 2, "the answers in the log", 60.0)
    first, second = sorted(mine(world, "ann"), key=lambda each: each.turn)
    assert second.parent_interaction_id == first.interaction_id
    (said,) = [each for each in world.feedbacks() if each.user_id == "ann"]
    assert (said.kind, said.interaction_id) == (FollowUp("no, of Spain"), first.interaction_id)


def mine(world: World, user: str) -> list:
    return [each for each in world.interactions() if each.user_id == user]


def test_answers_stream_together_and_one_that_is_left_is_cancelled_at_the_server(world: World) -> None:
    assert world.policy is not None
    before = len(world.interactions())
    policy = at(world)[:2]
    told = ok(run("stream_async.py", *policy, "one question", "another question", "--most", 3))
    assert told.count("[left]") == 2, told
    wait_until(lambda: len(world.interactions()) == before + 2, "their records", 60.0)
    assert {each.status.value for each in world.interactions()[before:]} <= {"CANCELLED", "COMPLETED"}
    whole = ok(run("stream_async.py", *policy, "a question", "--most", 100_000))
    assert "[length]" in whole or "[stop]" in whole, whole


def test_with_everything_away_a_user_is_answered_and_what_was_answered_is_counted(world: World) -> None:
    away = ["--policy", NOWHERE, "--feedback", NOWHERE]
    told = ok(run("fail_open.py", *away, "--linger", 0.5, "How warm is it in Rome?"))
    assert "own model (UNAVAILABLE)" in told
    assert "own answers: 0 recorded, 1 not known to be" in told
    told = ok(run("fail_open.py", "--policy", NOWHERE, *at(world)[2:], "--linger", 60, "And in Oslo?"))
    assert "own answers: 1 recorded, 0 not known to be" in told
    (own,) = [each for each in world.interactions() if each.served is not None and each.served.policy == "own"]
    assert own.messages[0].content == "And in Oslo?"
    assert own.interaction_id in told, "what its user makes of it can name it"
    assert " by policy: " in ok(run("fail_open.py", *at(world), "--patience", 60, "list three rivers"))


def test_a_batch_sent_again_counts_once_and_one_that_found_nobody_says_so(world: World, tmp_path: Path) -> None:
    file = tmp_path / "reactions.jsonl"
    lines = [{"interaction_id": f"x{n}", "user": "bea", "thumb": n % 2} for n in range(30)]
    lines.append({"interaction_id": "x1", "user": "bea", "comment": "perfect"})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended = run("feedback_batch.py", file, "--feedback", NOWHERE, "--patience", 0.5)
    assert (ended.returncode, "run it again" in ended.stderr) == (1, True)
    feedback = at(world)[2:]
    assert ok(run("feedback_batch.py", file, *feedback)).strip() == "RECORDED 31"
    assert ok(run("feedback_batch.py", file, *feedback)).strip() == "DUPLICATE 31"
    kept = [each for each in world.feedbacks() if each.user_id == "bea"]
    assert len(kept) == 31
    assert Comment("perfect") in [each.kind for each in kept]
    assert sum(each.kind.number for each in kept if isinstance(each.kind, Rating)) == 15
    file.write_text(json.dumps({"interaction_id": "x", "user": "bea", "thumb": 7}) + "\n")
    ended = run("feedback_batch.py", file, *feedback)
    assert (ended.returncode, "line 1: " in ended.stderr) == (1, True), ended.stderr


async def test_a_slate_is_ordered_its_click_recorded_and_two_answers_compared(world: World, tmp_path: Path) -> None:
    feedback = f"127.0.0.1:{world.feedback.port}"
    async with models(feedback, tmp_path / "spool") as given:
        told = ok(await asyncio.to_thread(run, "rerank_and_score.py", *given, "--feedback", feedback))
    assert "1. bread" in told
    assert "click: RECORDED" in told
    assert "bread over cat: +" in told
    (click,) = [each for each in world.feedbacks() if isinstance(each.kind, Click)]
    assert click.kind == Click("bread", 1)


@asynccontextmanager
async def models(feedback: str, spool: Path) -> AsyncIterator[list[str]]:
    folder, server = built(), ServerSettings(grace_s=5.0)
    head = ModelSettings(folder=folder / "bt-v1", threads=1)
    encoder = ModelSettings(folder=folder / "minilm", threads=1)
    ranks = RerankSettings(
        server=server, encoder=encoder, reward=head, record=RecordSettings(feedback=feedback, spool=spool)
    )
    async with served("rerank", ranks, build_rerank) as rerank:
        async with served("reward", RewardSettings(server=server, model=head), build_reward) as reward:
            yield ["--rerank", rerank.target, "--reward", reward.target]


def test_every_example_is_run_here_stands_in_the_readme_and_imports_what_is_public() -> None:
    told, here = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()
    for name in NAMES:
        assert f"({name})" in told
        assert f'run("{name}"' in here or f'run, "{name}"' in here
        tree = ast.parse((EXAMPLES / name).read_text())
        ours = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        assert {module for module in ours if module.startswith("rejoinder")} == {"rejoinder.clients"}
