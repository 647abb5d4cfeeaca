"""training/fused: the linear with its branch in one step is PEFT's own layer, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from rejoinder.training.fused import FusedLinear, fuse

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def layer(dtype, bias):
    torch.manual_seed(0)
    made = get_peft_model(
        torch.nn.Sequential(torch.nn.Linear(12, 20, bias=bias, dtype=dtype)),
        LoraConfig(r=3, lora_alpha=7, target_modules=["0"], init_lora_weights=False),
        autocast_adapter_dtype=False,
    )
    assert type(made.base_model.model[0]) is Linear
    return made


def graded(model, x):
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = model(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in model.parameters() if p.requires_grad)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_it_equals_pefts_layer_in_value_and_every_gradient(dtype, bias):
    model, x = layer(dtype, bias), torch.randn(2, 5, 12, dtype=dtype)
    theirs = graded(model, x)
    fuse(model)
    assert type(model.base_model.model[0]) is FusedLinear
    for ours, plain in zip(graded(model, x), theirs, strict=True):
        assert (ours - plain).abs().max() <= TOLERANCE[dtype] * plain.abs().max()


def test_without_its_adapter_it_is_the_linear_to_the_bit():
    model, x = fuse(layer(torch.float32, True)), torch.randn(2, 5, 12)
    with model.disable_adapter():
        assert torch.equal(model(x), model.base_model.model[0].base_layer(x))
    assert not torch.equal(model(x), model.base_model.model[0].base_layer(x))
