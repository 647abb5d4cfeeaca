"""rounds/guarded: every version is asked the same prompts with the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from rejoinder.core.types import Message, Sampling
from rejoinder.evaluate.topics import MOST_ANSWERS, of
from rejoinder.rounds.guarded import sampled
from rejoinder.rounds.pairs.context import Likelihood, Sampled

TOPICS = of(
    {
        "version": "1",
        "topics": [
            {"id": "tea", "question": "?", "prompts": ["a", "b"]},
            {"id": "rain", "question": "?", "prompts": ["c"]},
        ],
    }
)


class Echo:
    """Says the version, the prompt and the answer's seed, which is the service's: the request's and one more each."""

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        assert sampling.temperature == 0.7
        return [Sampled(f"{version} {messages[0].content} {sampling.seed + k}", -1.0, 1) for k in range(n)]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        raise AssertionError("stances need answers alone")


def test_each_prompt_is_asked_in_the_files_order_and_no_answers_share_a_seed() -> None:
    found = sampled(TOPICS, Echo(), "v", Sampling(0.7, seed=5), MOST_ANSWERS)
    assert [(a.topic, a.prompt) for a in found] == [("tea", "a"), ("tea", "b"), ("rain", "c")]
    assert [a.texts[0] for a in found] == ["v a 5", "v b 69", "v c 133"]
    seeds = [int(text.split()[-1]) for a in found for text in a.texts]
    assert len(set(seeds)) == len(seeds) == 3 * MOST_ANSWERS


@pytest.mark.parametrize(("count", "prompts"), [(1, 64), (20, 3), (64, 1)])
def test_answers_and_not_prompts_are_counted_under_way(
    monkeypatch: pytest.MonkeyPatch, count: int, prompts: int
) -> None:
    made: list[int] = []

    def pool(workers: int) -> ThreadPoolExecutor:
        made.append(workers)
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr("rejoinder.rounds.guarded.ThreadPoolExecutor", pool)
    sampled(TOPICS, Echo(), "v", Sampling(0.7), count)
    assert made == [prompts]
