"""The loop: pairs in a seeded order, micro-batches by tokens, one AdamW step per `pairs_per_step`, resumable.

A step's loss is sum_i w_i * (objective_i + anchor_weight * anchor_i) / sum_i w_i over the step's pairs, however they
are cut into micro-batches or shared between processes. Nothing random happens after the order of an epoch is drawn, and
that depends on (seed, epoch) alone: the step number is all that a resumed run must know besides weights and moments.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rejoinder.core.table import Row
from rejoinder.training import checkpoint
from rejoinder.training.adapters import trainable
from rejoinder.training.examples import Example
from rejoinder.training.logps import causal_lm, history_logps, outcome_logps, token_logps
from rejoinder.training.mismatch import divergence
from rejoinder.training.pack import Packed, batches, pack
from rejoinder.training.parallel import Hands, Team
from rejoinder.training.references import References
from rejoinder.training.settings import TrainSettings
from rejoinder.training.teacher import Taught
from rejoinder.training.views import PairLogps, Responses

FIGURES = ("weight", "pairs", "loss", "chosen_nll", "accuracy", "chosen_gain", "rejected_gain", "reward_margin")
"""Summed over a step's pairs, each weighted, then divided by the step's weight; `pairs` and `weight` stay sums."""


@dataclass(frozen=True)
class Resume:
    """Where a run leaves its checkpoint, which run it is, and how often."""

    path: Path
    key: str
    every: int


def steps(tokens: Sequence[int], settings: TrainSettings) -> list[list[int]]:
    """Indices of the pairs of every step, `max_steps` at most; the last step of an epoch may be smaller, and the one
    that reaches a token budget. tokens: of every pair, one pair at least."""
    plan: list[list[int]] = []
    left = settings.token_budget
    for epoch in range(settings.epochs) if left is None else count():
        draw = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
        order = torch.randperm(len(tokens), generator=draw).tolist()
        for start in range(0, len(order), settings.pairs_per_step):
            step = order[start : start + settings.pairs_per_step]
            if left is not None:
                spent = list(accumulate(tokens[i] for i in step))
                step = step[: bisect_left(spent, left) + 1]
                left -= spent[len(step) - 1]
            plan.append(step)
            if len(plan) == settings.max_steps or (left is not None and left <= 0):
                return plan
    return plan


def learning_rate(step: int, total: int, settings: TrainSettings) -> float:
    """Rises linearly over the warm-up, then falls linearly to a tenth of the peak at the last step."""
    warm = math.ceil(settings.warmup_share * total)
    if step < warm:
        return settings.lr * (step + 1) / warm
    return settings.lr * (1 - 0.9 * (step - warm) / max(total - warm - 1, 1))


def responses_of(
    model: Any,
    packed: Packed,
    reference_BKT: Tensor | None,
    divergence: Tensor | None = None,
    bare: Packed | None = None,
    taught: tuple[Tensor, Tensor, Tensor] | None = None,
) -> Responses:
    """Log-probabilities under the policy, with gradient, beside the reference's, where there is one. bare: the same
    responses to prompts without a history, where they are asked for. taught: what Taught.of says of them."""
    without = effect = student = teacher = before = None
    if taught is not None:
        ids, *theirs = taught
        logps, student = outcome_logps(model, packed, ids)
        mask = packed.mask[..., None]
        teacher, before = (student.new_zeros(student.shape).masked_scatter(mask, t.to(student.dtype)) for t in theirs)
    elif bare is None:
        logps = token_logps(model, packed)
    else:
        logps, without, effect = history_logps(model, packed, bare)
    value, weight, margin, eps = (t.to(logps.dtype) for t in (packed.value, packed.weight, packed.margin, packed.eps))
    zero = None if divergence is None else divergence.to(logps.dtype)
    return Responses(
        logps, packed.mask, reference_BKT, value, weight, margin, eps, zero, without, effect, student, teacher, before
    )


def without_history(example: Example) -> Example:
    """The same answers to the prompt without the user's history."""
    if example.bare is None:
        raise ValueError(f"{example.id} was not encoded for an objective that reads a history")
    return replace(example, prompt=example.bare)


def step_loss(responses: Responses, row: Row, params: Any, settings: TrainSettings) -> tuple[Tensor, Tensor]:
    """(() summed weighted loss with gradient, (F,) the FIGURES of these pairs, detached).

    Of a list, the figures are those of its best and its worst. An answer that stands alone has nothing on the side that
    it is not of: a bad one is not anchored.
    """
    loss = row.make(row.traits.get("view", PairLogps).of(responses), params)
    pair = PairLogps.of(responses)
    nll_B = -pair.chosen_sum / pair.chosen_length
    anchor_B = nll_B if settings.anchor == "likelihood" else (-pair.chosen_ratio / pair.chosen_length).clamp_min(0)
    per_example = loss.per_example + settings.anchor_weight * anchor_B
    with torch.no_grad():
        if pair.ref_chosen is None:
            chosen_gain = rejected_gain = torch.zeros_like(nll_B)
            gap = pair.chosen_sum - pair.rejected_sum
        else:
            chosen_gain, rejected_gain = pair.chosen_ratio, pair.rejected_ratio
            gap = chosen_gain - rejected_gain
        accuracy = (gap > 0).to(nll_B.dtype)
        margin = loss.metrics.get("reward_margin", torch.zeros_like(nll_B))
        weighted = (per_example, nll_B, accuracy, chosen_gain, rejected_gain, margin)
        ones = pair.weight.new_tensor(len(pair.weight))
        figures = torch.stack([pair.weight.sum(), ones, *((pair.weight * value).sum() for value in weighted)])
    return (pair.weight * per_example).sum(), figures.double()


def train(
    model: Any,
    examples: Sequence[Example],
    row: Row,
    settings: TrainSettings,
    *,
    team: Team,
    resume: Resume,
    emit: Callable[[dict[str, float]], None],
    taught: Taught | None = None,
) -> list[dict[str, float]]:
    """Trains the policy adapter in place; returns one line of figures a step, those before a resume included.

    emit is called with each line that this process adds. taught: for a row that needs a teacher, what it thinks of
    these examples.
    """
    params = row.with_params(settings.params)
    weights = trainable(model)
    optimiser = torch.optim.AdamW(weights.values(), lr=settings.lr, weight_decay=settings.weight_decay)
    plan = steps([e.tokens for e in examples], settings)
    lines: list[dict[str, float]] = []
    found = checkpoint.load(resume.path, resume.key)
    if found:
        _restore(found, weights, optimiser)
        lines = found.lines
    with Hands(causal_lm(model).device) as hands:
        wanted = "reference" in row.traits["needs"]
        references = References(model, examples, settings, team, hands) if wanted else None
        for step in range(found.step if found else 0, len(plan)):
            rate = learning_rate(step, len(plan), settings)
            for group in optimiser.param_groups:
                group["lr"] = rate
            figures, norm = _one_step(
                model, examples, plan[step], references, taught, row, params, settings, team, hands, weights, optimiser
            )
            lines.append({"step": step + 1, "steps": len(plan), "lr": rate, "grad_norm": norm, **figures})
            emit(lines[-1])
            if (step + 1) % resume.every == 0 and step + 1 < len(plan) and team.rank == 0:
                checkpoint.save(resume.path, resume.key, _snapshot(step + 1, weights, optimiser, lines))
    return lines


def _one_step(
    model: Any,
    examples: Sequence[Example],
    indices: Sequence[int],
    references: References | None,
    taught: Taught | None,
    row: Row,
    params: Any,
    settings: TrainSettings,
    team: Team,
    hands: Hands,
    weights: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> tuple[dict[str, float], float]:
    device = causal_lm(model).device
    chosen = [examples[i] for i in indices]
    step_weight = math.fsum(e.weight for e in chosen)
    zero = divergence(model, chosen, settings, team) if "divergence" in row.traits["needs"] else None
    histories = "no_history" in row.traits["needs"]
    sums = torch.zeros(len(FIGURES), dtype=torch.float64, device=device)
    total = [torch.zeros_like(parameter) for parameter in weights.values()]

    def gradients(group: list[int]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        packed = pack([chosen[i] for i in group]).to(device)
        theirs = None if references is None else references.of([indices[i] for i in group], packed)
        bare = pack([without_history(chosen[i]) for i in group]).to(device) if histories else None
        lesson = None if taught is None else taught.of([indices[i] for i in group])
        responses = responses_of(model, packed, theirs, zero, bare, lesson)
        loss, figures = step_loss(responses, row, params, settings)
        return figures, torch.autograd.grad(loss / step_weight, list(weights.values()), allow_unused=True)

    groups = batches([e.tokens for e in chosen], settings.tokens_per_batch // hands.count)
    # Summed in the order of the groups, whichever was ready first: a resumed run adds the same numbers alike.
    for figures, slopes in hands.map(gradients, team.share(groups)):
        sums += figures
        for summed, slope in zip(total, slopes, strict=True):
            if slope is not None:
                summed += slope
    team.add(total)
    team.add([sums])
    for parameter, summed in zip(weights.values(), total, strict=True):
        parameter.grad = summed
    norm = torch.nn.utils.clip_grad_norm_(weights.values(), settings.clip_norm, error_if_nonfinite=True)
    optimiser.step()
    means = dict(zip(FIGURES, sums.tolist(), strict=True))
    lengths = dict(_lengths(chosen, step_weight))
    return {k: v if k in ("weight", "pairs") else v / step_weight for k, v in means.items()} | lengths, norm.item()


def _lengths(chosen: list[Example], step_weight: float) -> Iterator[tuple[str, float]]:
    """Weighted mean tokens of either response: what the pairs teach about length (F03). An answer that stands alone has
    none on the other side."""
    for k, side in ((0, "chosen"), (-1, "rejected")):
        tokens = (e.weight * e.length(k) for e in chosen if len(e.responses) > 1 or (e.values[0] > 0.5) is (k == 0))
        yield f"{side}_tokens", math.fsum(tokens) / step_weight


def _snapshot(
    step: int, weights: dict[str, Tensor], optimiser: torch.optim.Optimizer, lines: list[dict[str, float]]
) -> checkpoint.Checkpoint:
    moments = {name: optimiser.state[p] for name, p in weights.items()}
    first = {name: state["exp_avg"] for name, state in moments.items()}
    second = {name: state["exp_avg_sq"] for name, state in moments.items()}
    return checkpoint.Checkpoint(step, dict(weights), first, second, lines)


def _restore(found: checkpoint.Checkpoint, weights: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for name, parameter in weights.items():
            parameter.copy_(found.parameters[name])
            optimiser.state[parameter] = {
                "step": torch.tensor(float(found.step)),
                "exp_avg": found.first[name].to(parameter.device),
                "exp_avg_sq": found.second[name].to(parameter.device),
            }
