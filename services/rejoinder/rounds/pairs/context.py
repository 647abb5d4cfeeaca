"""What a builder is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from rejoinder.core.ids import derived_id
from rejoinder.core.types import Candidate, Message, Preference, Provenance, Sampling
from rejoinder.ledger.reading.windows import Evidence

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Sampled:
    """One answer; log_prob in nats over its tokens under the version that wrote it."""

    text: str
    log_prob: float
    tokens: int


@dataclass(frozen=True)
class Likelihood:
    """log p of one answer, nats, and its tokens, the end included."""

    log_prob: float
    tokens: int

    @property
    def per_token(self) -> float:
        return self.log_prob / max(self.tokens, 1)


class Sampler(Protocol):
    """The policy service. version "" is stable."""

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> Sequence[Sampled]: ...

    def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str
    ) -> Sequence[Likelihood]: ...


class Scorer(Protocol):
    """A head of the reward service: higher is better, only differences mean anything."""

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> Sequence[float]: ...

    def heads(self) -> Mapping[str, str]:
        """The heads that are loaded, name → digest of their weights; "" is this one."""

    def under(self, head: str) -> Scorer:
        """The same service under another head."""


@dataclass(frozen=True)
class Wish:
    """What a user said they want, as a line for a system prompt. rule: who summarised it, for provenance."""

    text: str
    rule: str


class Summariser(Protocol):
    def summarise(self, evidence: Evidence) -> Wish | None:
        """The preference in the user's feedback; None when nothing can be said of it."""


@dataclass(frozen=True)
class Context:
    """One round's: its number and seed, the version that regenerates, the ports that are there (None: not)."""

    policy: str
    version: str
    round: int
    seed: int
    sampler: Sampler | None = None
    scorer: Scorer | None = None
    summariser: Summariser | None = None
    workers: int = 8

    def missing(self, needs: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in needs if getattr(self, name) is None)

    def map(self, work: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """Results in the order of the items; several at once, because the services behind the ports batch."""
        if self.workers == 1:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            yield from pool.map(work, items)


def present(port: A | None) -> A:
    """A port that a row needs: rows whose ports are missing are left out before they build."""
    assert port is not None
    return port


@dataclass(frozen=True)
class Draft:
    """A preference that the guards have not seen. forbidden: texts that must leave no trace in its prompt."""

    preference: Preference
    forbidden: tuple[str, ...] = ()
    likelihoods: tuple[Likelihood, ...] = field(default=())


@dataclass(frozen=True)
class Dropped:
    """Evidence that made no pair, and why: a stable word."""

    evidence_id: str
    cause: str


def preference(
    evidence: Evidence,
    context: Context,
    builder: str,
    chosen: Candidate,
    rejected: Candidate,
    **values: object,
) -> Preference:
    """A pair about one piece of evidence, its provenance filled in."""
    interaction, said = evidence.interaction, evidence.feedback
    signal = evidence.signal
    provenance = Provenance(
        builder=builder,
        builder_version="1",
        event_ids=tuple(filter(None, (interaction.event_id, said.event_id, signal.event_id if signal else ""))),
        interaction_ids=(interaction.interaction_id,),
        policy=context.policy,
        version=context.version,
        judge=str(values.pop("judge", signal.extractor_version if signal else "")),
        round=context.round,
        seed=context.seed,
        rule=str(values.pop("rule", "")),
        evidence=evidence.id,
    )
    return Preference(
        id=f"{builder}:{evidence.id}",
        prompt=interaction.messages,
        candidates=(chosen, rejected),
        reasons=tuple(reason.rubric for reason in signal.reasons) if signal else (),
        tenant=evidence.tenant,
        user_id=interaction.user_id or said.user_id,
        conversation_id=interaction.conversation_id,
        provenance=provenance,
        **values,  # type: ignore[arg-type]
    )


def seed_of(context: Context, evidence_id: str) -> int:
    """A seed of its own for each piece of evidence, so that order and batch size change nothing."""
    return int(derived_id("seed", str(context.seed), str(context.round), evidence_id)[:8], 16)
