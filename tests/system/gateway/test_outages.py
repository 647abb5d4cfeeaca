"""Everything but the server behind the gateway is away: answers flow, and what was said meanwhile is in the log
afterwards or counted.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import openai
import pytest
from rejoinder.core.types import AttemptStatus

from tests.chaos.harness import wait_until
from tests.system.gateway.upstream import Upstream
from tests.system.gateway.world import World

pytestmark = pytest.mark.system


def ask(client: openai.OpenAI, text: str, **options: object) -> str:
    """The attempt of a streamed answer that was read to its end."""
    chunks = list(
        client.chat.completions.create(
            model="assist", messages=[{"role": "user", "content": text}], stream=True, user="dan", **options
        )
    )
    assert chunks[-1].choices[0].finish_reason == "stop"
    return str(chunks[0].model_extra["rejoinder"]["attempt_id"])


def completed(world: World) -> Counter[str]:
    return Counter(i.attempt_id for i in world.interactions() if i.status is AttemptStatus.COMPLETED)


def test_answers_flow_while_everything_of_ours_is_away_and_are_in_the_log_afterwards(
    upstream: Upstream, tmp_path: Path
) -> None:
    world = World(tmp_path, upstream, {"SERVER__METRICS_PORT": "0"})
    upstream.models = ["assist-base", "assist-r0001"]
    try:
        world.start()
        assert world.gateway is not None
        with openai.OpenAI(api_key="unused", base_url=world.url, max_retries=0) as client:
            world.begin_canary(0.5)
            wait_until(lambda: world.arms.arms().canary_refused == "", "the lease")
            asked = [ask(client, f"before {n}") for n in range(3)]
            wait_until(lambda: len(completed(world)) == 3, "the first answers")
            # The log's owner, and with it all that writes tables and reads answers; the registry too.
            world.feedback.kill()
            shutil.move(tmp_path / "registry", tmp_path / "gone")
            asked += [ask(client, f"during {n}") for n in range(20)]
            assert world.spooled() > 0
            with pytest.raises(openai.InternalServerError) as refused:
                client.post(
                    "/feedback", body={"events": [{"interaction_id": "i", "rating": {"number": 1}}]}, cast_to=object
                )
            assert refused.value.status_code == 503, "feedback has no spool: nothing is acknowledged"
            # The gateway itself is killed: what its callers saw completed lies on disk.
            world.gateway.kill()
            world.gateway.start()
            asked += [ask(client, f"after {n}") for n in range(3)]
            # A lease of history grants nothing: stable.
            wait_until(lambda: world.arms.arms().canary_refused == "no_renewal", "the history")
            shutil.move(tmp_path / "gone", tmp_path / "registry")
            world.feedback.start()
            wait_until(lambda: len(completed(world)) == 26, "the answers of the outage")
            assert completed(world) == Counter(asked), "none lost, none twice"
            wait_until(lambda: world.spooled() == 0, "an empty spool")
            assert world.metric("interactions_dropped_total") == 0
    finally:
        world.close()


@pytest.mark.proof
def test_what_finds_no_room_is_answered_from_stable_and_counted(upstream: Upstream, tmp_path: Path) -> None:
    world = World(tmp_path, upstream, {"SERVER__METRICS_PORT": "0", "RECORD__SPOOL_MAX_BYTES": "4096"})
    upstream.models = ["assist-base", "assist-r0001"]
    try:
        world.start()
        with openai.OpenAI(api_key="unused", base_url=world.url, max_retries=0) as client:
            world.begin_canary(1.0)
            wait_until(lambda: world.arms.arms().canary_refused == "", "the lease")
            world.feedback.kill()
            asked = [ask(client, f"much to say {n}") for n in range(20)]
            dropped = world.metric("interactions_dropped_total")
            assert dropped > 0
            assert upstream.asked[-1]["model"] == "assist-base", "no canary whose evidence would be lost"
            world.feedback.start()
            wait_until(lambda: world.spooled() == 0, "an empty spool")
            wait_until(lambda: len(completed(world)) == 20 - dropped, "the rest in the log")
            assert set(completed(world)) < set(asked)
    finally:
        world.close()
