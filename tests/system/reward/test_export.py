"""The exported graphs compute what torch computes, and what the library computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rejoinder.core.answertext import TokenRow
from rejoinder.core.modelfolder import verified
from rejoinder.runtime.backends import BACKENDS
from rejoinder.runtime.batching.textmodel import pad
from rejoinder.training.heads import package
from rejoinder.training.heads.model import RewardEncoder, TextEncoder

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def tensors():
    """Rows of 3 to 256 tokens, padded, with repeated tokens in the answers."""
    rng = np.random.default_rng(0)
    rows = []
    for size in (3, 17, 64, 255, 256):
        ids = rng.integers(1000, 1000 + max(size // 2, 2), size)
        rows.append(TokenRow((101, *map(int, ids[1:-1]), 102), (0,) * (size // 3) + (1,) * (size - size // 3)))
    return pad(rows)


def graph(folder):
    return BACKENDS["onnx"].make(verified(folder), BACKENDS["onnx"].with_params({"threads": 1}))


def run(model, tensors):
    with torch.no_grad():
        return model(*(torch.tensor(value) for value in tensors.values())).numpy()


def test_the_reward_graph_is_torchs_to_rounding(models, tensors):
    found = graph(models / "bt-v1").infer(tensors)["score"]
    assert np.abs(found - run(package.reward_model(package.small_folder()), tensors)).max() < 1e-4


def test_the_embedding_graph_is_torchs_to_rounding(models, tensors):
    found = graph(models / "minilm").infer(tensors)["embedding"]
    assert np.abs(found - run(TextEncoder(package.base_weights(package.base_folder())).eval(), tensors)).max() < 1e-5


def test_the_encoder_written_out_here_is_the_librarys_to_rounding(tensors):
    from transformers import BertModel

    library = BertModel.from_pretrained(package.base_folder(), add_pooling_layer=False).eval()
    encoder = RewardEncoder(package.base_weights(package.base_folder()), rank=0, tuned_from=6).eval()
    ids, mask, types = (torch.tensor(value) for value in tensors.values())
    with torch.no_grad():
        theirs = library(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        ours = encoder.lower(ids, mask, types)
    inside = mask.bool()
    assert (ours[inside] - theirs[inside]).abs().max() < 1e-4
