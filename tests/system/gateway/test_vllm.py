"""The gateway before a vLLM server: a canary's adapter is loaded, asked for by its name, and no answer is labelled with
a version that it is not from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from rejoinder.core.types import ArmKind, Interaction

from tests.chaos.harness import wait_until
from tests.system.gateway.upstream import serving
from tests.system.gateway.vllm import Vllm
from tests.system.gateway.world import World

pytestmark = pytest.mark.system

DIGEST = "c" * 64


@pytest.fixture
def server() -> Iterator[Vllm]:
    with serving(Vllm(("llama", "assist-base"), {f"/artefacts/{DIGEST}"})) as started:
        yield started


def world_of(folder: Path, server: Vllm, kind: str) -> World:
    settings = {"UPSTREAM__OPENAI__SERVER": kind, "UPSTREAM__OPENAI__LORA_PATH": "/artefacts/{digest}"}
    return World(folder, server, {"SERVER__METRICS_PORT": "0", **settings})


def ask(world: World, client: openai.OpenAI, stream: bool) -> tuple[str, Interaction]:
    """(the server's own model name, which its words begin with; the record)."""
    message = {"role": "user", "content": "how warm is it"}
    if stream:
        chunks = list(client.chat.completions.create(model="assist", messages=[message], stream=True))
        words = "".join(each.choices[0].delta.content or "" for each in chunks)
        attempt = chunks[0].model_extra["rejoinder"]["attempt_id"]
    else:
        answer = client.chat.completions.create(model="assist", messages=[message])
        words, attempt = str(answer.choices[0].message.content), answer.model_extra["rejoinder"]["attempt_id"]
    found: list[Interaction] = []

    def stored() -> bool:
        found[:] = [each for each in world.interactions() if each.attempt_id == attempt]
        return bool(found)

    wait_until(stored, "the record")
    return words.partition(":")[0], found[0]


def label(record: Interaction) -> tuple[str, ArmKind, bool]:
    assert record.served is not None
    return record.served.version, record.served.arm, record.served.forced


def test_an_adapter_comes_with_its_canary_and_a_server_that_lost_it_mislabels_nothing(
    server: Vllm, tmp_path: Path
) -> None:
    world = world_of(tmp_path, server, "vllm")
    try:
        world.start()
        with openai.OpenAI(api_key="unused", base_url=world.url, max_retries=0) as client:
            said, record = ask(world, client, False)
            # The server has two names for its base, and says the first whichever was asked.
            assert (said, label(record)) == ("llama", ("assist-base", ArmKind.STABLE, False))
            world.begin_canary(1.0)
            wait_until(lambda: server.adapters == {"assist-r0001": f"/artefacts/{DIGEST}"}, "the adapter")
            wait_until(lambda: label(ask(world, client, True)[1])[1] is ArmKind.CANARY, "the canary")
            said, record = ask(world, client, False)
            assert (said, label(record)) == ("assist-r0001", ("assist-r0001", ArmKind.CANARY, False))
            # It begins again without the adapter's files in reach, and answers any name from its base.
            server.paths.clear()
            server.looks = False
            server.begin_again()
            for stream in (True, False):
                said, record = ask(world, client, stream)
                assert (said, label(record)) == ("llama", ("assist-base", ArmKind.STABLE, True))
            server.paths.add(f"/artefacts/{DIGEST}")
            wait_until(lambda: "assist-r0001" in server.adapters, "the adapter, again")
            wait_until(lambda: label(ask(world, client, True)[1])[1] is ArmKind.CANARY, "the canary, again")
    finally:
        world.close()


@pytest.mark.proof
def test_without_the_check_a_server_that_lost_its_adapters_mislabels(server: Vllm, tmp_path: Path) -> None:
    """The control: the same server to a gateway that takes it for any other, and that last listed it before."""
    world = world_of(tmp_path, server, "any")
    server.adapters["assist-r0001"] = f"/artefacts/{DIGEST}"
    try:
        world.start()
        with openai.OpenAI(api_key="unused", base_url=world.url, max_retries=0) as client:
            world.begin_canary(1.0)
            wait_until(lambda: label(ask(world, client, True)[1])[1] is ArmKind.CANARY, "the canary")
            server.lists = dict(server.adapters)
            server.looks = False
            server.begin_again()
            said, record = ask(world, client, False)
            assert (said, label(record)) == ("llama", ("assist-r0001", ArmKind.CANARY, False))
    finally:
        world.close()
