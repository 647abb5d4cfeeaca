import json

import pytest
import torch
from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.training.adapters import (
    CONFIG,
    WEIGHTS,
    add_reference,
    continued,
    fresh,
    load_base,
    read_config,
    reference,
    save_adapter,
    trainable,
)
from rejoinder.training.logps import token_logps
from rejoinder.training.pack import pack
from rejoinder.training.settings import LoraSettings

LORA = LoraSettings(r=4, alpha=8)


def base(folder):
    return load_base(folder, "float32", torch.device("cpu"))


def stir(model, seed=1):
    """Gives every adapter weight a value, so that the policy differs from its base."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draw))
    return model


@pytest.fixture
def packed(examples):
    return pack(examples[:3])


def test_a_fresh_adapter_is_seeded_and_changes_nothing(base_dir, packed):
    bare = token_logps(base(base_dir), packed)
    first, same, other = (fresh(base(base_dir), LORA, seed) for seed in (0, 0, 1))
    torch.testing.assert_close(token_logps(first, packed), bare, rtol=0, atol=0)

    def weights(model):
        return torch.cat([p.flatten() for p in trainable(model).values()])

    assert torch.equal(weights(first), weights(same))
    assert not torch.equal(weights(first), weights(other))


def test_every_linear_but_the_head_is_trained_and_nothing_else(base_dir):
    model = fresh(base(base_dir), LORA, 0)
    assert len(trainable(model)) == 2 * 7 * 2
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(trainable(model))


def test_the_original_reference_is_the_bare_base_and_the_policy_comes_back_trainable(base_dir, packed):
    bare = token_logps(base(base_dir), packed).detach()
    model = stir(fresh(base(base_dir), LORA, 0))
    before = token_logps(model, packed).detach()
    assert not torch.allclose(before, bare, atol=1e-3)
    with reference(model, "original"):
        inside = token_logps(model, packed)
    assert not inside.requires_grad
    torch.testing.assert_close(inside, bare)
    after = token_logps(model, packed)
    torch.testing.assert_close(after, before)
    after.sum().backward()
    assert all(p.grad is not None for p in trainable(model).values())


def test_a_named_adapter_is_the_reference_and_gets_no_gradient(base_dir, packed, tmp_path):
    save_adapter(stir(fresh(base(base_dir), LORA, 0), seed=5), tmp_path / "old", "b")
    old = continued(base(base_dir), tmp_path / "old", LORA)
    expected = token_logps(old, packed).detach()
    model = fresh(base(base_dir), LORA, 0)
    add_reference(model, tmp_path / "old")
    with reference(model, "previous"):
        torch.testing.assert_close(token_logps(model, packed), expected)
    assert not torch.allclose(token_logps(model, packed), expected, atol=1e-3)
    token_logps(model, packed).sum().backward()
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(trainable(model))


def test_a_continued_policy_starts_where_the_previous_one_ended(base_dir, packed, tmp_path):
    model = stir(fresh(base(base_dir), LORA, 0))
    save_adapter(model, tmp_path / "a", "b")
    again = continued(base(base_dir), tmp_path / "a", LORA)
    torch.testing.assert_close(token_logps(again, packed), token_logps(model, packed))
    assert all(p.requires_grad for p in trainable(again).values())


def test_a_continued_policy_of_another_rank_is_refused(base_dir, tmp_path):
    save_adapter(fresh(base(base_dir), LORA, 0), tmp_path / "a", "b")
    with pytest.raises(FailedPrecondition, match="previous adapter"):
        continued(base(base_dir), tmp_path / "a", LoraSettings(r=8, alpha=8))


def test_equal_weights_make_equal_bytes_and_name_no_path(base_dir, tmp_path):
    for name in ("a", "b"):
        save_adapter(stir(fresh(base(base_dir), LORA, 0)), tmp_path / name, "base-digest")
    for file in (WEIGHTS, CONFIG):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert str(base_dir) not in (tmp_path / "a" / CONFIG).read_text()
    assert read_config(tmp_path / "a")["base_model_name_or_path"] == "base-digest"


def test_an_adapter_that_cannot_be_served_is_refused(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps({"peft_type": "LORA", "use_dora": True}))
    with pytest.raises(BadFile, match="plain LoRA"):
        read_config(tmp_path)
    with pytest.raises(BadFile, match="missing"):
        read_config(tmp_path / "nowhere")
