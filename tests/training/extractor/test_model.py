import pytest
import torch
from rejoinder.training.extractor.model import NOWHERE, LowRank, SignalEncoder


@pytest.fixture(scope="module")
def model() -> SignalEncoder:
    torch.manual_seed(0)
    return SignalEncoder(rubric=4, rank=2, vocab=64).eval()


def rows(*lengths: int):
    size = max(lengths)
    ids, mask, types = (torch.zeros((len(lengths), size), dtype=torch.long) for _ in range(3))
    generator = torch.Generator().manual_seed(1)
    for b, n in enumerate(lengths):
        ids[b, :n] = torch.randint(4, 64, (n,), generator=generator)
        mask[b, :n] = 1
        types[b, n // 2 : n - 1] = 1
    return ids, mask, types


def test_an_update_starts_as_nothing_and_merging_changes_no_output():
    torch.manual_seed(0)
    layer, x = LowRank(6, 5, 2, 2.0), torch.randn(3, 6)
    assert torch.equal(layer(x), layer.base(x))
    layer.B.data.normal_()
    before = layer(x)
    assert not torch.allclose(before, layer.base(x))
    layer.merge()
    assert torch.allclose(layer(x), before, atol=1e-6)
    assert torch.equal(layer(x), layer.base(x))


def test_padding_changes_nothing(model):
    ids, mask, types = rows(12, 7)
    together = model(ids, mask, types)
    alone = model(ids[1:, :7], mask[1:, :7], types[1:, :7])
    for a, b in zip(together[:4], alone[:4], strict=True):
        assert torch.allclose(a[1:], b, atol=1e-5)


def test_only_tokens_of_the_follow_up_can_fire_and_the_class_is_their_soft_maximum(model):
    ids, mask, types = rows(10)
    *_, rubric, tokens = model(ids, mask, types)
    assert (tokens[types == 0] == NOWHERE).all()
    top = tokens.amax(1)
    assert (rubric >= top - 1e-5).all()
    assert (rubric <= top + torch.log(torch.tensor(10.0)) / 4).all()


def test_a_layer_is_the_post_norm_transformer_layer_of_torch():
    torch.manual_seed(3)
    mine = SignalEncoder(rubric=4, rank=0, vocab=64).eval().layers[0]
    theirs = torch.nn.TransformerEncoderLayer(
        384, 12, 1536, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    ).eval()
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(
            torch.cat([mine.query.base.weight, mine.key.base.weight, mine.value.base.weight])
        )
        theirs.self_attn.in_proj_bias.copy_(torch.cat([mine.query.base.bias, mine.key.base.bias, mine.value.base.bias]))
        for a, b in (
            (theirs.self_attn.out_proj, mine.mix.base),
            (theirs.linear1, mine.up.base),
            (theirs.linear2, mine.down.base),
            (theirs.norm1, mine.norm1),
            (theirs.norm2, mine.norm2),
        ):
            a.load_state_dict(b.state_dict())
        x = torch.randn(2, 7, 384)
        padding = torch.tensor([[False] * 7, [False] * 5 + [True] * 2])
        bias = padding[:, None, None, :].float() * -1e4
        expected = theirs(x, src_key_padding_mask=padding)
        assert torch.allclose(mine(x, bias)[~padding], expected[~padding], atol=1e-5)


def test_polarity_is_a_distribution_and_silence_moves_no_odds(model):
    polarity, *_ = model(*rows(9, 5))
    assert torch.allclose(polarity.exp().sum(-1), torch.ones(2), atol=1e-5)
    quiet = SignalEncoder(rubric=4, rank=2, vocab=64).eval()
    quiet.load_state_dict(model.state_dict())
    quiet.polarity.bias.data[0] -= 3.0
    quieter, *_ = quiet(*rows(9, 5))
    assert torch.allclose(quieter[:, 2] - quieter[:, 0], polarity[:, 2] - polarity[:, 0], atol=1e-5)
    assert (quieter[:, 1] > polarity[:, 1]).all()


def test_what_ships_is_everything_that_trains(model):
    model.words.requires_grad_(False)
    model.places.requires_grad_(False)
    names = set(model.small_state())
    assert "polarity.weight" in names
    assert not any("base" in n or n.startswith(("words", "places")) for n in names)
