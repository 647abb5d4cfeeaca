"""WildFeedback pairs (arXiv 2408.15549): rejected = the answer that drew dissatisfaction, chosen = a regeneration.

The regeneration is the policy's own, under the preference summarised from the user's feedback in the system prompt, or
as a revision within the conversation; the training prompt is the conversation as it was, without that preference. Both
sides are on-policy. Of several guided answers one is chosen by reward, or by guidance: the answer that the wish makes
likelier than it is without the wish, log p(y | x, wish) − log p(y | x) in nats, which asks the policy itself whose
answer the wish describes. The disliked answer is scored the same way: where it fits the wish as well as the best of the
others, the pair is dropped, as the paper's checklist judge drops about half. The chosen answer is scored *unguided*
too: one the policy would never say by itself cannot be learnt from a preference, so pairs below a support floor are
dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Candidate, Comment, FollowUp, Message, Polarity, Role, Sampling, Signal
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, Wish, preference, present, seed_of

NAME = "wildfeedback"


@dataclass(frozen=True)
class Params:
    """The paper regenerates once at temperature 0.7 [its appendix]; ours samples a few and lets the reward choose.

    min_confidence: of the DSAT signal, (0, 1]. candidates: guided answers, 1 to 16. temperature: of them, > 0.
    max_tokens: of an answer. max_flip: cap of the flip probability, below 0.5. choose: `reward` (the reward service,
    the first answer where there is none), `guidance` or `first`; min_gain: what the chosen answer must gain over the
    disliked one by guidance, nats. regenerate: what the policy is shown when it writes anew: `wish`, the question under
    the wish, as in the paper, `revision`, the conversation as it went on, with the disliked answer and the feedback, so
    that it changes what was asked for and leaves the rest as it was, or `nothing`, the question alone: with `first` the
    control that shows what the wish brings.
    """

    min_confidence: float = 0.6
    candidates: int = 2
    temperature: float = 0.7
    max_tokens: int = 0
    max_flip: float = 0.45
    regenerate: str = "wish"
    choose: str = "reward"
    min_gain: float = 0.0
    min_support: float = -math.inf

    def __post_init__(self) -> None:
        if self.choose not in ("reward", "guidance", "first"):
            raise BadSettings("wildfeedback: choose must be reward, guidance or first", field="choose")
        if self.regenerate not in ("wish", "revision", "nothing"):
            raise BadSettings("wildfeedback: regenerate must be wish, revision or nothing", field="regenerate")


def build(evidence: Sequence[Evidence], params: Params, context: Context) -> Iterator[Draft | Dropped]:
    """One draft for each dissatisfied follow-up or comment that says what was wanted."""
    mine = [
        (e, e.signal, e.feedback.kind.text)
        for e in evidence
        if e.signal is not None and isinstance(e.feedback.kind, FollowUp | Comment)
    ]
    yield from context.map(lambda said: _one(*said, params, context), mine)


def _one(evidence: Evidence, signal: Signal, said: str, params: Params, context: Context) -> Draft | Dropped:
    answer, sampler = evidence.interaction, present(context.sampler)
    if signal.polarity is not Polarity.DSAT:
        return Dropped(evidence.id, "not_dissatisfied")
    if signal.confidence < params.min_confidence:
        return Dropped(evidence.id, "low_confidence")
    if not answer.response.strip():
        return Dropped(evidence.id, "empty_response")
    wish = present(context.summariser).summarise(evidence)
    if wish is None:
        return Dropped(evidence.id, "no_wish")
    sampling = Sampling(params.temperature, max_tokens=params.max_tokens, seed=seed_of(context, evidence.id))
    wished = asked = guide(answer.messages, wish)
    if params.regenerate == "revision":
        asked = (*answer.messages, Message(Role.ASSISTANT, answer.response), Message(Role.USER, said))
    elif params.regenerate == "nothing":
        asked = answer.messages
    guided = sampler.sample(asked, sampling, params.candidates, context.version)
    # Under the wish a sampled answer's likelihood is known already; equal texts are one answer.
    led = {a.text: a.log_prob for a in guided if a.text.strip() and a.text.strip() != answer.response.strip()}
    texts, tokens = list(led), {a.text: max(a.tokens, 1) for a in guided}
    if not texts:
        return Dropped(evidence.id, "regeneration_is_the_same")
    texts = [text for text in texts if led[text] >= params.min_support * tokens[text]]
    if not texts:
        return Dropped(evidence.id, "unsupported_under_the_wish")
    answers = [*texts, answer.response]
    unguided = sampler.likelihood(answer.messages, answers, context.version)
    scores: Sequence[float] = ()
    if params.choose == "guidance":
        with_wish = sampler.likelihood(wished, answers, context.version)
        scores = [one.log_prob - other.log_prob for one, other in zip(with_wish, unguided, strict=True)]
    elif context.scorer is not None and params.choose == "reward":
        scores = context.scorer.score(answer.messages, answers)
    best = max(range(len(texts)), key=lambda i: scores[i]) if scores else 0
    margin = scores[best] - scores[-1] if scores else 0.0
    if params.choose == "guidance" and margin <= params.min_gain:
        return Dropped(evidence.id, "fits_the_wish_no_better")
    likelihoods = (unguided[best], unguided[-1])
    version = answer.served.version if answer.served else ""
    pair = preference(
        evidence,
        context,
        NAME,
        Candidate(
            texts[best], scores[best] if scores else None, "regenerated", context.version, likelihoods[0].log_prob
        ),
        Candidate(answer.response, scores[-1] if scores else None, "served", version, likelihoods[1].log_prob),
        margin=margin,
        flip_probability=min(params.max_flip, max(0.0, 1.0 - signal.confidence)),
        rule=wish.rule,
    )
    return Draft(pair, (wish.text, said), likelihoods)


def guide(messages: Sequence[Message], wish: Wish) -> tuple[Message, ...]:
    """The conversation with the wish in its system prompt; an existing system prompt stays in front of it."""
    if messages and messages[0].role is Role.SYSTEM:
        return (Message(Role.SYSTEM, f"{messages[0].content}\n{wish.text}"), *messages[1:])
    return (Message(Role.SYSTEM, wish.text), *messages)
