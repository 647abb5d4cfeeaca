"""The ports of a round as the running services: the ledger's windows, policy samples and likelihoods, reward scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rejoinder.clients.ledger import LedgerClient, WindowEvidence
from rejoinder.clients.policy import PolicyClient
from rejoinder.clients.reward import RewardClient
from rejoinder.core.errors import BadEncoding
from rejoinder.core.types import Message, Sampling
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.reading.windows import Evidence, Leaving, Manifest, Window
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

    def heads(self) -> Mapping[str, str]:
        found = self._client.heads()
        default = next(head for head in found if head.default_head)
        return {"": default.digest} | {head.name: head.digest for head in found}

    def under(self, head: str) -> RewardPort:
        return RewardPort(self._client, head)


class WindowPort:
    """`Windows` and `Previews` on the ledger service. owns: nothing."""

    def __init__(self, client: LedgerClient) -> None:
        self._client = client

    def cut(self) -> Cut:
        return Cut.from_json(self._client.cut())

    def window(self, loop: str, number: int, policy: str, cut: Cut, leaving: Leaving | None = None) -> Window:
        return self._built(loop, number, policy, cut, leaving or Leaving())

    def preview(self, loop: str, policy: str, leaving: Leaving | None = None) -> Window:
        return self._built(loop, 0, policy, Cut(), leaving or Leaving())

    def _built(self, loop: str, number: int, policy: str, cut: Cut, leaving: Leaving) -> Window:
        """Row digests stay with the ledger, which verifies them; a round needs the digest over them."""
        asked = cut.to_json() if number else ""
        left_out = (leaving.holdout_salt, leaving.holdout_share, tuple(leaving.rolled_back))
        found = self._client.window(loop, number, policy, asked, *left_out)
        manifest = Manifest(loop, number, policy, cut, found.as_of, found.counts, found.digest, (), found.redacted)
        return Window(manifest, [_piece(each) for each in found.evidence])


def _piece(said: WindowEvidence) -> Evidence:
    """Raises BadEncoding for one without its feedback or its answer."""
    if said.feedback is None or said.interaction is None:
        raise BadEncoding("a piece of a window lacks its feedback or its answer", id=said.id)
    return Evidence(said.id, said.tenant, said.feedback, said.interaction, said.signal, said.other, said.supersedes)
