"""What an objective may see: typed views over token log-probabilities, made by the loop and read by pure functions.

Shape letters: B pairs (or lists), K responses of a prompt, T response tokens (the longest of the batch). A token
log-probability is `log_softmax(logits[t - 1])[y[t]]`, already shifted; response tokens include the end-of-turn token
and nothing else but, where prompts differ by side, what a side's prompt has for itself.

Every view has `of`: what the loop computed, as this view shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """per_example (B,): one number a pair, unweighted, with gradient. metrics: detached (B,) tensors by name."""

    per_example: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Responses:
    """What the loop computed: K responses to every prompt, best first, the missing ones of a shorter list at the end.

    logps, mask, reference (B, K, T): as in PairLogps. value (B, K): how good a response was judged, in the judge's
    unit; 1 and 0 for the sides of a pair, 0 where there is none. weight, margin, eps (B,): as in PairLogps. divergence
    (): estimate of KL(policy || reference), nats an answer, no gradient. without, effect (B, K, T): as in HistoryLogps.
    student, teacher, before (B, K, T, C): as in TaughtLogps.
    What a row does not need is None.
    """

    logps: Tensor
    mask: Tensor
    reference: Tensor | None
    value: Tensor
    weight: Tensor
    margin: Tensor
    eps: Tensor
    divergence: Tensor | None = None
    without: Tensor | None = None
    effect: Tensor | None = None
    student: Tensor | None = None
    teacher: Tensor | None = None
    before: Tensor | None = None

    @property
    def present(self) -> Tensor:
        """(B, K) bool: where there is a response."""
        return self.mask.any(-1)


@dataclass(frozen=True)
class PairLogps:
    """B pairs under the policy and under its frozen reference.

    chosen, rejected (B, T): the policy's token log-probabilities, nats; whatever stands outside the mask is ignored.
    chosen_mask, rejected_mask (B, T) bool: true on response tokens.
    ref_chosen, ref_rejected (B, T): the reference's; None for an objective whose row does not need them.
    weight (B,): how much the pair counts, >= 0; applied by the loop, never by an objective.
    margin (B,): how much better the chosen response was judged, in the judge's unit; 0 where unknown.
    eps (B,): probability in [0, 0.5) that the label is flipped; NaN where nobody estimated it.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_mask: Tensor
    rejected_mask: Tensor
    ref_chosen: Tensor | None
    ref_rejected: Tensor | None
    weight: Tensor
    margin: Tensor
    eps: Tensor

    @classmethod
    def of(cls, responses: Responses) -> PairLogps:
        """The best response of every prompt and its worst. One that stands alone is the chosen beside no rejected, or
        where it was judged bad (a value of one half at most) the rejected beside no chosen."""
        count = responses.present.sum(-1)
        worst, rows = (count - 1).clamp(min=0), torch.arange(len(count), device=count.device)
        bad = (count == 1) & (responses.value[:, 0] <= 0.5)

        def sides(tensor: Tensor | None) -> tuple[Any, Any]:
            return (None, None) if tensor is None else (tensor[:, 0], tensor[rows, worst])

        chosen_mask, rejected_mask = sides(responses.mask)
        return cls(
            *sides(responses.logps),
            chosen_mask & ~bad[:, None],
            rejected_mask & ((count > 1) | bad)[:, None],
            *sides(responses.reference),
            responses.weight,
            responses.margin,
            responses.eps,
        )

    @property
    def chosen_sum(self) -> Tensor:
        """(B,) log p(chosen | prompt), nats."""
        return total(self.chosen, self.chosen_mask)

    @property
    def rejected_sum(self) -> Tensor:
        """(B,) log p(rejected | prompt), nats."""
        return total(self.rejected, self.rejected_mask)

    @property
    def chosen_length(self) -> Tensor:
        """(B,) response tokens with the end token, at least 1, in the dtype of the log-probabilities."""
        return self.chosen_mask.sum(-1).clamp(min=1).to(self.chosen.dtype)

    @property
    def rejected_length(self) -> Tensor:
        """(B,) as chosen_length."""
        return self.rejected_mask.sum(-1).clamp(min=1).to(self.rejected.dtype)

    @property
    def chosen_ratio(self) -> Tensor:
        """(B,) log p(chosen) - log p_ref(chosen), nats."""
        return self.chosen_sum - total(_needed(self.ref_chosen), self.chosen_mask)

    @property
    def rejected_ratio(self) -> Tensor:
        """(B,) log p(rejected) - log p_ref(rejected), nats."""
        return self.rejected_sum - total(_needed(self.ref_rejected), self.rejected_mask)


@dataclass(frozen=True)
class ListLogps:
    """B lists of at most K responses, best first, under the policy and under its frozen reference.

    logps, mask, reference (B, K, T). present (B, K) bool. value (B, K): in the judge's unit, falling along a list.
    """

    logps: Tensor
    mask: Tensor
    reference: Tensor | None
    present: Tensor
    value: Tensor

    @classmethod
    def of(cls, responses: Responses) -> ListLogps:
        return cls(responses.logps, responses.mask, responses.reference, responses.present, responses.value)

    @property
    def ratio(self) -> Tensor:
        """(B, K) log p - log p_ref of whole responses, nats; 0 where there is none."""
        return total(self.logps, self.mask) - total(_needed(self.reference), self.mask)


@dataclass(frozen=True)
class JudgedLogps:
    """Answers each judged by itself, at most K to every one of B prompts.

    logps, mask, reference (B, K, T). present, desirable (B, K) bool. divergence (): KL(policy || reference), >= 0.
    """

    logps: Tensor
    mask: Tensor
    reference: Tensor | None
    present: Tensor
    desirable: Tensor
    divergence: Tensor

    @classmethod
    def of(cls, responses: Responses) -> JudgedLogps:
        """A value above one half is a good answer's."""
        if responses.divergence is None:
            raise TypeError("this view shows a divergence, but its row does not declare that it needs it")
        good = responses.value > 0.5
        return cls(responses.logps, responses.mask, responses.reference, responses.present, good, responses.divergence)

    @property
    def ratio(self) -> Tensor:
        """(B, K) log p - log p_ref of whole responses, nats; 0 where there is none."""
        return total(self.logps, self.mask) - total(_needed(self.reference), self.mask)


@dataclass(frozen=True)
class HistoryLogps:
    """B answers under the policy that sees the user's history and under the same policy without it.

    chosen, without (B, T): log p of the answer's tokens with the history and, with no gradient, without. effect (B, T):
    their log-probability under softmax(logits with - logits without), what the history alone would say. mask (B, T)
    bool.
    """

    chosen: Tensor
    without: Tensor
    effect: Tensor
    mask: Tensor

    @classmethod
    def of(cls, responses: Responses) -> HistoryLogps:
        """The best response of every prompt."""
        if responses.without is None or responses.effect is None:
            raise TypeError(
                "this view shows answers without a history, but its row does not declare that it needs them"
            )
        logps = (responses.logps, responses.without, responses.effect, responses.mask)
        return cls(*(tensor[:, 0] for tensor in logps))


@dataclass(frozen=True)
class TaughtLogps:
    """B pairs and what a teacher thinks of every token that might have stood where a token of an answer stands.

    logps, mask (B, 2, T): of the chosen answer and the rejected. student, teacher, before (B, 2, T, C): nats, of C
    outcomes, the teacher's likeliest tokens and, last, all others together; of the policy (with gradient), of the
    teacher, and of the teacher before preferences aligned it.
    """

    logps: Tensor
    mask: Tensor
    student: Tensor
    teacher: Tensor
    before: Tensor

    @classmethod
    def of(cls, responses: Responses) -> TaughtLogps:
        """The best response of every prompt and its worst; a prompt has two and more."""
        if responses.student is None or responses.teacher is None or responses.before is None:
            raise TypeError("this view shows a teacher, but its row does not declare that it needs one")
        rows = torch.arange(len(responses.mask), device=responses.mask.device)
        worst = responses.present.sum(-1) - 1

        def ends(tensor: Tensor) -> Tensor:
            return torch.stack([tensor[:, 0], tensor[rows, worst]], 1)

        given = (responses.logps, responses.mask, responses.student, responses.teacher, responses.before)
        return cls(*map(ends, given))

    @property
    def chosen_sum(self) -> Tensor:
        """(B,) log p(chosen | prompt), nats."""
        return total(self.logps[:, 0], self.mask[:, 0])

    @property
    def lengths(self) -> Tensor:
        """(B, 2) response tokens, at least 1."""
        return self.mask.sum(-1).clamp(min=1).to(self.logps.dtype)


def total(logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """(B,) or (B, K): sum over response tokens; masked entries may hold anything, NaN included."""
    return torch.where(mask_BT, logps_BT, logps_BT.new_zeros(())).sum(-1)


def _needed(reference: Tensor | None) -> Tensor:
    if reference is None:
        raise TypeError(
            "this objective reads reference log-probabilities but its row does not declare that it needs them"
        )
    return reference
