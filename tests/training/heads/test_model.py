from __future__ import annotations

import pytest
import torch
from rejoinder.training.heads import package
from rejoinder.training.heads.cache import tensors
from rejoinder.training.heads.model import RewardEncoder, TextEncoder


@pytest.fixture
def model(base):
    """With updates, scalar, lexicon and weights drawn at random: nothing is zero by chance of birth."""
    torch.manual_seed(0)
    made = RewardEncoder(base, rank=4)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn_like(parameter)
        made.lexicon.normal_()
        made.weights.copy_(torch.tensor([1.0, 0.3, -0.2]))
    return made.eval()


def score(model, rows):
    with torch.no_grad():
        return model(*tensors(rows))


def test_merging_the_updates_changes_no_score(model, rows):
    before = score(model, [rows[0].a, rows[1].a])
    assert torch.allclose(score(model.merge(), [rows[0].a, rows[1].a]), before, atol=1e-5)


def test_padding_changes_no_score(model, rows):
    short, long = sorted([rows[0].a, rows[3].a], key=lambda row: len(row.ids))
    assert len(short.ids) < len(long.ids)
    assert score(model, [short, long])[0] == pytest.approx(score(model, [short])[0].item(), abs=1e-5)


def test_the_lexical_part_sums_the_table_over_the_answers_distinct_tokens(model):
    ids = torch.tensor([[101, 7, 102, 7, 9, 9, 9, 5, 0]])
    types = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 0]])
    expected = model.lexicon[[7, 9, 5]].sum()
    assert model.lexical(ids, types).item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_small_state_brings_everything_that_training_made(model, base, rows):
    fresh = RewardEncoder(base, rank=4).eval()
    assert not torch.allclose(score(fresh, [rows[0].a]), score(model, [rows[0].a]))
    fresh.load_small(model.small_state())
    assert torch.equal(score(fresh, [rows[0].a]), score(model, [rows[0].a]))


def test_only_the_upper_layers_and_the_scalar_are_trained(model):
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[1] for name in trained if name.startswith("layers")} == {"3", "4", "5"}
    assert not any("base" in name for name in trained)
    assert sum(p.numel() for p in RewardEncoder.parameters(model) if p.requires_grad) < 500_000


def test_text_vectors_are_of_length_one_and_near_for_like_texts(base):
    from rejoinder.core.answertext import text_row
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(package.base_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    texts = ["How do I bake bread?", "Recipe for a loaf of bread", "The stock market fell"]
    rows = [text_row(tokenizer.encode(t, add_special_tokens=False).ids, cls=101, sep=102, budget=50) for t in texts]
    with torch.no_grad():
        vectors = TextEncoder(base).eval()(*tensors(rows))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
