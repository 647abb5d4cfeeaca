"""Attention over packed rows on a CPU: only what the mask allows is computed.

A mask over the whole row costs its square, though an answer sees neither the other answers nor what is to come: of a
prompt and two answers more than half of it. Here a block of queries meets the keys up to its own end, its answer's
and the prompt's, by the same kernel. It is exact: what is left out had weight zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

NAME = "rejoinder_rows"
BLOCK = 128
"""Queries of a block. Smaller ones leave out more beside the diagonal, in more calls; 96 to 192 cost within 5 %."""
_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Plan:
    """sizes: tokens of each row's prompt, then of each response. triangle (BLOCK, W): zero where the last queries of W
    keys may look, -inf elsewhere; every block's mask is a corner of it."""

    sizes: tuple[tuple[int, ...], ...]
    triangle: Tensor

    def blocks(self, row: int) -> Iterator[tuple[int, int, int, int]]:
        """(first query, end, prompt keys, first key behind them): keys are [0, prompt) and [first key, end)."""
        prompt, *responses = self.sizes[row]
        first = prompt + sum(responses[:1])
        segments = [(0, first, 0)]
        for size in responses[1:]:
            segments.append((first, first + size, prompt))
            first += size
        for begin, end, before in segments:
            for at in range(begin, end, BLOCK):
                yield at, min(at + BLOCK, end), before, begin

    def mask(self, queries: int, keys: int) -> Tensor:
        """(queries, keys): the last `queries` of `keys` see what is before them and themselves."""
        return self.triangle[BLOCK - queries :, self.triangle.shape[1] - keys :]


def plan(sizes: Sequence[Sequence[int]], dtype: torch.dtype) -> Plan:
    width = max(max(map(sum, sizes)), BLOCK)
    triangle = torch.zeros(BLOCK, width, dtype=dtype)
    later = torch.ones(BLOCK, BLOCK, dtype=torch.bool).triu_(1)
    triangle[:, width - BLOCK :].masked_fill_(later, -torch.inf)
    return Plan(tuple(map(tuple, sizes)), triangle)


class _Rows(torch.autograd.Function):
    """query (B, H, L, D), key and value (B, G, L, D), H a multiple of G → (B, H, L, D), zero on padding."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float, plan: Plan) -> Tensor:
        out = torch.zeros_like(query)
        sums = []
        for row, begin, end, before, first in _all(plan):
            k, v = (_keys(each[row : row + 1], before, first, end) for each in (key, value))
            q, mask = query[row : row + 1, :, begin:end], plan.mask(end - begin, k.shape[2])
            found, log_sum = _forward(q, k, v, 0.0, False, attn_mask=mask, scale=scale)
            out[row, :, begin:end] = found[0]
            sums.append(log_sum)
        ctx.save_for_backward(query, key, value, out, *sums)
        ctx.scale, ctx.plan = scale, plan
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, *sums = ctx.saved_tensors
        to_query, to_key, to_value = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for (row, begin, end, before, first), log_sum in zip(_all(ctx.plan), sums, strict=True):
            one = slice(row, row + 1)
            k, v = (_keys(each[one], before, first, end) for each in (key, value))
            q, mask = query[one, :, begin:end], ctx.plan.mask(end - begin, k.shape[2])
            given = (grad[one, :, begin:end], q, k, v, out[one, :, begin:end], log_sum, 0.0, False)
            of_query, *rest = _backward(*given, attn_mask=mask, scale=ctx.scale)
            to_query[row, :, begin:end] = of_query[0]
            for whole, part in zip((to_key, to_value), rest, strict=True):
                whole[row, :, :before] += part[0, :, :before]
                whole[row, :, first:end] += part[0, :, before:]
        return to_query, to_key, to_value, None, None


def _all(plan: Plan) -> Iterator[tuple[int, int, int, int, int]]:
    return ((row, *block) for row in range(len(plan.sizes)) for block in plan.blocks(row))


def _keys(each: Tensor, before: int, first: int, end: int) -> Tensor:
    own = each[:, :, first:end]
    return torch.cat([each[:, :, :before], own], dim=2) if before else own


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """transformers' interface. By blocks where the caller says how rows are made; else, and where more is asked than
    plain attention, by the mask."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows = options.pop("packed_rows", None)
    more = any(options.get(name) for name in ("dropout", "softcap")) or options.get("position_bias") is not None
    if rows is None or more or key.shape[2] != query.shape[2]:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    scale = options.get("scaling") or query.shape[-1] ** -0.5
    return _Rows.apply(query, key, value, scale, rows).transpose(1, 2), None


def install(model: Any) -> Any:
    """`model`, which attends by `_attend` from now on."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return model


def options(model: Any, sizes: Sequence[Sequence[int]]) -> dict[str, Plan]:
    """What a decoder that `install` has seen is told beside the mask; nothing for another."""
    if model.config._attn_implementation != NAME:
        return {}
    return {"packed_rows": plan(sizes, model.dtype)}
