import dataclasses

import pytest
import torch
from rejoinder.training.adapters import fresh, load_base, reference, trainable
from rejoinder.training.logps import plain_logps
from rejoinder.training.mismatch import divergence, rotated
from rejoinder.training.parallel import Team
from rejoinder.training.settings import LoraSettings, TrainSettings

SETTINGS = TrainSettings(lora=LoraSettings(r=4, alpha=8))


@pytest.fixture
def model(base_dir):
    """An adapter that changes something."""
    made = fresh(load_base(base_dir, "float32", torch.device("cpu")), SETTINGS.lora, 0)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in trainable(made).items():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.2)
    return made


def test_every_prompt_meets_the_answers_of_the_one_before_it(examples):
    crossed = rotated(examples)
    assert [e.prompt for e in crossed] == [e.prompt for e in examples]
    assert [e.responses for e in crossed] == [e.responses for e in (examples[-1], *examples[:-1])]


def test_it_is_the_mean_log_ratio_of_answers_to_other_prompts(model, examples):
    total, count = 0.0, 0
    for example in rotated(examples):
        with torch.no_grad():
            policy = plain_logps(model, example)
        with reference(model, "original"):
            theirs = plain_logps(model, example)
        total += sum((p - t).sum().item() for p, t in zip(policy, theirs, strict=True))
        count += len(example.responses)
    found = divergence(model, examples, SETTINGS, Team())
    assert found.item() == pytest.approx(max(total / count, 0.0), rel=1e-4)
    assert not found.requires_grad


def test_how_a_step_is_cut_changes_nothing_and_a_step_of_one_prompt_has_none(model, examples):
    whole = divergence(model, examples, SETTINGS, Team())
    cut = divergence(model, examples, dataclasses.replace(SETTINGS, tokens_per_batch=48), Team())
    assert cut.item() == pytest.approx(whole.item(), rel=1e-4, abs=1e-6)
    assert divergence(model, examples[:1], SETTINGS, Team()).item() == 0


def test_two_processes_sum_to_what_one_finds(model, examples):
    """Each its share of the micro-batches; what they would send one another is summed by hand."""
    sent = []

    class Half(Team):
        def add(self, tensors):
            sent.extend(tensor.clone() for tensor in tensors)

    cut = dataclasses.replace(SETTINGS, tokens_per_batch=48)
    for rank in (0, 1):
        divergence(model, examples, cut, Half(rank, 2))
    total, count = sum(sent)
    assert all(part[1] > 0 for part in sent)
    whole = divergence(model, examples, SETTINGS, Team())
    assert max(total / count, torch.tensor(0.0)).item() == pytest.approx(whole.item(), rel=1e-4, abs=1e-6)


def test_an_untrained_policy_has_not_moved(base_dir, examples):
    untrained = fresh(load_base(base_dir, "float32", torch.device("cpu")), SETTINGS.lora, 0)
    assert divergence(untrained, examples, SETTINGS, Team()).item() == pytest.approx(0, abs=1e-4)
