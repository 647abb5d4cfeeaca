"""The ports of a round as the running services: policy samples and likelihoods, reward scores."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.clients.policy import PolicyClient
from rejoinder.clients.reward import RewardClient
from rejoinder.core.types import Message, Sampling
from rejoinder.rounds.pairs.context import Likelihood, Sampled

#: Seconds that one request may wait in a busy engine: rounds are background work.
PATIENCE_S = 120.0


class PolicyPort:
    """`Sampler` on the policy service. owns: nothing; the client is given and closed by whoever made it."""

    def __init__(self, client: PolicyClient, policy: str) -> None:
        self._client = client
        self._policy = policy

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        found = self._client.sample(
            messages, sampling=sampling, n=n, policy=self._policy, version=version, deadline_s=PATIENCE_S
        )
        return [Sampled(a.text, a.log_prob, a.tokens) for a in found.answers]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        found = self._client.likelihood(
            messages, continuations, policy=self._policy, version=version, deadline_s=PATIENCE_S
        )
        return [Likelihood(lp, n) for lp, n in zip(found.log_probs, found.tokens, strict=True)]


class RewardPort:
    """`Scorer` on the reward service. owns: nothing."""

    def __init__(self, client: RewardClient, head: str = "") -> None:
        self._client = client
        self._head = head

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> list[float]:
        return list(self._client.score(messages, responses, head=self._head, deadline_s=PATIENCE_S).scores)
