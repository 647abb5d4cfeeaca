"""Clients of other rerank services, unmodified, before our rerank process."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import cohere
import pytest

from tests.chaos.harness import Process, wait_until
from tests.system.gateway.upstream import Upstream
from tests.system.gateway.world import World, gateway

pytestmark = pytest.mark.system

QUERY, DOCUMENTS = "which river?", ["the Aare", "a hill", "the Rhine"]


@pytest.fixture(scope="module")
def ranked(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """A log, a rerank process that keeps the order it is given (no model), the gateway; the API's address."""
    folder = tmp_path_factory.mktemp("ranked")
    world, rerank, process = World(folder, upstream), None, None
    try:
        world.feedback.start()
        at = f"127.0.0.1:{world.feedback.port}"
        settings = {"RANKERS": '["identity"]', "RECORD__FEEDBACK": at, "RECORD__SPOOL": str(folder / "spool")}
        rerank = Process([sys.executable, "-m", "rejoinder.rerank"], folder, "rerank", settings)
        rerank.start()
        process, url = gateway(folder, world.feedback.port, {"RERANK__ADDRESS": f"127.0.0.1:{rerank.port}"})
        process.start()
        yield world, url
    finally:
        for each in (process, rerank):
            if each is not None:
                each.close()
        world.close()


def posted(url: str, body: dict[str, Any]) -> tuple[Any, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response), response.headers


def test_coheres_clients_of_both_versions_rank_and_a_click_finds_the_slate(ranked: tuple[World, str]) -> None:
    world, url = ranked
    base = url.removesuffix("/v1")
    for client in (cohere.Client("unused", base_url=base), cohere.ClientV2("unused", base_url=base)):
        answer = client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS, top_n=2)
        assert [result.index for result in answer.results] == [0, 1]
        assert answer.results[0].relevance_score >= answer.results[1].relevance_score
        wait_until(lambda: any(i.interaction_id == answer.id for i in world.interactions()), "the slate")  # noqa: B023
        (slate,) = [i for i in world.interactions() if i.interaction_id == answer.id]
        assert [c.text for c in slate.ranking.candidates] == DOCUMENTS[:2]
        event = {"interaction_id": answer.id, "click": {"candidate_id": "1", "position": 2}}
        said, _ = posted(f"{url}/feedback", {"events": [event]})
        assert said["results"][0]["outcome"] == "RECORDED"
    assert len([f for f in world.feedbacks() if f.kind_name == "click"]) == 2


def test_jinas_and_tei_shapes(ranked: tuple[World, str]) -> None:
    _, url = ranked
    said, headers = posted(
        f"{url}/rerank", {"model": "jina-reranker-v2", "query": QUERY, "documents": DOCUMENTS, "return_documents": True}
    )
    assert [row["document"]["text"] for row in said["results"]] == DOCUMENTS
    assert said["rejoinder"]["interaction_id"] == headers["x-rejoinder-interaction"]
    rows, headers = posted(
        f"{url.removesuffix('/v1')}/rerank", {"query": QUERY, "texts": DOCUMENTS, "return_text": True}
    )
    assert [(row["index"], row["text"]) for row in rows] == list(enumerate(DOCUMENTS))
    assert all(0 <= row["score"] <= 1 for row in rows)
    assert headers["x-rejoinder-interaction"]
