"""rounds/guarded: every version is asked the same prompts with the same seeds."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.core.types import Message, Sampling
from rejoinder.evaluate.topics import of
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
    """Says the prompt, the seed and the answer's place."""

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        assert sampling.temperature == 0.7
        return [Sampled(f"{version} {messages[0].content} {sampling.seed} {k}", -1.0, 1) for k in range(n)]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        raise AssertionError("stances need answers alone")


def test_each_prompt_is_asked_with_a_seed_of_its_own_in_the_files_order() -> None:
    found = sampled(TOPICS, Echo(), "v", Sampling(0.7, seed=5), 2)
    assert [(a.topic, a.prompt) for a in found] == [("tea", "a"), ("tea", "b"), ("rain", "c")]
    assert [a.texts for a in found] == [("v a 5 0", "v a 5 1"), ("v b 6 0", "v b 6 1"), ("v c 7 0", "v c 7 1")]
