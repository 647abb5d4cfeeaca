"""The objectives: a row is `loss(view, params) -> Loss`, a frozen Params, and what the contract suite must know.

Traits. view: the view that the loop computes. needs: what it computes besides the policy ("reference").
monotone: raising the chosen log-probability always lowers the loss. contrastive: reads the rejected side.
length_normalised: saying every token twice changes nothing. reads_eps: the pair's flip probability matters.
at_reference: the loss where policy = reference, as a function of Params, or None where it depends on the text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rejoinder.core.table import Row, Table
from rejoinder.training.objectives import dpo, ipo, ipo_norm, ln_dpo, rdpo, sft
from rejoinder.training.views import PairLogps


def _log_two(params: object) -> float:
    return math.log(2)


def _squared_target(params: ipo.Params | ipo_norm.Params) -> float:
    return (1 / (2 * params.tau)) ** 2


def _pair(
    *,
    monotone: bool,
    length_normalised: bool,
    at_reference: Callable[[Any], float] | None,
    needs: tuple[str, ...] = ("reference",),
    contrastive: bool = True,
    reads_eps: bool = False,
) -> dict[str, Any]:
    return {
        "view": PairLogps,
        "needs": needs,
        "monotone": monotone,
        "contrastive": contrastive,
        "length_normalised": length_normalised,
        "reads_eps": reads_eps,
        "at_reference": at_reference,
    }


OBJECTIVES = Table(
    "objective",
    Row(
        "dpo",
        dpo.loss,
        dpo.Params,
        paper="2305.18290",
        claim="Raises the chosen response over the rejected one against a frozen reference, without a reward model.",
        traits=_pair(monotone=True, at_reference=_log_two, length_normalised=False),
    ),
    Row(
        "rdpo",
        rdpo.loss,
        rdpo.Params,
        paper="2403.00409",
        claim="Is unbiased for DPO's clean loss when labels are flipped with a known probability.",
        traits=_pair(monotone=True, at_reference=_log_two, length_normalised=False, reads_eps=True),
    ),
    Row(
        "ln_dpo",
        ln_dpo.loss,
        ln_dpo.Params,
        paper="2407.15229",
        claim="Takes the reward for length out of DPO by comparing mean token log-ratios.",
        traits=_pair(monotone=True, at_reference=_log_two, length_normalised=True),
    ),
    Row(
        "ipo",
        ipo.loss,
        ipo.Params,
        paper="2310.12036",
        claim="Regresses the log-ratio gap of whole responses to a finite target, so certain labels cannot overfit it.",
        traits=_pair(monotone=False, at_reference=_squared_target, length_normalised=False),
    ),
    Row(
        "ipo_norm",
        ipo_norm.loss,
        ipo_norm.Params,
        paper="2310.12036",
        claim="Regresses the gap of mean token log-ratios to a finite target.",
        traits=_pair(monotone=False, at_reference=_squared_target, length_normalised=True),
    ),
    Row(
        "sft",
        sft.loss,
        sft.Params,
        paper="2404.14367",
        claim="Imitates the chosen response: the control without a negative gradient.",
        traits=_pair(monotone=True, at_reference=None, length_normalised=True, needs=(), contrastive=False),
    ),
)
