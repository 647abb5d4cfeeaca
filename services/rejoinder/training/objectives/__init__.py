"""The objectives: a row is `loss(view, params) -> Loss`, a frozen Params, and what the contract suite must know.

Traits. view: the view that the loop computes. feed: what it reads of a pairs file (feeds.py). needs: what it computes
besides the policy ("reference"; "divergence": KL to the reference over a step; "no_history": the same answers to their
prompts without the user's history; "teacher": a larger model's view of every token).
monotone: raising the chosen log-probability always lowers the loss. contrastive: reads that of the rejected side.
length_normalised: saying every token twice changes nothing. reads_eps: the pair's flip probability matters.
at_reference: the loss where policy = reference, as a function of Params and the view, or None for a row without one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from rejoinder.core.table import Row, Table
from rejoinder.training.feeds import FEEDS
from rejoinder.training.objectives import (
    adpa,
    dckd,
    dove,
    dpo,
    exo,
    ipo,
    ipo_norm,
    kto,
    ln_dpo,
    nextquill,
    orpo,
    rdpo,
    rpo,
    sft,
    tpo,
    vpo,
)
from rejoinder.training.views import HistoryLogps, JudgedLogps, ListLogps, PairLogps, TaughtLogps


def _log_two(params: object, view: object) -> float:
    return math.log(2)


def _squared_target(params: ipo.Params | ipo_norm.Params, view: object) -> float:
    return (1 / (2 * params.tau)) ** 2


def _with_likelihood(params: rpo.Params, view: PairLogps) -> Tensor:
    return math.log(2) - params.alpha * view.chosen_sum / view.chosen_length


def _undecided(params: exo.Params, view: object) -> float:
    """KL of a fair coin against the label."""
    return -math.log(2) - math.log(params.eps * (1 - params.eps)) / 2


def _half(params: kto.Params, view: JudgedLogps) -> Tensor:
    """At a divergence of zero; half of what an answer weighs."""
    good = (view.desirable & view.present).sum(-1)
    return (good * params.desirable + (view.present.sum(-1) - good) * params.undesirable) / 2 / view.present.sum(-1)


def _list_of_two(params: object, view: object) -> float:
    return math.log(2) * (1 - 1 / math.log2(3))


def _traits(
    name: str,
    *,
    monotone: bool,
    length_normalised: bool,
    at_reference: Callable[[Any, Any], Any] | None,
    needs: tuple[str, ...] = ("reference",),
    contrastive: bool = True,
    reads_eps: bool = False,
    view: type = PairLogps,
) -> dict[str, Any]:
    return {
        "view": view,
        "feed": FEEDS[name],
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
        traits=_traits("dpo", monotone=True, at_reference=_log_two, length_normalised=False),
    ),
    Row(
        "rdpo",
        rdpo.loss,
        rdpo.Params,
        paper="2403.00409",
        claim="Is unbiased for DPO's clean loss when labels are flipped with a known probability.",
        traits=_traits("rdpo", monotone=True, at_reference=_log_two, length_normalised=False, reads_eps=True),
    ),
    Row(
        "ln_dpo",
        ln_dpo.loss,
        ln_dpo.Params,
        paper="2407.15229",
        claim="Takes the reward for length out of DPO by comparing mean token log-ratios.",
        traits=_traits("ln_dpo", monotone=True, at_reference=_log_two, length_normalised=True),
    ),
    Row(
        "ipo",
        ipo.loss,
        ipo.Params,
        paper="2310.12036",
        claim="Regresses the log-ratio gap of whole responses to a finite target, so certain labels cannot overfit it.",
        traits=_traits("ipo", monotone=False, at_reference=_squared_target, length_normalised=False),
    ),
    Row(
        "ipo_norm",
        ipo_norm.loss,
        ipo_norm.Params,
        paper="2310.12036",
        claim="Regresses the gap of mean token log-ratios to a finite target.",
        traits=_traits("ipo_norm", monotone=False, at_reference=_squared_target, length_normalised=True),
    ),
    Row(
        "rpo",
        rpo.loss,
        rpo.Params,
        paper="2504.18080",
        claim="Keeps the chosen response likely while it is set apart from the rejected one.",
        traits=_traits("rpo", monotone=True, at_reference=_with_likelihood, length_normalised=False),
    ),
    Row(
        "vpo",
        vpo.loss,
        vpo.Params,
        paper="2405.19320",
        claim="Holds a reward that promises much against it, so that few pairs are not over-optimised.",
        traits=_traits("vpo", monotone=True, at_reference=_log_two, length_normalised=False),
    ),
    Row(
        "orpo",
        orpo.loss,
        orpo.Params,
        paper="2403.07691",
        claim="Imitates the chosen response and lowers the odds of the rejected one, in one stage without a reference.",
        traits=_traits("orpo", monotone=True, at_reference=None, length_normalised=True, needs=()),
    ),
    Row(
        "exo",
        exo.loss,
        exo.Params,
        paper="2402.00856",
        claim="Seeks the mode of the label and stops at a finite margin.",
        traits=_traits("exo", monotone=False, at_reference=_undecided, length_normalised=False),
    ),
    Row(
        "dove",
        dove.loss,
        dove.Params,
        paper="2404.00530",
        claim="Learns from preferences between answers to different prompts.",
        traits=_traits("dove", monotone=True, at_reference=_log_two, length_normalised=False),
    ),
    Row(
        "kto",
        kto.loss,
        kto.Params,
        paper="2402.01306",
        claim="Learns from answers judged good or bad each by itself.",
        traits=_traits(
            "kto",
            monotone=True,
            at_reference=_half,
            length_normalised=False,
            needs=("reference", "divergence"),
            view=JudgedLogps,
        ),
    ),
    Row(
        "tpo",
        tpo.loss,
        tpo.Params,
        paper="2410.12854",
        claim="Learns the order of a whole list of answers, what stands at its head most.",
        traits=_traits("tpo", monotone=True, at_reference=_list_of_two, length_normalised=False, view=ListLogps),
    ),
    Row(
        "sft",
        sft.loss,
        sft.Params,
        paper="2404.14367",
        claim="Imitates the chosen response: the control without a negative gradient.",
        traits=_traits("sft", monotone=True, at_reference=None, length_normalised=True, needs=(), contrastive=False),
    ),
    Row(
        "nextquill",
        nextquill.loss,
        nextquill.Params,
        paper="2506.02368",
        claim="Imitates what a user's history explains of an answer more than what anybody would have said.",
        traits=_traits(
            "nextquill",
            monotone=True,
            at_reference=None,
            length_normalised=True,
            needs=("no_history",),
            contrastive=False,
            view=HistoryLogps,
        ),
    ),
    Row(
        "dckd",
        dckd.loss,
        dckd.Params,
        paper="2502.17927",
        claim="Follows a larger aligned model on the chosen and on the rejected response.",
        traits=_traits(
            "dckd",
            monotone=True,
            at_reference=None,
            length_normalised=True,
            needs=("teacher",),
            contrastive=False,
            view=TaughtLogps,
        ),
    ),
    Row(
        "adpa",
        adpa.loss,
        adpa.Params,
        paper="2502.17927",
        claim="Moves what the policy says itself towards what alignment changed in a larger model.",
        traits=_traits(
            "adpa",
            monotone=True,
            at_reference=None,
            length_normalised=True,
            needs=("teacher",),
            contrastive=False,
            view=TaughtLogps,
        ),
    ),
)
