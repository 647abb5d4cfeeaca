"""Row 103, RLHF Workflow (arXiv 2405.07863) in miniature: on-policy rounds of DPO against as many pairs at once."""

from __future__ import annotations

from collections.abc import Sequence

from tests.miniatures.bandit import MISALIGNED, ROUNDS, Plan, run
from tests.miniatures.fitting import Arm
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

PAIRS = 2000

#: `python -m tests.miniatures.tune online`: greatest expected reward on seeds 1000 to 1007.
OFFLINE = Plan(Arm("dpo", {"beta": 0.01}, lr=1.0, steps=300), MISALIGNED, PAIRS)
ONLINE = Plan(Arm("dpo", {"beta": 0.1}, lr=0.1, steps=300), MISALIGNED, PAIRS, ROUNDS, on_policy=True)
#: The control: the same rounds, sampled from the reference for ever.
STALE = Plan(ONLINE.arm, MISALIGNED, PAIRS, ROUNDS)


def claims(offline: Floats, online: Floats) -> list[Claim]:
    return [exceeds("expected reward, rounds on policy less pairs made at once", online - offline, 0.05)]


def measure(seeds: Sequence[int]) -> Found:
    """The control goes the same rounds and samples from the reference for ever."""
    offline, online, stale = (run(plan, seeds) for plan in (OFFLINE, ONLINE, STALE))
    beside = {"at once": offline, "rounds on policy": online, "rounds off policy": stale}
    return Found(
        claims(offline, online), claims(offline, stale), {name: interval(values) for name, values in beside.items()}
    )
