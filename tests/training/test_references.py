"""training/references: computed once, in batches of any kind, what the reference says each time it is asked."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from rejoinder.training.adapters import fresh, load_base, reference, trainable
from rejoinder.training.logps import token_logps
from rejoinder.training.pack import pack
from rejoinder.training.parallel import Hands, Team
from rejoinder.training.references import References
from rejoinder.training.settings import LoraSettings, TrainSettings

HANDS = Hands(torch.device("meta"))
SETTINGS = TrainSettings(lora=LoraSettings(r=4, alpha=8))


@pytest.fixture
def model(base_dir):
    made = fresh(load_base(base_dir, "float32", torch.device("cpu")), SETTINGS.lora, 0)
    # A policy that has moved: what is kept must not be its own.
    with torch.no_grad():
        for parameter in trainable(made).values():
            parameter.add_(0.05)
    return made


def test_they_are_what_the_reference_says_of_the_same_pairs_in_another_order(model, examples):
    kept = References(model, examples, SETTINGS, Team(), HANDS)
    order = [3, 0, 2]
    packed = pack([examples[i] for i in order])
    with reference(model, "original"):
        asked = token_logps(model, packed)
    assert torch.allclose(kept.of(order, packed), asked, atol=1e-5)
    # The control: the policy itself says something else.
    assert not torch.allclose(kept.of(order, packed), token_logps(model, packed), atol=1e-2)


def test_small_batches_give_the_same_numbers(model, examples):
    packed = pack(examples)
    one, many = (
        References(model, examples, dataclasses.replace(SETTINGS, tokens_per_batch=n), Team(), HANDS).of(
            range(len(examples)), packed
        )
        for n in (8192, 64)
    )
    assert torch.allclose(one, many, atol=1e-5)


def test_a_team_computes_each_share_once(model, examples):
    """Two ranks, their shares summed by hand as all_reduce would."""

    class Rank(Team):
        def add(self, tensors):
            shares.append(next(iter(tensors)))

    shares: list[torch.Tensor] = []
    settings = dataclasses.replace(SETTINGS, tokens_per_batch=128)
    for rank in range(2):
        References(model, examples, settings, Rank(rank, 2), HANDS)
    alone = References(model, examples, settings, Team(), HANDS)
    assert (shares[0] * shares[1] == 0).all()
    assert torch.equal(shares[0] + shares[1], alone._flat)
