"""Chooses beta and lr of every arm: `python -m tests.miniatures.tune rdpo` prints each grid and what is best on it.

On eight seeds of their own (1000 to 1007), every arm by the same rule within a row. What it chose stands in the
miniatures as constants.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import torch

from tests.miniatures import (
    ablation,
    bandit,
    chat,
    choices,
    contrast,
    dove,
    drift,
    kto,
    ln_dpo,
    nextquill,
    online,
    orpo,
    rankings,
    rdpo,
    rpo,
    teachers,
    thoughts,
    tpo,
    vpo,
    wildfeedback,
)
from tests.miniatures.fitting import Arm

SEEDS = range(1000, 1008)
BETAS, RATES = (0.01, 0.03, 0.1, 0.3), (0.03, 0.1, 0.3, 1.0)


def grid(arm: Arm, betas: Sequence[float], rates: Sequence[float]) -> Iterator[Arm]:
    """The arm at every beta and lr; SFT has no beta."""
    for beta, lr in product(betas if "beta" in arm.params else (0.0,), rates):
        yield replace(arm, params={"beta": beta} if "beta" in arm.params else {}, lr=lr)


def best(name: str, arms: Iterator[Arm], score: Callable[[Arm], float]) -> None:
    found = [(score(arm), arm) for arm in arms]
    for value, arm in found:
        print(f"{name:18} {arm.params.get('beta', '-')!s:>5} lr {arm.lr:<5} {value:.4f}")
    value, arm = max(found, key=lambda pair: pair[0])
    print(f"{name:18} best: beta {arm.params.get('beta', '-')}, lr {arm.lr} ({value:.4f})")


def tune_rdpo() -> None:
    """Mean value less beta times KL; beta is what the claim holds fixed."""
    world, rates = rdpo.world(SEEDS), (0.003, 0.01, 0.03, 0.1)

    def of(arm: Arm, eps: Sequence[float]) -> float:
        return sum(float(rdpo.regularised(world, rdpo.fit(world, arm, e, e)).mean()) for e in eps) / len(eps)

    best("clean dpo", grid(rdpo.CLEAN, (rdpo.BETA,), rates), lambda arm: of(arm, (0.0,)))
    best("dpo", grid(rdpo.DPO, (rdpo.BETA,), rates), lambda arm: of(arm, rdpo.EPS))
    best("rdpo", grid(rdpo.RDPO, (rdpo.BETA,), rates), lambda arm: of(arm, rdpo.EPS))


def tune_ln_dpo() -> None:
    """Each arm's shortest and longest among its settings within two points of its most wins."""
    world = ln_dpo.world(SEEDS)
    for name, arms in (("dpo", ln_dpo.DPO_GRID), ("ln_dpo", ln_dpo.LN_GRID)):
        fits = [(arm, ln_dpo.fit(world, arm)) for arm in arms]
        found = [(arm, float(ln_dpo.win_rate(f).mean()), float(ln_dpo.length(f).mean())) for arm, f in fits]
        for arm, wins, length in found:
            print(f"{name:18} beta {arm.params['beta']:<6g} lr {arm.lr:<5} wins {wins:.4f} length {length:.2f}")
        most = max(wins for _, wins, _ in found)
        for end, pick in (("shortest", min), ("longest", max)):
            arm, wins, length = pick((f for f in found if f[1] > most - 0.02), key=lambda f: f[2])
            print(f"{name:18} {end}: beta {arm.params['beta']:g}, lr {arm.lr} (wins {wins:.4f}, length {length:.2f})")


def tune_rankings() -> None:
    """The objective's own loss at the end: both are to be trained out; beta is what the claim fixes."""
    world = rankings.world(SEEDS)
    for name, arm in (("dpo", rankings.DPO), ("sft", rankings.SFT)):
        best(name, grid(arm, (rankings.BETA,), RATES), lambda arm: -rankings.loss(world, rankings.fit(world, arm), arm))


def tune_plans(plans: Mapping[str, bandit.Plan]) -> None:
    """Mean expected reward."""
    for name, plan in plans.items():
        arms = grid(plan.arm, BETAS, RATES)
        best(name, arms, lambda arm, plan=plan: float(bandit.run(replace(plan, arm=arm), SEEDS).mean()))


def tune_online() -> None:
    tune_plans({"offline": online.OFFLINE, "online": online.ONLINE})


def tune_wildfeedback() -> None:
    """Satisfaction after the rounds, on three seeds: each round reads some eighty turns with the shipped extractor."""
    world = chat.world()
    count, users = wildfeedback.LOOP_ROUNDS, wildfeedback.LOOP_USERS

    def reached(arm: Arm) -> float:
        return sum(wildfeedback.rounds(world, users, count, seed, arm=arm)[-1] for seed in SEEDS[:3]) / 3

    best("dpo", grid(wildfeedback.DPO, (0.1, 0.3, 1.0), (wildfeedback.DPO.lr,)), reached)


def tune_contrast() -> None:
    names = ("SFT", "ONLINE_SFT", "OFFLINE_ALIGNED", "ONLINE_ALIGNED")
    tune_plans({name.lower(): getattr(contrast, name) for name in names})


def rates(arm: Arm) -> Iterator[Arm]:
    """The arm at every lr: beta and the row's own parameters are what the claim fixes."""
    for lr in (0.003, 0.01, *RATES):
        yield replace(arm, lr=lr)


def tune_kto() -> None:
    """Mean value."""
    world, pool, coins = kto.world(SEEDS)
    best("dpo", rates(kto.DPO), lambda a: world.value(kto.fit_compared(world, pool, coins, a)).mean())
    even, few = kto.balanced(pool), kto.lopsided(pool)
    for name, judged, arm in (("kto", even, kto.KTO), ("lopsided", few, kto.EQUAL), ("weighed", few, kto.WEIGHED)):
        best(name, rates(arm), lambda a, judged=judged: world.value(kto.fit_judged(world, judged, a)).mean())


def tune_tpo() -> None:
    """Mean Kendall tau."""
    world, answers, value = tpo.world(SEEDS)
    for name, arm in (("dpo", tpo.DPO), ("tpo", tpo.TPO)):
        best(name, rates(arm), lambda a: tpo.tau(world, tpo.fit(world, answers, value, a)).mean())


def tune_vpo() -> None:
    """Mean value."""
    rewards, pairs = vpo.world(SEEDS)
    for name, arm in (("dpo", vpo.DPO), ("vpo", vpo.VPO)):
        best(name, rates(arm), lambda a: vpo.value(rewards, vpo.fit(rewards, pairs, a)).mean())


def tune_orpo() -> None:
    """Mean value."""
    world, pairs = orpo.world(SEEDS)
    for name, arm in (("sft", orpo.SFT), ("orpo", orpo.ORPO)):
        best(name, rates(arm), lambda a: world.value(choices.fit_pairs(world, pairs, a)).mean())


def tune_thoughts() -> None:
    """Mean accuracy."""
    pairs = thoughts.world(SEEDS)
    for name, arm, counted in (("all", thoughts.UNMASKED, thoughts.BOTH), ("masked", thoughts.MASKED, thoughts.ANSWER)):
        best(name, rates(arm), lambda a, c=counted: thoughts.accuracy(thoughts.fit(pairs, a, c)).mean())


def tune_rpo() -> None:
    """Mean accuracy when asked to explain."""
    world = rpo.world(SEEDS)
    for name, arm in (("dpo", rpo.DPO), ("rpo", rpo.RPO)):
        best(name, rates(arm), lambda a: world.explained(rpo.fit(world, a)).mean())


def tune_ablation() -> None:
    """Mean value over the cells that use the arm."""
    found, cells = (
        ablation.ground(SEEDS),
        [dict(zip(ablation.SLOTS, c, strict=True)) for c in ablation.grid(ablation.SLOTS)],
    )

    def reached(arm: Arm, algorithm: str) -> float:
        mine = [c for c in cells if c["algorithm"] == algorithm]
        mine = [c for c in mine if algorithm == "sampling" or (c["reward"], c["prompts"]) == ("weak", "own")]
        return sum(float(found.world.value(ablation.fit(found, c, arm, arm)).mean()) for c in mine) / len(mine)

    best("dpo", grid(ablation.DPO, BETAS, (0.03, 0.1, 0.3)), lambda arm: reached(arm, "dpo"))
    best("sampling", grid(ablation.SAMPLING, (0.3, 1.0, 3.0, 10.0), (0.03, 0.1)), lambda arm: reached(arm, "sampling"))


def tune_dove() -> None:
    """Mean value less beta times KL."""
    world, one, two, _ = dove.world(SEEDS)
    for name, pairs, arm in (
        ("300", dove.few(one), dove.CONDITIONAL),
        ("600", one, dove.CONDITIONAL),
        ("joint", dove.both(one, two), dove.JOINT),
    ):
        best(name, rates(arm), lambda a, pairs=pairs: world.regularised(dove.fit(world, pairs, a), dove.BETA).mean())


def tune_drift() -> None:
    """Mean reward of style less KL times the divergence, from pairs of one stance."""
    world = drift.world(SEEDS)
    sft = drift.tuned(world, SEEDS, drift.SKEWED)
    pairs = drift.pairs(world, SEEDS, sft, None)

    def of(arm: Arm, reference: torch.Tensor | None = None) -> float:
        found = drift.fit(world, sft, pairs, arm, reference)
        return float((world.style(found) - drift.KL * world.divergence(found, sft)).mean())

    best("dpo", grid(drift.DPO, BETAS[2:], RATES[:2]), of)
    best("simpo", grid(drift.SIMPO, BETAS[2:], RATES[:2]), lambda arm: of(arm, drift.base(world)))
    for weight in (0.3, 1.0, 3.0):
        best(f"orpo {weight}", rates(replace(drift.ORPO, params={"weight": weight})), of)


def tune_nextquill() -> None:
    """Mean of the two shares of tokens right."""
    world = nextquill.world(SEEDS)
    for name, arm, fit in (
        ("sft", nextquill.SFT, nextquill.imitated),
        ("nextquill", nextquill.NEXTQUILL, nextquill.fit),
    ):
        best(name, rates(arm), lambda a, fit=fit: sum(s.mean() for s in world.right(fit(world, a))) / 2)


def tune_teachers() -> None:
    """Mean value; DCKD's half of ADPA+ is as DCKD stands in the miniature."""
    lesson = teachers.world(SEEDS)
    for name, arm, fit, param, values in (
        ("dpo", teachers.DPO, teachers.by_pairs, "beta", (0.1, 0.3, 1.0)),
        ("dckd", teachers.DCKD, teachers.taught, "alpha", (1.0, 10.0, 100.0)),
        ("adpa", teachers.ADPA, teachers.taught, "gamma", (1.0, 10.0, 100.0)),
        ("adpa+", teachers.PLUS, teachers.plus, "gamma", (1.0, 10.0, 100.0)),
    ):
        for value, lr in product(values, (0.01, 0.03, 0.1, 0.3)):
            tried = replace(arm, params={param: value}, lr=lr)
            print(f"{name:6} {param} {value:<5g} lr {lr:<5} {teachers.value(lesson, fit(lesson, tried)).mean():.4f}")


ROWS = {
    "drift": tune_drift,
    "ablation": tune_ablation,
    "teachers": tune_teachers,
    "nextquill": tune_nextquill,
    "kto": tune_kto,
    "tpo": tune_tpo,
    "vpo": tune_vpo,
    "orpo": tune_orpo,
    "thoughts": tune_thoughts,
    "rpo": tune_rpo,
    "dove": tune_dove,
    "rdpo": tune_rdpo,
    "ln_dpo": tune_ln_dpo,
    "rankings": tune_rankings,
    "online": tune_online,
    "contrast": tune_contrast,
    "wildfeedback": tune_wildfeedback,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    ROWS[sys.argv[1]]()
