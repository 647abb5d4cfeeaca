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
from rejoinder.ledger.windows import Evidence
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, preference, seed_of

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
    prompts: dict[str, Evidence] = {}
    for item in evidence:
        said = [f"{m.role}\x00{m.content}" for m in item.interaction.messages]
        if said:
            prompts.setdefault(derived_id("prompt", *said), item)
    yield from context.map(lambda e: _one(e, params, context), list(prompts.values()))


def _one(evidence: Evidence, params: Params, context: Context) -> Draft | Dropped:
    messages = evidence.interaction.messages
    sampling = Sampling(params.temperature, max_tokens=params.max_tokens, seed=seed_of(context, evidence.id))
    answers = context.sampler.sample(messages, sampling, params.n, context.version)
    texts = list(dict.fromkeys(a.text for a in answers if a.text.strip()))
    if len(texts) < 2:
        return Dropped(evidence.id, "one_answer_only")
    scores = context.scorer.score(messages, texts)
    best, worst = (pick(range(len(texts)), key=lambda i: scores[i]) for pick in (max, min))
    margin = scores[best] - scores[worst]
    if margin < params.min_margin:
        return Dropped(evidence.id, "margin")
    by_text = {a.text: a for a in answers}
    sides = [
        Candidate(texts[i], scores[i], "sampled", context.version, by_text[texts[i]].log_prob, by_text[texts[i]].tokens)
        for i in (best, worst)
    ]
    flip = min(params.max_flip, 1.0 / (1.0 + math.exp(margin)))
    pair = preference(
        evidence, context, NAME, *sides, margin=margin, flip_probability=flip, judge="reward", rule="best_worst"
    )
    return Draft(pair)
