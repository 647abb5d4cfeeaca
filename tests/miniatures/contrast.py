"""Row 29, suboptimal and on-policy data (arXiv 2404.14367) in miniature: negative gradients and fresh samples.

Both matter where the reference hardly ever samples what is good. That fresh samples give nothing more where reward and
reference agree does not reproduce: now and then offline DPO goes all the way to a rare answer that won its only pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rejoinder.training.views import PairLogps

from tests.miniatures.bandit import ALIGNED, MISALIGNED, ROUNDS, Plan, run
from tests.miniatures.fitting import Arm
from tests.miniatures.online import OFFLINE, ONLINE, PAIRS
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval


def detached(view: PairLogps) -> PairLogps:
    """The control: the rejected answer is looked at and never pushed down."""
    return replace(view, rejected=view.rejected.detach())


#: `python -m tests.miniatures.tune contrast`: greatest expected reward on seeds 1000 to 1007.
SFT = Plan(Arm("sft", lr=0.03, steps=300), MISALIGNED, PAIRS)
ONLINE_SFT = Plan(Arm("sft", lr=0.1, steps=300), MISALIGNED, PAIRS, ROUNDS, on_policy=True)
OFFLINE_ALIGNED = Plan(Arm("dpo", {"beta": 0.03}, lr=0.3, steps=300), ALIGNED, PAIRS)
ONLINE_ALIGNED = Plan(Arm("dpo", {"beta": 0.01}, lr=1.0, steps=300), ALIGNED, PAIRS, ROUNDS, on_policy=True)
DETACHED = replace(OFFLINE, change=detached)


def claims(imitated: Floats, contrasted: Floats, online: Floats, aligned: Floats) -> list[Claim]:
    """aligned: what fresh samples gain where reward and reference agree."""
    return [
        exceeds("expected reward, DPO less SFT on the same pairs", contrasted - imitated, 0.4),
        exceeds("expected reward, DPO on policy less offline", online - contrasted, 0.0),
        exceeds("aligned: fresh samples give less than .03", -aligned, -0.03),
        exceeds("aligned: fresh samples cost less than .03", aligned, -0.03),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control looks at the rejected answer and never pushes it down."""
    plans = {"SFT": SFT, "SFT on policy": ONLINE_SFT, "DPO": OFFLINE, "DPO on policy": ONLINE, "detached": DETACHED}
    got = {name: run(plan, seeds) for name, plan in plans.items()}
    aligned = run(ONLINE_ALIGNED, seeds) - run(OFFLINE_ALIGNED, seeds)
    return Found(
        claims(got["SFT"], got["DPO"], got["DPO on policy"], aligned),
        claims(got["SFT"], got["detached"], got["DPO on policy"], aligned),
        {name: interval(values) for name, values in got.items()},
    )
