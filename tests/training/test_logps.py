import pytest
import torch
from rejoinder.core.errors import FailedPrecondition
from rejoinder.training import logps
from rejoinder.training.logps import history_logps, plain_logps, refuse_unless_packable, token_logps
from rejoinder.training.loop import without_history
from rejoinder.training.pack import pack
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel


@pytest.fixture
def model(base_dir):
    return AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)


def test_a_slice_of_the_head_changes_neither_value_nor_gradient(model, examples, monkeypatch):
    packed = pack(examples)

    def graded():
        model.zero_grad()
        values = token_logps(model, packed)
        values.sum().backward()
        return values.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = graded()
    monkeypatch.setattr(logps, "HEAD_SLICE_TOKENS", 7)
    for sliced, together in zip(graded(), whole, strict=True):
        torch.testing.assert_close(sliced, together, rtol=1e-4, atol=1e-5)


def test_a_frozen_head_gives_the_same_gradient_below_it(model, examples):
    """Its own route: the gradient of a slice is made with its logits."""
    packed, head = pack(examples), model.get_output_embeddings()
    weights = torch.linspace(-1, 1, packed.mask.numel()).view(packed.mask.shape)

    def graded():
        model.zero_grad()
        values = token_logps(model, packed)
        (values * weights).sum().backward()
        decoder = model.get_decoder().layers.parameters()
        return values.detach(), torch.cat([p.grad.flatten() for p in decoder])

    trained = graded()
    head.requires_grad_(False)
    for frozen, other in zip(graded(), trained, strict=True):
        assert (frozen - other).abs().max() <= 1e-4 * other.abs().max()


def test_answers_without_their_history_are_the_same_models_to_the_shorter_prompt(model, examples):
    bare = [without_history(e) for e in examples]
    ours, others, effect = history_logps(model, pack(examples), pack(bare))
    torch.testing.assert_close(ours, token_logps(model, pack(examples)))
    torch.testing.assert_close(others, token_logps(model, pack(bare)))
    whole, short = (
        model(torch.tensor([[*e.prompt, *e.responses[1]]])).logits[0, len(e.prompt) - 1 : -1]
        for e in (examples[0], bare[0])
    )
    targets = torch.tensor(examples[0].responses[1])
    expected = (whole - short).log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    torch.testing.assert_close(effect[0, 1, : len(targets)], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(others[0, 1, : len(targets)], plain_logps(model, bare[0])[1], rtol=1e-4, atol=1e-4)


def test_the_shorter_prompt_teaches_nothing(model, examples):
    """The effect's slope is that of a cross-entropy of logits from which a constant is taken."""
    packed, bare = pack(examples[:1]), pack([without_history(examples[0])])
    states = logps.response_states(model, packed).detach().requires_grad_()
    with torch.no_grad():
        constant = logps.head_logits(model, logps.response_states(model, bare))
    expected = torch.autograd.grad(
        torch.nn.functional.cross_entropy(
            logps.head_logits(model, states) - constant, packed.targets[packed.mask], reduction="sum"
        ),
        states,
    )[0]
    hidden = []
    handle = model.get_decoder().register_forward_hook(
        lambda module, given, made: hidden.append(made.last_hidden_state)
    )
    effect = history_logps(model, packed, bare)[2]
    handle.remove()
    assert [h.requires_grad for h in hidden] == [True, False]
    found = torch.autograd.grad(-effect.sum(), hidden[0])[0].flatten(0, 1)
    at = packed.at[packed.mask]
    summed = torch.zeros_like(found).index_add(0, at, expected)
    torch.testing.assert_close(found, summed, rtol=1e-4, atol=1e-5)


def test_a_slice_of_two_heads_changes_neither_value_nor_gradient(model, examples, monkeypatch):
    packed, bare = pack(examples), pack([without_history(e) for e in examples])

    def graded():
        model.zero_grad()
        values = torch.stack(history_logps(model, packed, bare))
        values.sum().backward()
        return values.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = graded()
    monkeypatch.setattr(logps, "HEAD_SLICE_TOKENS", 14)
    for sliced, together in zip(graded(), whole, strict=True):
        assert (sliced - together).abs().max() <= 1e-4 * together.abs().max()


def test_sums_are_taken_in_float32_under_a_bfloat16_base(base_dir, examples):
    half = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.bfloat16)
    assert token_logps(half, pack(examples)).dtype == torch.float32


def test_a_model_of_the_right_kind_passes_the_check_before_training(model, examples):
    assert refuse_unless_packable(model, examples[0]) < 1e-5


class _Deaf(GPT2LMHeadModel):
    """A model that ignores the mask it is given, as one with a mask of its own would."""

    def get_decoder(self):
        decoder = super().get_decoder()
        return lambda attention_mask, **inputs: decoder(**inputs)


def test_a_model_that_ignores_the_mask_is_refused_before_training(examples, tokenizer):
    deaf = _Deaf(GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=256)).eval()
    with pytest.raises(FailedPrecondition, match="packed rows"):
        refuse_unless_packable(deaf, examples[0])
