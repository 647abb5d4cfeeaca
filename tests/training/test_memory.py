import pytest
import torch
from rejoinder.core.errors import ResourceExhausted
from rejoinder.training.adapters import fresh, load_base
from rejoinder.training.logps import token_logps
from rejoinder.training.memory import Estimate, available, estimate, refuse_above
from rejoinder.training.pack import pack
from rejoinder.training.settings import LoraSettings


@pytest.fixture
def model(base_dir):
    return fresh(load_base(base_dir, "float32", torch.device("cpu")), LoraSettings(r=4), 0)


def kept_for_backward(model, packed):
    """Bytes that autograd really keeps for one packed forward pass, weights not counted."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        token_logps(model, packed).sum()
    return sum(size for size, _ in kept.values())


def test_the_estimate_covers_what_autograd_keeps_without_scaring_anyone(model, examples):
    """F17: an estimate below the truth starts a run that dies, one far above it refuses a run that fits."""
    packed = pack(sorted(examples, key=lambda e: -e.tokens)[:8])
    needed = estimate(model, *packed.ids.shape, vocabulary=397)
    kept = kept_for_backward(model, packed)
    assert kept <= needed.activations + needed.attention_mask + needed.logits <= 3 * kept


def test_it_grows_with_rows_and_faster_with_length(model):
    one, rows, long = (estimate(model, *shape, vocabulary=397) for shape in ((1, 64), (4, 64), (1, 256)))
    assert rows.activations == long.activations == 4 * one.activations
    assert long.attention_mask == 16 * one.attention_mask
    assert rows.weights == one.weights


def test_a_run_that_does_not_fit_is_refused_with_its_causes():
    needed = Estimate(weights=10 << 20, adapter=0, activations=90 << 20, attention_mask=0, logits=0)
    refuse_above(needed, 100 << 20)
    with pytest.raises(ResourceExhausted, match=r"100 MB of 99 MB .activations 90 MB, weights 10 MB"):
        refuse_above(needed, 99 << 20)


def test_a_containers_limit_counts_before_the_machines(tmp_path):
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert available(torch.device("cpu"), tmp_path) == 4000
    (tmp_path / "memory.max").write_text("max\n")
    assert available(torch.device("cpu"), tmp_path) > 1 << 20
