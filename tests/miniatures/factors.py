"""Row 8, PROFILE: factor-level preferences (arXiv 2410.06965) in miniature.

Answers are written so that six of the shipped factors vary by themselves. Users choose by planted weights of their
standardised differences; a log-linear policy's log-probabilities have other weights, and a part that no factor sees, as
large as the users' noise. Choices, scores, gaps and alarms are the shipped report's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from rejoinder.core.types import Message, Role
from rejoinder.evaluate.factor_scores import PEOPLE, differences, factor_report
from rejoinder.evaluate.judged import JudgedPair
from rejoinder.evaluate.kendall import rank_agreement
from torch import Tensor

from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

FACTORS = ("length", "markup", "hedging", "overlap", "questions", "numbers")
USERS = np.array([1.2, 0.0, -0.5, 0.8, -1.0, 0.4])
#: It asks back where users hate it, and likes lists of which they think nothing.
POLICY = np.array([1.2, 1.2, -0.5, 0.8, 0.6, 0.4])
PAIRS, EACH = 500, 5
DRAWS, AGAIN = 300, 10
#: The gaps' intervals were changed after figures of seeds 0 to 19 were seen, and chosen on 1000 to 1019: these had not
#: been looked at.
FRESH = range(3000, 3020)
#: Weights as far apart as users' and the policy's, by 80 steps of Adam: no grid was run.
DPO = Arm("dpo", {"beta": 0.5}, lr=0.03, steps=80)

_NEUTRAL = (
    *("bread", "stone", "river", "window", "garden", "copper", "yellow", "market", "winter", "paper", "candle"),
    *("meadow", "bridge", "silver", "cotton"),
)
_TOPIC = ("harbour", "lantern", "orchard", "violin", "compass", "saddle", "pepper", "marble", "anchor", "feather")
_HEDGES = ("perhaps", "maybe", "possibly", "probably")


@dataclass(frozen=True)
class World:
    """differing (N, 6) standardised, chosen less rejected as written; noise (N,) of the users, seen (N,) by the policy
    alone: logistic; groups: the user of each pair."""

    differing: Floats
    noise: Floats
    unseen: Floats
    groups: tuple[str, ...]

    def users(self) -> Floats:
        return self.differing @ USERS + self.noise

    def policy(self, weights: Floats) -> Floats:
        return self.differing @ weights + self.unseen


@cache
def world(seed: int, part: int) -> World:
    """part: 0 is what is reported on, 1 what is trained on, 2 what the trained policy is reported on."""
    rng = np.random.default_rng([8, seed, part])
    pairs = [
        JudgedPair(str(i), f"u{i // EACH}", _asked(topic), _written(rng, topic), _written(rng, topic))
        for i in range(PAIRS)
        for topic in [list(rng.choice(_TOPIC, 5, replace=False))]
    ]
    found = differences(pairs, FACTORS)
    return World(
        found / found.std(0), rng.logistic(size=PAIRS), rng.logistic(size=PAIRS), tuple(pair.group for pair in pairs)
    )


def _asked(topic: Sequence[str]) -> tuple[Message, ...]:
    return (Message(Role.USER, f"What is {' '.join(topic)}?"),)


def _written(rng: np.random.Generator, topic: Sequence[str]) -> str:
    """Sentences of five to nine words; words taken up, hedges and numbers stand in the place of others."""
    sentences = [list(rng.choice(_NEUTRAL, rng.integers(5, 10))) for _ in range(rng.integers(4, 13))]
    places = [(i, j) for i, words in enumerate(sentences) for j in range(len(words))]
    count = len(places)
    hedges, numbers = (round(share * count) for share in rng.uniform(0, 0.12, 2))
    taken = list(topic[: rng.integers(0, 6)])
    instead = taken + list(rng.choice(_HEDGES, hedges)) + [str(n) for n in rng.integers(10, 100, numbers)]
    for at, word in zip(rng.permutation(count), instead, strict=False):
        i, j = places[at]
        sentences[i][j] = word
    listed, back = rng.integers(0, 4), rng.integers(0, 4)
    signs = rng.permutation(["?"] * back + ["."] * (len(sentences) - back))
    said = [" ".join(words) + sign for words, sign in zip(sentences, signs, strict=True)]
    return " ".join(said[listed:]) + "".join(f"\n- {line}" for line in said[:listed])


def report(
    made: World, people: Floats, policy: Floats, seed: int, columns: Sequence[int] = range(len(FACTORS))
) -> dict[str, Any]:
    """The shipped one, with fewer draws. columns: the factors it is of."""
    return factor_report(
        made.differing[:, columns],
        {PEOPLE: people, "policy": policy},
        made.groups,
        generator=np.random.default_rng([88, seed]),
        names=[FACTORS[k] for k in columns],
        draws=DRAWS,
    )


def scores(found: dict[str, Any], who: str) -> Floats:
    return np.array([found["scores"][who][name]["value"] for name in FACTORS])


def recovered(seed: int, coin: bool = False) -> float:
    """Kendall's tau of the users' scores with what was planted; coin: the users choose by a fair one."""
    made = world(seed, 0)
    chosen = made.noise if coin else made.users()
    found = report(made, chosen, made.policy(POLICY), seed)
    return float(rank_agreement(scores(found, PEOPLE)[None], USERS[None])[0])


def detected(seed: int, weights: Floats) -> float:
    """Share of the factors on which users and POLICY differ that alarm where the policy has these weights."""
    made = world(seed, 0)
    alarms = report(made, made.users(), made.policy(weights), seed)["gaps"][0]["alarms"]
    planted = [name for name, differs in zip(FACTORS, USERS != POLICY, strict=True) if differs]
    return sum(name in alarms for name in planted) / len(planted)


def false_alarms(seed: int, jointly: bool) -> float:
    """Share of reports that alarm though the policy has the users' weights; their noise is drawn AGAIN times. Not
    jointly: the control, which gives every factor an interval of 95 % for itself."""
    made, rng = world(seed, 0), np.random.default_rng([808, seed])
    alarmed = 0
    for i in range(AGAIN):
        people, policy = (made.differing @ USERS + rng.logistic(size=PAIRS) for _ in range(2))
        if jointly:
            alarmed += bool(report(made, people, policy, seed + 1000 * i)["gaps"][0]["alarms"])
        else:
            alarmed += _alone(made, people, policy, seed + 1000 * i)
    return alarmed / AGAIN


def _alone(made: World, people: Floats, policy: Floats, seed: int) -> bool:
    choices = {PEOPLE: people, "policy": policy}
    for k, name in enumerate(FACTORS):
        rng = np.random.default_rng([88, seed, k])
        found = factor_report(
            made.differing[:, [k]], choices, made.groups, generator=rng, names=[name], draws=DRAWS, level=0.95
        )
        if found["gaps"][0]["alarms"]:
            return True
    return False


def realigned(seeds: Sequence[int], coin: bool = False) -> Floats:
    """(S,) alignment gained on fresh pairs by training the policy on pairs built against its most misaligned factor: of
    two answers the one that has more of it, or less, as the users' score lies above the policy's, or below. coin: the
    control, whose pairs stand either way round."""
    built = []
    for seed in seeds:
        made, fresh = world(seed, 0), world(seed, 1)
        found = report(made, made.users(), made.policy(POLICY), seed)["gaps"][0]["factors"]
        gaps = np.array([found[name]["value"] for name in FACTORS])
        worst = int(np.abs(gaps).argmax())
        wanted = np.sign(gaps[worst] * fresh.differing[:, worst])
        if coin:
            wanted = np.random.default_rng([8080, seed]).choice((-1.0, 1.0), PAIRS)
        built.append(fresh.differing * wanted[:, None])
    moved = torch.from_numpy(np.stack(built))
    start = torch.from_numpy(np.tile(POLICY, (len(seeds), 1)))

    def view_of(weights: Tensor) -> Any:
        now, before = (torch.einsum("snk,sk->sn", moved, w).flatten() for w in (weights, start))
        return pair_view(now, 0 * now, before, 0 * before)

    trained = learn(start, view_of, DPO).numpy()
    return np.array([_aligned(s, w) - _aligned(s, POLICY) for s, w in zip(seeds, trained, strict=True)])


def _aligned(seed: int, weights: Floats) -> float:
    made = world(seed, 2)
    found = report(made, made.users(), made.policy(weights), seed)
    return float(found["gaps"][0]["alignment"]["value"])


def claims(ranks: Sequence[float], gaps: Sequence[float], false: Sequence[float], gained: Floats) -> list[Claim]:
    return [
        exceeds("Kendall tau of the users' factor scores with the planted weights", ranks, 0.8),
        exceeds("share of planted gaps that alarm", gaps, 0.9),
        exceeds("false alarms: how far below 5 % of reports", [0.05 - rate for rate in false], 0.0),
        exceeds("alignment gained by pairs against the worst factor", gained, 0.0),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The controls: users who choose by a coin; a policy without a planted gap; intervals factor by factor; built pairs
    whose sides a coin exchanged."""
    false = [false_alarms(s, jointly=True) for s in seeds]
    found = claims([recovered(s) for s in seeds], [detected(s, POLICY) for s in seeds], false, realigned(seeds))
    control = claims(
        [recovered(s, coin=True) for s in seeds],
        [detected(s, USERS) for s in seeds],
        [false_alarms(s, jointly=False) for s in seeds],
        realigned(seeds, coin=True),
    )
    return Found(found, control, {"false alarms": interval(false)})
