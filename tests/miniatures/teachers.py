"""Row 102, DCKD and ADPA (arXiv 2502.17927) in miniature: a small student has more of an aligned teacher than of pairs.

Three hundred comparisons. The teacher sees the twelve features of an answer that matter and learns by DPO; to the
student they stand among as many others as it takes to learn labels by heart. Answers are one token: the states of the
student's own samples are the prompts, and the divergence on the chosen answer is that on the rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rejoinder.training.views import TaughtLogps
from torch import Tensor

from tests.miniatures import choices
from tests.miniatures.choices import Pairs, World
from tests.miniatures.fitting import Arm, learn
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

ROW, PAIRS, OTHERS = 102, 300, 48
TEACHER = Arm("dpo", {"beta": 0.1}, lr=0.03, steps=150)

#: `python -m tests.miniatures.tune teachers`: greatest mean value on seeds 1000 to 1007. ADPA+ is half of DCKD's steps,
#: then half of its own.
DPO = Arm("dpo", {"beta": 0.1}, lr=0.3, steps=150)
DCKD = Arm("dckd", {"alpha": 100.0}, lr=0.3, steps=150)
ADPA = Arm("adpa", {"gamma": 100.0}, lr=0.3, steps=150)
PLUS = Arm("adpa", {"gamma": 100.0}, lr=0.1, steps=150)


@dataclass(frozen=True)
class Class:
    """The world, as it is and as the student sees it, the pairs (S, PAIRS) and, of all answers to their prompts
    (S, X, K), what the teacher says and said before. taught: the teacher's own value (S,)."""

    world: World
    student: World
    pairs: Pairs
    teacher: Tensor
    before: Tensor
    taught: Floats


def world(seeds: Sequence[int]) -> Class:
    made = choices.world(ROW, seeds)
    prompt, first, step, coins, others = choices.drawn(
        ROW,
        seeds,
        lambda rng: (
            rng.integers(choices.PROMPTS, size=PAIRS),
            rng.integers(choices.ANSWERS, size=PAIRS),
            rng.integers(1, choices.ANSWERS, size=PAIRS),
            rng.random(PAIRS),
            rng.normal(size=(*made.features.shape[1:-1], OTHERS)),
        ),
    )
    pairs = choices.compared(made, prompt, first, (first + step) % choices.ANSWERS, coins)
    weights = choices.fit_pairs(made, pairs, TEACHER)
    said = made.log_policy(weights, 0)
    seen = torch.cat([made.features, others], -1)
    student = World(seen, torch.zeros_like(seen[:, 0, 0, 0]))
    return Class(made, student, pairs, said, torch.full_like(said, -np.log(choices.ANSWERS)), made.value(weights))


def shuffled(lesson: Class, seeds: Sequence[int]) -> Class:
    """What alignment changed stands at other answers."""
    order = np.stack([np.random.default_rng([ROW, s, 2]).permutation(choices.ANSWERS) for s in seeds])
    at = torch.from_numpy(order)[:, None].expand_as(lesson.teacher)
    return replace(lesson, teacher=lesson.teacher.gather(2, at))


def value(lesson: Class, weights: Tensor) -> Floats:
    """(S,) mean hidden reward of the sampled student on prompts not learnt from; the reference's is near zero."""
    return (lesson.student.log_policy(weights, 1).exp() * lesson.world.reward(1)).sum(-1).mean(-1).numpy()


def by_pairs(lesson: Class, arm: Arm) -> Tensor:
    """The student's weights (S, D) without a teacher."""
    return choices.fit_pairs(lesson.student, lesson.pairs, arm)


def taught(lesson: Class, arm: Arm, start: Tensor | None = None) -> Tensor:
    """The student's weights (S, D) after `arm`, from the reference or from `start`."""
    prompt, chosen, rejected = lesson.pairs
    rows = torch.arange(len(prompt))[:, None]
    mask = torch.ones(prompt.numel(), 2, 1, dtype=torch.bool)

    def both(said: Tensor) -> Tensor:
        """(S, X, K) at the pairs' prompts, for either side (B, 2, 1, K)."""
        return said[rows, prompt].flatten(0, 1)[:, None, None].expand(-1, 2, 1, -1)

    teacher, before = both(lesson.teacher), both(lesson.before)

    def view_of(weights: Tensor) -> TaughtLogps:
        said = lesson.student.log_policy(weights, 0)
        sides = torch.stack([choices.at(said, prompt, side).flatten() for side in (chosen, rejected)], 1)
        return TaughtLogps(sides[..., None], mask, both(said), teacher, before)

    return learn(lesson.student.start if start is None else start, view_of, arm)


def plus(lesson: Class, arm: Arm, second: Class | None = None) -> Tensor:
    """ADPA+. second: the lesson of its second half, where it is another."""
    half = taught(lesson, replace(DCKD, steps=DCKD.steps // 2))
    return taught(second or lesson, replace(arm, steps=arm.steps - DCKD.steps // 2), half)


def claims(dpo: Floats, dckd: Floats, adpa_plus: Floats) -> list[Claim]:
    return [
        exceeds("hidden reward, DCKD less the student's DPO", dckd - dpo, 0.0),
        exceeds("hidden reward, ADPA+ less DCKD", adpa_plus - dckd, 0.0),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's advantages stand at other answers."""
    lesson = world(seeds)
    dpo, dckd = value(lesson, by_pairs(lesson, DPO)), value(lesson, taught(lesson, DCKD))
    adpa, both = value(lesson, taught(lesson, ADPA)), value(lesson, plus(lesson, PLUS))
    lost = value(lesson, plus(lesson, PLUS, shuffled(lesson, seeds)))
    beside = {"teacher": lesson.taught, "student's DPO": dpo, "DCKD": dckd, "ADPA": adpa, "ADPA+": both}
    beside = {f"hidden reward, {name}": found for name, found in beside.items()}
    shares = {"student's DPO": dpo, "DCKD": dckd, "ADPA+": both}
    beside |= {f"share of the teacher's, {name}": found / lesson.taught for name, found in shares.items()}
    return Found(
        claims(dpo, dckd, both), claims(dpo, dckd, lost), {name: interval(found) for name, found in beside.items()}
    )
