"""A linear and its LoRA branch as one step of autograd: the branch is added into the linear's own output.

y = x W^T + scale * (x A^T) B^T. PEFT's layer makes each of these terms an array as wide as the output, scales it and
adds it, and keeps them for the backward pass; beside a small base that costs more than the branch's own products.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Sum(torch.autograd.Function):
    """x (..., in), weight (out, in), bias (out,) or None, a (r, in), b (out, r), scale → (..., out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        x_ND = x.flatten(0, -2)
        down_NR = x_ND @ a.t()
        y_NE = x_ND @ weight.t() if bias is None else torch.addmm(bias, x_ND, weight.t())
        y_NE.addmm_(down_NR, b.t(), alpha=scale)
        ctx.save_for_backward(x_ND, weight, a, b, down_NR)
        ctx.scale = scale
        return y_NE.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, weight, a, b, down_NR = ctx.saved_tensors
        grad_NE = grad.flatten(0, -2)
        # The branch is scaled where it is narrow.
        up_NR = (grad_NE @ b).mul_(ctx.scale)
        grad_a, grad_b = up_NR.t() @ x_ND, (grad_NE.t() @ down_NR).mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad_NE @ weight).addmm_(up_NR, a).view(*grad.shape[:-1], -1)
        return grad_x, None, None, grad_a, grad_b, None


class FusedLinear(Linear):
    """PEFT's LoRA linear; where nothing but plain LoRA of one adapter in one dtype is asked, by the sum above."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        names = [name for name in self.active_adapters if name in self.lora_A]
        if args or kwargs or self.disable_adapters or self.merged or len(names) != 1 or not self._plain(names[0], x):
            return super().forward(x, *args, **kwargs)
        base, a, b = self.base_layer, self.lora_A[names[0]], self.lora_B[names[0]]
        return _Sum.apply(x, base.weight, base.bias, a.weight, b.weight, self.scaling[names[0]])

    def _plain(self, name: str, x: Tensor) -> bool:
        base, a, b = self.base_layer, self.lora_A[name], self.lora_B[name]
        return (
            type(base) is torch.nn.Linear
            and not base.weight.requires_grad
            and name not in self.lora_variant
            and isinstance(self.lora_dropout[name], torch.nn.Identity)
            and b.bias is None
            and x.dim() > 1
            and x.dtype == base.weight.dtype == a.weight.dtype == b.weight.dtype
        )


def fuse(model: Any) -> Any:
    """`model` with its LoRA linears as FusedLinear, in place: same weights, same names, same switches."""
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = FusedLinear
    return model
