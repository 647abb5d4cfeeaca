import torch
from rejoinder.training.checkpoint import Checkpoint, load, save


def state(step):
    parameters, first, second = ({"a.policy.w": torch.full((2, 2), float(step))} for _ in range(3))
    return Checkpoint(step, parameters, first, second, [{"step": step, "loss": 0.1 + step}])


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path):
    save(tmp_path / "c", "key", state(3))
    found = load(tmp_path / "c", "key")
    assert (found.step, found.lines) == (3, [{"step": 3, "loss": 3.1}])
    for part in (found.parameters, found.first, found.second):
        assert torch.equal(part["a.policy.w"], torch.full((2, 2), 3.0))


def test_nothing_and_another_runs_checkpoint_are_no_checkpoint(tmp_path):
    assert load(tmp_path / "c", "key") is None
    save(tmp_path / "c", "key", state(3))
    assert load(tmp_path / "c", "other") is None


def test_a_torn_write_leaves_the_earlier_one(tmp_path):
    save(tmp_path / "c", "key", state(3))
    (tmp_path / "c.new").write_bytes(b"half of a checkp")
    assert load(tmp_path / "c", "key").step == 3
    save(tmp_path / "c", "key", state(4))
    assert load(tmp_path / "c", "key").step == 4
