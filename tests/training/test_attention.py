"""training/attention: by blocks it is the masked row, in value and gradient, and what is not allowed has no say."""

import dataclasses

import pytest
import torch
from rejoinder.training import attention
from rejoinder.training.adapters import load_base
from rejoinder.training.logps import plain_logps, token_logps
from rejoinder.training.pack import pack

#: Longer than a block and not a multiple of one; a list of three; an answer alone.
SIZES = [(150, 20, 15), (3, 140, 4, 5), (130, 1), (40, 2, 133)]
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def rows(dtype):
    torch.manual_seed(0)
    length = max(map(sum, SIZES))
    wide, narrow = (len(SIZES), 4, length, 16), (len(SIZES), 2, length, 16)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in (wide, narrow, narrow)]


def allowed(sizes, length):
    segment = torch.tensor([k for k, size in enumerate(sizes) for _ in range(size)])
    seen = (segment[None] == 0) | (segment[None] == segment[:, None])
    whole = torch.eye(length, dtype=torch.bool)
    whole[: len(segment), : len(segment)] |= seen & torch.ones_like(seen).tril()
    return whole


def masked(query, key, value):
    length = query.shape[2]
    mask = torch.stack([allowed(sizes, length) for sizes in SIZES])[:, None]
    k, v = (each.repeat_interleave(2, dim=1) for each in (key, value))
    return torch.nn.functional.scaled_dot_product_attention(query, k, v, attn_mask=mask, scale=0.3)


def blocks(query, key, value):
    return attention._Rows.apply(query, key, value, 0.3, attention.plan(SIZES, query.dtype))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_by_blocks_it_is_the_masked_row_in_value_and_gradient(dtype):
    given = rows(dtype)
    real = torch.zeros(len(SIZES), 1, given[0].shape[2], 1, dtype=dtype)
    for row, sizes in enumerate(SIZES):
        real[row, :, : sum(sizes)] = 1
    weight = real * torch.linspace(-1, 1, 16, dtype=dtype)
    found = []
    for attend in (blocks, masked):
        out = attend(*given) * real
        found.append([out, *torch.autograd.grad((out * weight).sum(), given)])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() <= TOLERANCE[dtype] * theirs.abs().max()


def test_half_of_the_square_is_left_out():
    made = attention.plan([(1000, 120, 100)], torch.float32)
    computed = sum((end - begin) * (before + end - first) for begin, end, before, first in made.blocks(0))
    assert computed < 0.56 * 1220**2


def test_a_base_that_is_loaded_here_computes_packed_rows_so_and_plain_ones_as_before(base_dir, examples):
    model = load_base(base_dir, "float32", torch.device("cpu"))
    assert model.config._attn_implementation == attention.NAME
    packed = pack(examples)
    # The mask is what another attention would read: this one has what the row is made of.
    unread = dataclasses.replace(packed, allowed=torch.ones_like(packed.allowed).tril())
    assert torch.equal(token_logps(model, packed), token_logps(model, unread))
    for row, example in zip(token_logps(model, packed), examples, strict=True):
        for ours, plain in zip(row, plain_logps(model, example), strict=True):
            torch.testing.assert_close(ours[: len(plain)], plain, rtol=1e-4, atol=1e-4)


def test_answers_told_as_one_would_be_noticed(base_dir, examples):
    model, packed = load_base(base_dir, "float32", torch.device("cpu")), pack(examples)
    leaky = dataclasses.replace(packed, sizes=tuple((sum(sizes),) for sizes in packed.sizes))
    apart = (token_logps(model, leaky) - token_logps(model, packed)).abs().amax((0, 2))
    assert apart[0] < 1e-4
    assert apart[1] > 1e-3
