import numpy as np
import onnxruntime as ort
import pytest
import torch
from rejoinder.training.extractor.export import CARRIED, SHIPPED, quantise, to_onnx
from rejoinder.training.extractor.model import SignalEncoder
from rejoinder.training.extractor.text import DATA


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    model = SignalEncoder(rubric=4, rank=0, vocab=2000).eval()
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    to_onnx(model, path)
    return model, path


def feed(rows: int, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    types = np.zeros((rows, size), dtype=np.int64)
    types[:, size // 2 : -1] = 1
    ids = rng.integers(10, 2000, (rows, size))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}


def run(path, given):
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, given)


@pytest.mark.parametrize(("rows", "size"), [(1, 5), (3, 40), (2, 131)])
def test_the_graph_equals_the_model_at_any_batch_and_length(exported, rows, size):
    model, path = exported
    given = feed(rows, size)
    with torch.no_grad():
        expected = model(*(torch.from_numpy(x) for x in given.values()))
    for theirs, mine in zip(run(path, given), expected, strict=True):
        assert np.abs(theirs - mine.numpy()).max() < 1e-4


def test_quantised_products_stay_near_and_the_file_shrinks(exported, tmp_path):
    _, path = exported
    quantise(path, tmp_path / "int8.onnx")
    given = feed(2, 30)
    plain, small = run(path, given), run(tmp_path / "int8.onnx", given)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.6 * path.stat().st_size
    assert 0 < np.abs(plain[0] - small[0]).max() < 0.2


def test_what_ships_is_small_and_complete():
    assert (SHIPPED / "updates.safetensors").stat().st_size <= 4_000_000
    assert all((SHIPPED / name).is_file() for name in CARRIED)


def test_the_card_names_every_source_and_licence():
    card = (SHIPPED / "card.md").read_text(encoding="utf-8")
    for words in (
        "Topical-Chat",
        "CDLA-Sharing-1.0",
        "hh-rlhf",
        "MIT",
        "written.txt",
        "all-MiniLM-L6-v2",
        "Apache-2.0",
    ):
        assert words in card
    assert (DATA / "labelled" / "RULE.md").is_file()
