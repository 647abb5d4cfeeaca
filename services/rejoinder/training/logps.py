"""Token log-probabilities of packed rows: states at response positions only, the head in slices, sums in float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from rejoinder.core.errors import FailedPrecondition
from rejoinder.training import attention
from rejoinder.training.examples import Example
from rejoinder.training.pack import Packed, pack

HEAD_SLICE_TOKENS = 1024
"""Logits are made for this many tokens at a time and not kept for the backward pass: at a vocabulary of 150,000 a
slice is 0.6 GB, where a whole batch's logits are the first thing to run out of memory (F17)."""


def causal_lm(model: Any) -> Any:
    """The transformers model inside, with whatever adapters are injected into it."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def response_states(model: Any, packed: Packed) -> Tensor:
    """(N, D) last hidden states that predict the N real response tokens, in the order of `packed.mask`."""
    lm = causal_lm(model)
    states = lm.get_decoder()(
        input_ids=packed.ids,
        attention_mask=packed.additive_mask(lm.dtype),
        position_ids=packed.positions,
        use_cache=False,
        **attention.options(lm, packed.sizes),
    ).last_hidden_state.flatten(0, 1)
    return states[packed.at[packed.mask]]


def head_logits(model: Any, states_ND: Tensor) -> Tensor:
    """(N, V) logits, at least float32."""
    logits = causal_lm(model).get_output_embeddings()(states_ND)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class _SliceLogps(torch.autograd.Function):
    """(N,) log-probabilities of targets (N,) from states (N, D) by a frozen head.

    Each depends on its own state alone, so its gradient there is known as soon as the logits are: (N, D) is kept, and
    neither are logits of (N, V) kept nor made a second time.
    """

    @staticmethod
    def forward(ctx: Any, states_ND: Tensor, targets_N: Tensor, model: Any) -> Tensor:
        with torch.enable_grad():
            leaf_ND = states_ND.detach().requires_grad_()
            logits_NV = head_logits(model, leaf_ND)
        chances_NV = logits_NV.detach().log_softmax(-1)
        logps_N = chances_NV.gather(-1, targets_N[:, None]).squeeze(-1)
        chances_NV.exp_().neg_()
        chances_NV[torch.arange(len(targets_N), device=targets_N.device), targets_N] += 1
        ctx.save_for_backward(*torch.autograd.grad(logits_NV, leaf_ND, chances_NV))
        return logps_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        (slope_ND,) = ctx.saved_tensors
        return slope_ND * grad_N[:, None].to(slope_ND.dtype), None, None


def token_logps(model: Any, packed: Packed) -> Tensor:
    """(B, K, T) log-probabilities of the response tokens, nats, zero outside the mask."""

    def slice_logps(states_ND: Tensor, targets_N: Tensor) -> Tensor:
        return -torch.nn.functional.cross_entropy(head_logits(model, states_ND), targets_N, reduction="none")

    def recorded(states_ND: Tensor, targets_N: Tensor) -> Tensor:
        if any(p.requires_grad for p in causal_lm(model).get_output_embeddings().parameters()):
            return checkpoint(slice_logps, states_ND, targets_N, use_reentrant=False)
        return _SliceLogps.apply(states_ND, targets_N, model)

    states, targets = response_states(model, packed), packed.targets[packed.mask]
    slices = zip(states.split(HEAD_SLICE_TOKENS), targets.split(HEAD_SLICE_TOKENS), strict=True)
    flat = torch.cat([recorded(s, t) if torch.is_grad_enabled() else slice_logps(s, t) for s, t in slices])
    return torch.zeros(packed.mask.shape, dtype=flat.dtype, device=flat.device).masked_scatter(packed.mask, flat)


def history_logps(model: Any, packed: Packed, bare: Packed) -> tuple[Tensor, Tensor, Tensor]:
    """(B, K, T) each, zero outside the mask: log-probabilities of the response tokens by the logits of `packed`, of
    `bare` (the same responses to other prompts), and by their difference; gradients go to `packed` alone."""

    def slice_logps(states_ND: Tensor, bare_ND: Tensor, targets_N: Tensor) -> Tensor:
        ours, others = head_logits(model, states_ND), head_logits(model, bare_ND)
        found = [
            torch.nn.functional.cross_entropy(z, targets_N, reduction="none") for z in (ours, others, ours - others)
        ]
        return -torch.stack(found)

    states = response_states(model, packed)
    with torch.no_grad():
        others = response_states(model, bare)
    # Two logits a token: half as many tokens cost as much.
    parts = (states, others, packed.targets[packed.mask])
    slices = zip(*(part.split(HEAD_SLICE_TOKENS // 2) for part in parts), strict=True)
    flat = torch.cat([checkpoint(slice_logps, *each, use_reentrant=False) for each in slices], 1)
    spread = torch.zeros(3, *packed.mask.shape, dtype=flat.dtype, device=flat.device)
    ours, others, effect = spread.masked_scatter(packed.mask, flat)
    return ours, others, effect


def outcomes(logits_NV: Tensor, ids_NK: Tensor) -> Tensor:
    """(N, K + 1) log-probabilities of these tokens and of all others together."""
    logps_NV = logits_NV.log_softmax(-1)
    others_N = logps_NV.scatter(-1, ids_NK, -torch.inf).logsumexp(-1)
    return torch.cat([logps_NV.gather(-1, ids_NK), others_N[:, None]], -1)


def outcome_logps(model: Any, packed: Packed, ids_NK: Tensor) -> tuple[Tensor, Tensor]:
    """`token_logps`, and (B, K, T, C) `outcomes` at every response token, zero outside the mask, with gradient.

    ids_NK: tokens at each of the N real response tokens, in the order of `packed.mask`.
    """

    def slice_logps(states_ND: Tensor, ids_NK: Tensor, targets_N: Tensor) -> Tensor:
        logits = head_logits(model, states_ND)
        said = -torch.nn.functional.cross_entropy(logits, targets_N, reduction="none")
        return torch.cat([said[:, None], outcomes(logits, ids_NK)], 1)

    # The rest is a second array as wide as the logits.
    parts = (response_states(model, packed), ids_NK, packed.targets[packed.mask])
    slices = zip(*(part.split(HEAD_SLICE_TOKENS // 2) for part in parts), strict=True)
    flat = torch.cat([checkpoint(slice_logps, *each, use_reentrant=False) for each in slices])
    spread = torch.zeros(*packed.mask.shape, flat.shape[1], dtype=flat.dtype, device=flat.device)
    spread = spread.masked_scatter(packed.mask[..., None], flat)
    return spread[..., 0], spread[..., 1:]


def plain_logps(model: Any, example: Example) -> list[Tensor]:
    """The same by the model's own causal mask, one response a row: K tensors of (T_k,). The slow, obvious route."""
    lm = causal_lm(model)
    parts = []
    for response in example.responses:
        ids = torch.tensor([[*example.prompt, *response]], device=lm.device)
        logits = lm(input_ids=ids, use_cache=False).logits[0, len(example.prompt) - 1 : -1]
        logps = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        parts.append(logps.gather(-1, ids[0, len(example.prompt) :, None]).squeeze(-1))
    return parts


def refuse_unless_packable(model: Any, example: Example, tolerance: float = 1e-3) -> float:
    """The largest relative difference between packed and plain on one example; FailedPrecondition above `tolerance`.

    An architecture that ignores a 4-D mask or position ids (a sliding window, learned positions, softcapped logits)
    would train on wrong numbers without a sound.
    """
    whole = replace(example, counted=None)
    with torch.no_grad():
        packed = pack([whole]).to(causal_lm(model).device)
        ours, plain = token_logps(model, packed)[0], plain_logps(model, whole)
        gaps = [((o[: len(p)] - p).abs().max() / p.abs().max()).item() for o, p in zip(ours, plain, strict=True)]
    worst = max(gaps)
    if not worst <= tolerance:
        name = type(causal_lm(model)).__name__
        raise FailedPrecondition(f"{name} does not compute packed rows (relative difference {worst:.2g})", model=name)
    return worst
