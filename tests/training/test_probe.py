import pytest
import torch
from rejoinder.training import probe
from rejoinder.training.adapters import fresh, load_base, trainable
from rejoinder.training.examples import Example
from rejoinder.training.logps import plain_logps
from rejoinder.training.settings import LoraSettings

END = 2


@pytest.fixture
def model(base_dir):
    return fresh(load_base(base_dir, "float32", torch.device("cpu")), LoraSettings(r=4), 0)


def stir(model, scale):
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=draw))


def measure(model, examples):
    theirs = probe.original_answers(model, examples, END, 8, 3)
    return probe.measure(model, examples, END, theirs=theirs, tokens=8, tokens_per_batch=256, seed=3)


def test_an_untrained_policy_diverges_by_nothing(model, examples):
    found = measure(model, examples)
    assert found["kl_to_original_per_token"] == 0
    assert found["kl_to_original_sampled"] == 0
    assert found["generated_length_ratio"] == 1


def test_divergence_grows_as_the_policy_moves_and_is_never_negative(model, examples):
    found = []
    for scale in (0.02, 0.05, 0.1):
        stir(model, scale)
        found.append(measure(model, examples)["kl_to_original_per_token"])
    assert 0 < found[0] < found[1] < found[2]


def test_divergence_is_the_textbooks_sum_over_the_vocabulary(model, examples):
    stir(model, 0.05)
    example = examples[0]
    ids = torch.tensor([[*example.prompt, *example.responses[0]]])
    at = slice(len(example.prompt) - 1, -1)
    with torch.no_grad():
        p = model(input_ids=ids).logits[0, at].double().log_softmax(-1)
        with model.disable_adapter():
            q = model(input_ids=ids).logits[0, at].double().log_softmax(-1)
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1).mean().item()
    alone = Example("x", "x", example.prompt, example.responses[:1], 1.0, 0.0, 0.0)
    assert probe.divergence(model, [alone], 256) == pytest.approx(expected, rel=1e-4)


def test_samples_repeat_with_their_seed_and_stop_at_the_end_token(model, examples):
    prompts = [e.prompt for e in examples]
    first, again, other = (probe.sample(model, prompts, END, 12, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert all(1 <= len(a) <= 12 and END not in a[:-1] for a in first)


def test_padding_on_the_left_does_not_change_what_a_prompt_may_answer(model, examples):
    """The most likely first token after a short prompt is the same beside a long one as alone."""
    short, long = sorted((e.prompt for e in examples), key=len)[:: len(examples) - 1]
    counts = torch.zeros(397)
    for seed in range(200):
        counts[probe.sample(model, [short, long], END, 1, seed)[0][0]] += 1
    example = Example("x", "x", short, ((int(counts.argmax()),),), 1.0, 0.0, 0.0)
    chance = plain_logps(model, example)[0].exp().item()
    assert abs(counts.max().item() / 200 - chance) < 0.12


def test_without_pairs_or_without_tokens_nothing_is_invented(model, examples):
    assert measure(model, []) == {}
    silent = probe.measure(model, examples, END, theirs=[], tokens=0, tokens_per_batch=256, seed=0)
    assert set(silent) == {"kl_to_original_per_token"}
