import dataclasses

import pytest
import torch
from rejoinder.core.errors import FailedPrecondition
from rejoinder.training import teacher
from rejoinder.training.adapters import REFERENCE, add_reference, fresh, load_base, reference, save_adapter, trainable
from rejoinder.training.parallel import Team
from rejoinder.training.settings import LoraSettings, TrainSettings
from rejoinder.training.teacher import asked
from transformers import AutoModelForCausalLM, AutoTokenizer

CPU = torch.device("cpu")


@pytest.fixture
def folders(make_base, tmp_path):
    """A teacher of other weights, and an adapter that moves it."""
    base = make_base(seed=5)
    model = fresh(load_base(base, "float32", CPU), LoraSettings(r=2, alpha=4), 1)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.normal_(std=0.1, generator=torch.Generator().manual_seed(weight.numel()))
    save_adapter(model, tmp_path / "aligned", base_name="teacher")
    return {"base": base, "adapter": tmp_path / "aligned"}


@pytest.fixture
def ask(folders, tokenizer, examples, tmp_path):
    def go(key="key", folders=folders, examples=examples, **changes):
        settings = TrainSettings(**changes)
        return asked(folders, tokenizer, examples, settings, Team(), CPU, tmp_path / "teacher.safetensors", key)

    return go


def test_it_is_the_aligned_model_and_its_own_base_at_every_token_of_a_response(ask, folders, examples, monkeypatch):
    """Against the models' own causal mask, one response a row; of the vocabulary ten tokens and the rest."""
    monkeypatch.setattr(teacher, "TOP", 10)
    ids, aligned, before = ask().of([3])
    model = load_base(folders["base"], "float32", CPU)
    model = fresh(model, LoraSettings(r=2, alpha=4), 1)
    add_reference(model, folders["adapter"])
    expected = {}
    for name, adapter in (("aligned", REFERENCE), ("before", "original")):
        with reference(model, adapter):
            expected[name] = torch.cat(
                [
                    model(torch.tensor([[*examples[3].prompt, *r]])).logits[0, len(examples[3].prompt) - 1 : -1]
                    for r in examples[3].responses
                ]
            ).softmax(-1)
    assert torch.equal(ids.sort(-1).values, expected["aligned"].topk(10, -1).indices.sort(-1).values)
    for found, whole in ((aligned, expected["aligned"]), (before, expected["before"])):
        chosen = whole.gather(-1, ids)
        bins = torch.cat([chosen, 1 - chosen.sum(-1, keepdim=True)], -1)
        torch.testing.assert_close(found.exp(), bins, rtol=1e-3, atol=1e-5)
    assert (aligned - before).abs().max() > 0.1


def test_a_resumed_run_does_not_read_the_teacher_again_and_another_run_does(ask, monkeypatch):
    whole = ask()
    monkeypatch.setattr(teacher, "load_base", lambda *given: pytest.fail("the teacher was read"))
    again = ask()
    assert all(torch.equal(getattr(again, n), getattr(whole, n)) for n in ("ids", "aligned", "before"))
    with pytest.raises(pytest.fail.Exception, match="read"):
        ask(key="other")


def test_how_examples_are_cut_into_batches_changes_nothing(ask):
    whole, cut = ask(key="a"), ask(key="b", tokens_per_batch=48)
    torch.testing.assert_close(cut.aligned, whole.aligned, rtol=1e-4, atol=1e-4)


def test_tokens_that_are_not_counted_are_not_kept(ask, examples):
    hidden = [
        dataclasses.replace(e, counted=tuple((False,) + (True,) * (len(r) - 1) for r in e.responses)) for e in examples
    ]
    whole, cut = ask(key="a").of([1]), ask(key="b", examples=hidden).of([1])
    first = len(examples[1].responses[0])
    left = [i for i in range(len(whole[0])) if i not in (0, first)]
    torch.testing.assert_close(cut[1], whole[1][left], rtol=1e-4, atol=1e-4)


def test_a_teacher_of_another_vocabulary_is_refused(ask, folders, tmp_path):
    other = AutoTokenizer.from_pretrained(folders["base"])
    other.add_tokens(["loire"])
    other.save_pretrained(tmp_path / "other")
    AutoModelForCausalLM.from_pretrained(folders["base"]).save_pretrained(tmp_path / "other")
    with pytest.raises(FailedPrecondition, match="vocabulary"):
        ask(folders=folders | {"base": tmp_path / "other"})
