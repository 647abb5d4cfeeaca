"""Row 18, unpacking DPO and PPO (arXiv 2406.09279) in miniature: four parts that can be swapped, sixteen cells.

A log-linear policy chooses among eight answers; a hidden taste says how good each is. Data: comparisons by that taste,
or the same ones with a share of the labels drawn by a coin. Algorithm: DPO on the comparisons, or rounds of the table's
`best_worst` builder on answers that the policy samples, scored by a reward fitted to the comparisons. Reward: fitted to
few features or to all. Prompts, which the sampling is asked: like those that count, or of another kind in which hardly
anything of what counts varies. Cells, their comparisons and main effects are those of `rejoinder round ablate`. The
builder's rounds stand for PPO, which the product does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from rejoinder.core.types import Feedback, Interaction, Message, Role, Sampling
from rejoinder.evaluate.effects import Levels, grid, main_effect
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.pairs.context import Context, Draft, Likelihood, Sampled
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures import choices
from tests.miniatures.choices import ANSWERS, PROMPTS, Pairs, World, at
from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

ROW = 18
PAIRS, ROUNDS = 300, 8
#: The world is built, on seeds 1000 to 1007, so that each part matters and data most. Features that a policy sees, of
#: which the first TRUE decide.
SIZE, TRUE = 80, 12
#: Labels that a coin draws in noisy data, features that a weak reward sees, how far others vary in foreign prompts.
NOISE, SEEN, FOREIGN = 0.6, 9, 0.1

SLOTS: Mapping[str, Sequence[str]] = {
    "data": ("noisy", "clean"),
    "algorithm": ("dpo", "sampling"),
    "reward": ("weak", "strong"),
    "prompts": ("foreign", "own"),
}
#: The control's: every other level is a copy of the base's.
COPIES: Mapping[str, Sequence[str]] = {slot: (levels[0], "copy") for slot, levels in SLOTS.items()}

#: `python -m tests.miniatures.tune ablation`: mean hidden reward over the cells of each algorithm, seeds 1000 to 1007.
DPO = Arm("dpo", {"beta": 0.1}, lr=0.3, steps=200)
SAMPLING = Arm("dpo", {"beta": 3.0}, lr=0.03, steps=200)
REWARD = Arm("dpo", {"beta": 1.0}, lr=0.03, steps=200)


@dataclass(frozen=True)
class Ground:
    """world: the hidden taste, prompts to learn from and prompts that count. clean, noisy: the same comparisons, labels
    drawn anew in the latter. foreign (S, X, K, D): prompts of another kind."""

    world: World
    clean: Pairs
    noisy: Pairs
    foreign: Tensor
    seeds: Sequence[int]


def ground(seeds: Sequence[int]) -> Ground:
    made = choices.world(ROW, seeds, SIZE)
    decides = (torch.arange(SIZE) < TRUE).to(torch.float64)
    taste = made.taste * decides
    made = replace(made, taste=taste * choices.REWARD_NORM / taste.norm(dim=-1, keepdim=True))

    def draw(rng: np.random.Generator) -> tuple[Floats, ...]:
        return (
            rng.integers(PROMPTS, size=PAIRS),
            rng.integers(ANSWERS, size=PAIRS),
            rng.integers(1, ANSWERS, size=PAIRS),
            rng.random(PAIRS),
            rng.random(PAIRS) < NOISE,
            rng.random(PAIRS) < 0.5,
            rng.normal(size=(PROMPTS, ANSWERS, SIZE)),
        )

    prompt, first, away, coins, drawn, turned, foreign = choices.drawn(ROW, seeds, draw)
    clean = choices.compared(made, prompt, first, (first + away) % ANSWERS, coins)
    swap = drawn & turned
    noisy = prompt, torch.where(swap, clean[2], clean[1]), torch.where(swap, clean[1], clean[2])
    scale = torch.ones(SIZE, dtype=torch.float64)
    scale[TRUE // 2 : TRUE] = FOREIGN
    return Ground(made, clean, noisy, foreign * scale, seeds)


def reward(found: Ground, pairs: Pairs, seen: int) -> Tensor:
    """(S, D) weights of a Bradley-Terry reward that sees the first features: DPO's loss from a uniform start, whose
    log-ratio is the reward."""
    mask = (torch.arange(SIZE) < seen).to(torch.float64)
    features = found.world.features * mask
    return choices.fit_pairs(replace(found.world, features=features), pairs, REWARD) * mask


class Policy:
    """The sampler port of the policy at one kind of prompts. owns: its generator."""

    def __init__(self, probabilities: Floats, rng: np.random.Generator) -> None:
        self._steps = probabilities.cumsum(-1)
        self._steps[:, -1] = 1.0
        self._rng = rng

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> Sequence[Sampled]:
        steps = self._steps[int(messages[0].content)]
        return [Sampled(str(a), 0.0, 1) for a in np.searchsorted(steps, self._rng.random(n), side="right")]

    def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str
    ) -> Sequence[Likelihood]:
        raise AssertionError("nothing asks for it")


@dataclass(frozen=True)
class Judge:
    """The scorer port: values (X, K) of the answers under a reward."""

    values: Floats

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> Sequence[float]:
        return [float(self.values[int(messages[0].content), int(text)]) for text in responses]


QUESTIONS = [
    Evidence(str(x), "t", Feedback(), Interaction(messages=(Message(Role.USER, str(x)),))) for x in range(PROMPTS)
]


def sampled(log_policy: Tensor, values: Tensor, seeds: Sequence[int], part: int) -> Pairs:
    """Best and worst of the policy's own answers to every prompt under a reward (S, X, K). A prompt without a pair
    repeats the seed's first."""
    row = BUILDERS["best_worst"]
    params, parts = row.params(min_margin=0.0), []
    for seed, shares, scores in zip(seeds, log_policy.exp().numpy(), values.numpy(), strict=True):
        ports = Policy(shares, np.random.default_rng([ROW, seed, 2, part])), Judge(scores)
        context = Context("ablation", "now", part, seed, *ports, workers=1)
        made = {
            int(d.preference.prompt[0].content): d.preference
            for d in row.make(QUESTIONS, params, context)
            if isinstance(d, Draft)
        }
        drafts = [(x, int(pair.chosen), int(pair.rejected)) for x, pair in made.items()]
        parts.append(np.array([*drafts, *drafts[:1] * (PROMPTS - len(drafts))]))
    prompt, chosen, rejected = torch.from_numpy(np.stack(parts)).unbind(-1)
    return prompt, chosen, rejected


def fit(found: Ground, cell: Mapping[str, str], dpo: Arm = DPO, sampling: Arm = SAMPLING) -> Tensor:
    """Weights (S, D) of the policy that a cell ends with; as many optimiser steps on either way."""
    pairs = found.clean if cell["data"] == "clean" else found.noisy
    if cell["algorithm"] != "sampling":
        return choices.fit_pairs(found.world, pairs, dpo)
    taste = reward(found, pairs, TRUE if cell["reward"] == "strong" else SEEN)
    features = found.world.features[:, 0] if cell["prompts"] == "own" else found.foreign
    values = torch.einsum("sxkd,sd->sxk", features, taste)
    weights = found.world.start
    arm = replace(sampling, steps=sampling.steps // ROUNDS)
    kept: list[Pairs] = []
    for part in range(ROUNDS):
        log_policy = torch.einsum("sxkd,sd->sxk", features, weights).log_softmax(-1)
        kept.append(sampled(log_policy, values, found.seeds, part))
        prompt, chosen, rejected = (torch.cat(side, 1) for side in zip(*kept, strict=True))
        reference = torch.full((prompt.numel(),), -np.log(ANSWERS), dtype=torch.float64)

        def view_of(
            now: Tensor,
            prompt: Tensor = prompt,
            sides: tuple[Tensor, Tensor] = (chosen, rejected),
            reference: Tensor = reference,
        ) -> PairLogps:
            log_policy = torch.einsum("sxkd,sd->sxk", features, now).log_softmax(-1)
            return pair_view(*(at(log_policy, prompt, side).flatten() for side in sides), reference, reference)

        weights = learn(weights, view_of, arm)
    return weights


def run(found: Ground, slots: Mapping[str, Sequence[str]]) -> dict[Levels, Floats]:
    """(S,) mean hidden reward on prompts that nobody learnt from, of every cell; a part that a cell does not read makes
    no other run."""
    done: dict[Levels, Floats] = {}
    cells = {}
    for names in grid(slots):
        cell = dict(zip(slots, names, strict=True))
        own = cell if cell["algorithm"] == "sampling" else cell | {"reward": "", "prompts": ""}
        key = tuple(own.values())
        if key not in done:
            done[key] = found.world.value(fit(found, cell))
        cells[names] = done[key]
    return cells


def effects(cells: Mapping[Levels, Floats], slots: Mapping[str, Sequence[str]]) -> dict[str, Floats]:
    """(S,) main effect of each slot's other level."""
    return {slot: main_effect(slots, cells, slot, levels[1])[0] for slot, levels in slots.items()}


def claims(found: Mapping[str, Floats], again: Floats) -> list[Claim]:
    return [
        *(exceeds(f"main effect of the better {slot}", values, 0.0) for slot, values in found.items()),
        exceeds("effect of data less that of the algorithm", found["data"] - found["algorithm"], 0.0),
        exceeds("cells that give the same figure when they are run again", again, 0.9999),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's other levels are copies of the base's: their effect is exactly nothing."""
    found = ground(seeds)
    cells, copies = run(found, SLOTS), run(found, COPIES)
    ends = [grid(SLOTS)[0], grid(SLOTS)[-1]]
    again = {names: found.world.value(fit(ground(seeds), dict(zip(SLOTS, names, strict=True)))) for names in ends}
    same = np.mean([cells[names] == again[names] for names in ends], axis=0)
    got, nothing = effects(cells, SLOTS), effects(copies, COPIES)
    if any(values.any() for values in nothing.values()):
        raise AssertionError("a copy has an effect")
    beside = {f"effect of {one} less that of {other}": got[one] - got[other] for one, other in pairwise(got)}
    beside |= {", ".join(names): cells[names] for names in ends}
    return Found(claims(got, same), claims(nothing, same), {name: interval(values) for name, values in beside.items()})
