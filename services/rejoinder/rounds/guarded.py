"""What versions of a policy answer about a team's topics: every prompt with the same seed, some answers each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from rejoinder.core.types import Message, Role, Sampling
from rejoinder.evaluate.topics import MOST_ANSWERS, Topics
from rejoinder.rounds.pairs.context import Sampler

#: Answers under way at once. Every one is a row of its own in the service's queue (512), which other callers need too.
AT_ONCE = 64


@dataclass(frozen=True)
class Answers:
    """Of one version to one prompt of a topic."""

    topic: str
    prompt: str
    texts: tuple[str, ...]


def sampled(topics: Topics, sampler: Sampler, version: str, sampling: Sampling, count: int) -> list[Answers]:
    """count: answers to each prompt, 1 to 64. Each prompt has MOST_ANSWERS seeds of its own, by its place in the file:
    the service gives its answers the seeds from the first on, and two prompts that shared one would go together."""
    asked = [(topic.id, prompt) for topic in topics.topics for prompt in topic.prompts]

    def one(number: int) -> Answers:
        topic, prompt = asked[number]
        drawn = replace(sampling, seed=sampling.seed + number * MOST_ANSWERS)
        found = sampler.sample((Message(Role.USER, prompt),), drawn, count, version)
        return Answers(topic, prompt, tuple(each.text for each in found))

    with ThreadPoolExecutor(max(1, AT_ONCE // count)) as pool:
        return list(pool.map(one, range(len(asked))))
