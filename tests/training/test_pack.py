import dataclasses

import pytest
import torch
from rejoinder.training.examples import Example
from rejoinder.training.logps import plain_logps, token_logps
from rejoinder.training.pack import batches, pack
from transformers import AutoModelForCausalLM

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def load(folder, dtype):
    """In fp64 the norms are torch's own: transformers' cast to float32 inside, which alone costs 1e-7."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    if dtype == torch.float64:
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if type(child).__name__.endswith("RMSNorm"):
                    norm = torch.nn.RMSNorm(child.weight.shape, eps=child.variance_epsilon, dtype=dtype)
                    norm.load_state_dict(child.state_dict())
                    setattr(parent, name, norm)
    return model


def plain(model, example):
    """The whole prompt with each response by the model's own mask: no code of ours but the indexing."""
    sums = []
    for response in example.responses:
        ids = torch.tensor([[*example.prompt, *response]])
        logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])
        sums.append(logps[len(example.prompt) - 1 :].sum())
    return torch.stack(sums)


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


def gradients(model, compute):
    model.zero_grad()
    compute().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_packed_rows_equal_plain_rows_in_value_and_gradient(kind, dtype, make_base, examples):
    model = load(make_base(kind=kind), dtype)
    packed = pack(examples)
    weights = torch.linspace(-1, 1, 2 * len(examples), dtype=dtype).view(-1, 2)
    ours = token_logps(model, packed).sum(-1)
    theirs = torch.stack([plain(model, e) for e in examples])
    assert relative(ours, theirs) < TOLERANCE[dtype]
    packed_gradient = gradients(model, lambda: (token_logps(model, packed).sum(-1) * weights).sum())
    plain_gradient = gradients(model, lambda: (torch.stack([plain(model, e) for e in examples]) * weights).sum())
    assert relative(packed_gradient, plain_gradient) < TOLERANCE[dtype]


def test_a_rejected_response_that_sees_the_chosen_one_is_noticed(base_dir, examples):
    model, packed = load(base_dir, torch.float64), pack(examples)
    leaky = dataclasses.replace(packed, allowed=torch.ones_like(packed.allowed).tril())
    ours, theirs = token_logps(model, leaky).sum(-1), torch.stack([plain(model, e) for e in examples])
    assert relative(ours[:, 0], theirs[:, 0]) < 1e-9
    assert relative(ours[:, 1], theirs[:, 1]) > 1e-3


def test_positions_that_do_not_restart_are_noticed(base_dir, examples):
    model, packed = load(base_dir, torch.float64), pack(examples)
    running = dataclasses.replace(packed, positions=torch.arange(packed.ids.shape[1]).expand_as(packed.ids))
    ours, theirs = token_logps(model, running).sum(-1), torch.stack([plain(model, e) for e in examples])
    assert relative(ours[:, 1], theirs[:, 1]) > 1e-3


def test_a_list_of_responses_shares_one_prompt(base_dir, examples):
    model = load(base_dir, torch.float64)
    many = dataclasses.replace(examples[0], responses=tuple(r for e in examples[:3] for r in e.responses))
    ours = token_logps(model, pack([many, examples[1]]))[0]
    for row, alone in zip(ours, plain_logps(model, many), strict=True):
        torch.testing.assert_close(row[: len(alone)], alone, rtol=1e-9, atol=1e-9)


def test_the_prompt_is_stored_once(examples):
    packed = pack(examples[:1])
    example = examples[0]
    assert packed.ids.shape[1] == len(example.prompt) + sum(map(len, example.responses))
    assert packed.ids[0, : len(example.prompt)].tolist() == list(example.prompt)
    assert packed.targets[0][packed.mask[0]].tolist() == [t for r in example.responses for t in r]


def test_every_query_sees_at_least_itself(examples):
    assert pack(examples).allowed.any(-1).all()


def test_batches_keep_the_budget_and_every_row_once():
    lengths = [5, 90, 7, 7, 40, 3, 200, 41]
    groups = batches(lengths, 100)
    assert sorted(i for group in groups for i in group) == list(range(8))
    assert all(len(g) * max(lengths[i] for i in g) <= 100 for g in groups if len(g) > 1)
    assert groups[0] == [6]


def test_batches_waste_less_than_arrival_order_does():
    generator = torch.Generator().manual_seed(0)
    lengths = (20 + 380 * torch.rand(64, generator=generator) ** 3).int().tolist()
    padded = sum(len(g) * max(lengths[i] for i in g) for g in batches(lengths, 2048))
    arrival = sum(len(c) * max(c) for c in (lengths[i : i + 8] for i in range(0, 64, 8)))
    assert padded < 0.8 * arrival


def test_the_first_response_token_is_predicted_by_the_last_prompt_token():
    packed = pack([Example("a", "a", (4, 5, 6), ((7, 8), (9, 1, 2)), 1.0, 0.0, 0.1)])
    assert packed.at[0, 0, :2].tolist() == [2, 3]
    assert packed.at[0, 1].tolist() == [2, 5, 6]
    assert packed.positions[0].tolist() == [0, 1, 2, 3, 4, 3, 4, 5]
