"""Row 93, value drifts (arXiv 2510.26707) in miniature: SFT sets stances, pairs that share a stance leave them alone.

Three topics, three stances, four styles; a log-linear policy chooses a stance and a style for each of the prompts. SFT
learns from demonstrations whose stances are skewed, topic by topic. Then come preferences about style: between answers
of one stance, or, on the first topic, with a planted gap of stances. What is claimed of training is of the
policies' own shares on prompts not learnt from; what is claimed of the diagnostic is of answers sampled from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rejoinder.evaluate.drift import REACHED, Reading, drift_report, drift_time, moves
from rejoinder.evaluate.kendall import resampled
from rejoinder.evaluate.topics import STANCES
from torch import Tensor

from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

TOPICS, STYLES, PROMPTS, NOISE = 3, 4, 50, 6
ANSWERS = len(STANCES) * STYLES
#: Stances of the demonstrations, topic by topic, and with no skew: the control.
SKEWED = ((0.1, 0.6, 0.3), (0.6, 0.3, 0.1), (0.15, 0.15, 0.7))
EVEN = ((1 / 3,) * 3,) * TOPICS
DEMONSTRATIONS, PAIRS = 900, 1800
#: How much better a style is than the next, in logits; how often a planted pair prefers support to oppose.
STEP, PLANTED = 1.0, 0.9

SFT = Arm("sft", {}, lr=0.1, steps=100)
#: `python -m tests.miniatures.tune drift`: the most of style less KL nats, on seeds 1000 to 1007, from pairs of one
#: stance. SimPO without its margin is DPO's row against an even reference.
KL = 0.3
DPO = Arm("dpo", {"beta": 0.3}, lr=0.1, steps=150)
SIMPO = Arm("dpo", {"beta": 0.3}, lr=0.1, steps=150)
ORPO = Arm("orpo", {"weight": 3.0}, lr=0.3, steps=150)
#: Of the reward that RL has from the same pairs: a reward's loss is DPO's against an even reference.
REWARD = Arm("dpo", {"beta": 1.0}, lr=0.1, steps=150)

#: Of the diagnostic: answers to a prompt, draws, runs of A/A and sigmoids a seed, checkpoints of a sigmoid, and its
#: ranges of middles and slopes.
EACH, DRAWS, AGAIN, CURVES = 20, 300, 20, 5
AT = np.linspace(0, 1, 41)
MIDDLES, SLOPES = (0.15, 0.5), (12.0, 30.0)

#: prompts, chosen and rejected answers (S, N).
Pairs = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class World:
    """S seeds. features (S, 2, TOPICS * PROMPTS, ANSWERS, D): of prompts learnt from, and of others. An answer is
    stance * STYLES + style."""

    features: Tensor

    def log_policy(self, weights: Tensor, held: int) -> Tensor:
        """(S, X, ANSWERS)"""
        return torch.einsum("sxkd,sd->sxk", self.features[:, held], weights).log_softmax(-1)

    def shares(self, weights: Tensor) -> Floats:
        """(S, TOPICS, PROMPTS, stances) on prompts not learnt from."""
        found = self.log_policy(weights, 1).exp()
        return found.view(len(found), TOPICS, PROMPTS, len(STANCES), STYLES).sum(-1).numpy()

    def divergence(self, weights: Tensor, start: Tensor) -> Floats:
        """(S,) KL to `start` on prompts not learnt from, nats an answer."""
        now, before = (self.log_policy(each, 1) for each in (weights, start))
        return (now.exp() * (now - before)).sum(-1).mean(-1).numpy()

    def style(self, weights: Tensor) -> Floats:
        """(S,) expected reward of style on prompts not learnt from."""
        found = self.log_policy(weights, 1).exp().view(len(weights), -1, len(STANCES), STYLES).sum(2).mean(1)
        return (found @ rewards()).numpy()


def rewards() -> Tensor:
    """(STYLES,) of each style."""
    return STEP * torch.arange(STYLES, dtype=torch.float64)


def world(seeds: Sequence[int]) -> World:
    """An answer's features: its topic and stance, its style, and noise that all of it share."""
    topic = np.repeat(np.arange(TOPICS), PROMPTS)
    stance, style = np.divmod(np.arange(ANSWERS), STYLES)
    of_stance = np.eye(TOPICS * len(STANCES))[topic[:, None] * len(STANCES) + stance]
    of_style = np.broadcast_to(np.eye(STYLES)[style], (len(topic), ANSWERS, STYLES))
    made = []
    for seed in seeds:
        noise = np.random.default_rng([93, seed]).normal(size=(2, len(topic), ANSWERS, NOISE))
        made.append([np.concatenate([of_stance, of_style, part], -1) for part in noise])
    return World(torch.from_numpy(np.array(made)))


def demonstrations(seeds: Sequence[int], stances: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    """Prompts and answers (S, DEMONSTRATIONS)."""
    made = []
    for seed in seeds:
        rng = np.random.default_rng([93, seed, 1])
        prompt = rng.integers(TOPICS * PROMPTS, size=DEMONSTRATIONS)
        below = np.cumsum(stances, -1)[prompt // PROMPTS]
        stance = (rng.random(DEMONSTRATIONS)[:, None] > below[:, :-1]).sum(-1)
        made.append((prompt, stance * STYLES + rng.integers(STYLES, size=DEMONSTRATIONS)))
    prompt, answer = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
    return prompt, answer


def pairs(world: World, seeds: Sequence[int], weights: Tensor, planted: float | None) -> Pairs:
    """The policy's own answers, the better style preferred. Both of a pair have one stance; but on the first topic,
    where `planted` is given, one supports, the other opposes, and so often it is the first that is preferred."""
    made = []
    for seed, policy in zip(seeds, world.log_policy(weights, 0).exp().numpy(), strict=True):
        rng = np.random.default_rng([93, seed, 2])
        prompt = rng.integers(TOPICS * PROMPTS, size=PAIRS)
        drawn = policy[prompt].cumsum(-1)
        answer = (rng.random(PAIRS)[:, None] > drawn[:, :-1]).sum(-1)
        stance, first = np.divmod(answer, STYLES)
        second = (first + rng.integers(1, STYLES, size=PAIRS)) % STYLES
        liked = rng.random(PAIRS) < 1 / (1 + np.exp(-STEP * (first - second)))
        better, worse = np.where(liked, first, second), np.where(liked, second, first)
        above, below, coins = stance.copy(), stance.copy(), rng.random(PAIRS)
        if planted is not None:
            where = prompt < PROMPTS
            right = coins < planted
            above[where], below[where] = np.where(right, 0, 2)[where], np.where(right, 2, 0)[where]
        made.append((prompt, above * STYLES + better, below * STYLES + worse))
    prompt, chosen, rejected = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
    return prompt, chosen, rejected


def fit(world: World, start: Tensor, made: Pairs, arm: Arm, reference: Tensor | None = None) -> Tensor:
    """Weights (S, D) from `start`; reference: `start` by default."""
    prompt, *sides = made
    places = [prompt * ANSWERS + side for side in sides]

    def logps(weights: Tensor) -> list[Tensor]:
        log_policy = world.log_policy(weights, 0).flatten(1)
        return [log_policy.gather(1, place).flatten() for place in places]

    before = logps(start if reference is None else reference)
    return learn(start, lambda weights: pair_view(*logps(weights), *before), arm)


def tuned(world: World, seeds: Sequence[int], stances: Sequence[Sequence[float]], arm: Arm = SFT) -> Tensor:
    prompt, answer = demonstrations(seeds, stances)
    return fit(world, base(world), (prompt, answer, answer), arm)


def base(world: World) -> Tensor:
    """(S, D) even everywhere."""
    return torch.zeros(len(world.features), world.features.shape[-1], dtype=torch.float64)


def readings(shares: Floats, checkpoint: str, rng: np.random.Generator) -> list[Reading]:
    """EACH answers to each prompt of a policy's shares (TOPICS, PROMPTS, stances)."""
    return [
        reading
        for (topic, prompt, stance), count in np.ndenumerate(rng.multinomial(EACH, shares))
        for reading in [Reading(checkpoint, str(topic), str(prompt), STANCES[stance])] * count
    ]


def alarms(before: Floats, after: Floats, rng: np.random.Generator) -> set[str]:
    """Topics that the shipped report alarms on, of two policies' sampled answers."""
    found = [*readings(before, "before", rng), *readings(after, "after", rng)]
    told = drift_report(found, {"before": None, "after": None}, generator=rng, draws=DRAWS)
    return {alarm["topic"] for alarm in told["alarms"]}


def alarmed_alone(shares: Floats, rng: np.random.Generator) -> bool:
    """The control of A/A: every move has an interval of 95 % for itself."""
    one, two = (rng.multinomial(EACH, shares) / EACH for _ in range(2))
    weights = resampled([str(prompt) for prompt in range(PROMPTS)], 2, rng)
    found = [moves((after - before)[None], EACH, weights) for before, after in zip(one, two, strict=True)]
    return any((np.abs(topic.value) > 1.96 * topic.error).any() for topic in found)


def far_off(seed: int, plainly: bool) -> float:
    """Mean distance of CURVES drift times from the true ones. Prompts go from shares of their own to others of their
    own along one sigmoid. plainly: the control, whose extreme is the largest move."""
    rng, found = np.random.default_rng([93, seed, 5]), []
    for _ in range(CURVES):
        middle, slope = rng.uniform(*MIDDLES), rng.uniform(*SLOPES)
        start, end = rng.dirichlet((2, 6, 2), PROMPTS), rng.dirichlet((7, 2, 1), PROMPTS)
        done = 1 / (1 + np.exp(-slope * (AT - middle)))[:, None, None]
        shares = rng.multinomial(EACH, start + done * (end - start)) / EACH
        weights = resampled([str(prompt) for prompt in range(PROMPTS)], 2, rng)
        seen = moves(shares - shares[0], EACH, weights)
        moved = seen.value[:, 0]
        error = 0.0 if plainly else float(np.median(seen.error[1:, 0]))
        first, last = done[0, 0, 0], done[-1, 0, 0]
        reached = first + REACHED * (last - first)
        true = middle - np.log(1 / reached - 1) / slope
        found.append(abs(drift_time(AT, moved, error) - true))
    return float(np.mean(found))


def time_of_sft(world: World, seeds: Sequence[int]) -> Floats:
    """(S,) drift time of the first topic's neutral share, by the policies' own shares."""
    steps = np.array([0.0, 5, 10, 20, 40, SFT.steps])
    shares = [world.shares(tuned(world, seeds, SKEWED, replace(SFT, steps=int(n))))[:, 0, :, 1].mean(-1) for n in steps]
    return np.array([drift_time(steps, path - path[0], 1e-6) for path in np.stack(shares, 1)])


def measure(seeds: Sequence[int]) -> Found:
    """The controls: demonstrations without a skew; planted pairs for those of one stance; planted pairs whose sides a
    coin exchanged; a policy that did not move; a move's interval for itself; the largest move for the extreme."""
    made = world(seeds)
    sft = tuned(made, seeds, SKEWED)
    same, gap, coin = (pairs(made, seeds, sft, planted) for planted in (None, PLANTED, 0.5))
    before = made.shares(sft)

    def moved(weights: Tensor, start: Floats = before) -> Floats:
        """(S, TOPICS, stances)"""
        found: Floats = (made.shares(weights) - start).mean(2)
        return found

    def largest(move: Floats) -> Floats:
        found: Floats = np.abs(move).reshape(len(seeds), -1).max(1)
        return found

    even = made.shares(base(made))
    skew, flat = (np.abs(moved(w, even)).max(-1).mean(-1) for w in (sft, tuned(made, seeds, EVEN)))
    arms = {name: fit(made, sft, part, DPO) for name, part in (("same", same), ("gap", gap), ("coin", coin))}
    move = {name: moved(weights) for name, weights in arms.items()}
    after = made.shares(arms["gap"])

    def seen(part: int, later: Floats) -> Floats:
        """(S,) whether the planted topic alarms."""
        rngs = [np.random.default_rng([93, seed, part]) for seed in seeds]
        return np.array([float("0" in alarms(*row)) for row in zip(before, later, rngs, strict=True)])

    rngs = [np.random.default_rng([93, seed, 4]) for seed in seeds]
    false = np.array(
        [np.mean([bool(alarms(s, s, r)) for _ in range(AGAIN)]) for s, r in zip(before, rngs, strict=True)]
    )
    alone = np.array([np.mean([alarmed_alone(s, r) for _ in range(AGAIN)]) for s, r in zip(before, rngs, strict=True)])
    off, plain = (np.array([far_off(seed, plainly) for seed in seeds]) for plainly in (False, True))

    def claims(
        skewed: Floats, neutral: Floats, planted: Floats, told: Floats, wrong: Floats, time: Floats
    ) -> list[Claim]:
        return [
            exceeds("SFT on skewed stances: largest move, mean of topics", skewed, 0.2),
            exceeds("pairs of one stance: how far their largest move stays below .05", 0.05 - largest(neutral), 0.0),
            exceeds("planted gap: DPO's move to support", planted[:, 0, 0], 0.2),
            exceeds("that move less the largest of pairs of one stance", planted[:, 0, 0] - largest(move["same"]), 0.0),
            exceeds("planted gap: runs of the report that alarm there", told, 0.95),
            exceeds("A/A: how far below 5 % of runs alarm", 0.05 - wrong, 0.0),
            exceeds("time of a sigmoid: how far within .03 of the true one", 0.03 - time, 0.0),
        ]

    found = claims(skew, move["same"], move["gap"], seen(3, after), false, off)
    control = claims(flat, move["gap"], move["coin"], seen(3, before), alone, plain)
    # The optimum of RL against a learnt reward less KL to its start is log-linear too.
    reward = fit(made, base(made), gap, REWARD)
    low = replace(DPO, params={"beta": 0.1})
    beside = {
        "largest move, pairs of one stance": largest(move["same"]),
        "largest move, pairs of one stance, beta .1": largest(moved(fit(made, sft, same, low))),
        "planted, SimPO without margin": moved(fit(made, sft, gap, SIMPO, base(made)))[:, 0, 0],
        "planted, ORPO": moved(fit(made, sft, gap, ORPO))[:, 0, 0],
        "planted, RL at DPO's beta": moved(sft + reward / DPO.params["beta"])[:, 0, 0],
        "planted, RL at 1": moved(sft + reward)[:, 0, 0],
        "planted, DPO at beta 1": moved(fit(made, sft, gap, replace(DPO, params={"beta": 1.0})))[:, 0, 0],
        "drift time of SFT": time_of_sft(made, seeds),
        "A/A runs that alarm": false,
        "distance of a sigmoid's time": off,
    }
    return Found(found, control, {name: interval(values) for name, values in beside.items()})
