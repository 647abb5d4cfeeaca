"""Best and worst of n (RLHF Workflow, arXiv 2405.07863): on-policy answers to the window's prompts, by reward.

The released recipe takes n = 4 in its loop (8 in its data), drops ties and ignores the margin in the loss; here the
margin is kept, and a floor on it is the builder's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rejoinder.core.ids import derived_id
from rejoinder.core.types import Candidate, Sampling
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, preference, present, seed_of

NAME = "best_worst"


@dataclass(frozen=True)
class Params:
    """n: answers a prompt, 2 to 64 (paper: 4). temperature > 0 (paper: 1.0). min_margin in the reward's logits.

    max_flip: cap of the flip probability sigma(-margin), below 0.5.
    """

    n: int = 4
    temperature: float = 1.0
    max_tokens: int = 0
    min_margin: float = 0.5
    max_flip: float = 0.45


def build(evidence: Sequence[Evidence], params: Params, context: Context) -> Iterator[Draft | Dropped]:
    """One draft for each different prompt of the window."""
    yield from context.map(lambda e: _one(e, params, context), different_prompts(evidence))


def different_prompts(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The first evidence of every prompt."""
    prompts: dict[str, Evidence] = {}
    for item in evidence:
        said = [f"{m.role}\x00{m.content}" for m in item.interaction.messages]
        if said:
            prompts.setdefault(derived_id("prompt", *said), item)
    return list(prompts.values())


def scored(evidence: Evidence, params: Params, context: Context) -> tuple[list[Candidate], float]:
    """Different answers of the version to one prompt, n or fewer, best first by reward; how far the best is ahead of
    the worst."""
    messages = evidence.interaction.messages
    sampling = Sampling(params.temperature, max_tokens=params.max_tokens, seed=seed_of(context, evidence.id))
    answers = present(context.sampler).sample(messages, sampling, params.n, context.version)
    by_text = {a.text: a for a in answers if a.text.strip()}
    scores = present(context.scorer).score(messages, list(by_text)) if by_text else []
    ranked = sorted(zip(by_text.values(), scores, strict=True), key=lambda pair: -pair[1])
    found = [
        Candidate(answer.text, score, "sampled", context.version, answer.log_prob, answer.tokens)
        for answer, score in ranked
    ]
    return found, ranked[0][1] - ranked[-1][1] if ranked else 0.0


def _one(evidence: Evidence, params: Params, context: Context) -> Draft | Dropped:
    found, margin = scored(evidence, params, context)
    if len(found) < 2:
        return Dropped(evidence.id, "one_answer_only")
    best, worst = found[0], found[-1]
    if margin < params.min_margin:
        return Dropped(evidence.id, "margin")
    flip = min(params.max_flip, 1.0 / (1.0 + math.exp(margin)))
    pair = preference(
        evidence, context, NAME, best, worst, margin=margin, flip_probability=flip, judge="reward", rule="best_worst"
    )
    return Draft(pair)
