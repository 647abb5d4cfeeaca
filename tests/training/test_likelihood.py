import json

import pytest
import torch
from rejoinder.training.adapters import fresh, load_base, save_adapter, trainable
from rejoinder.training.likelihood import rows, write_rows
from rejoinder.training.settings import LoraSettings
from transformers import AutoModelForCausalLM


def test_a_row_is_the_sum_that_the_bare_model_gives_in_the_order_of_the_pairs(base_dir, examples):
    model = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)
    found = list(rows(model, examples))
    assert [row["id"] for row in found] == [e.id for e in examples]
    for row, example in zip(found, examples, strict=True):
        for side, response in zip(("chosen", "rejected"), example.responses, strict=True):
            ids = torch.tensor([[*example.prompt, *response]])
            with torch.no_grad():
                logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])
            assert row[f"{side}_logp"] == pytest.approx(logps[len(example.prompt) - 1 :].sum().item(), rel=1e-5)
            assert row[f"{side}_tokens"] == len(response)
        assert ("flip_probability" in row) == (example.eps == example.eps)


def test_an_adapter_changes_the_rows_and_none_gives_the_bases(base_dir, make_pairs, tmp_path):
    pairs = make_pairs()
    model = fresh(load_base(base_dir, "float32", torch.device("cpu")), LoraSettings(r=4), 0)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.fill_(0.05)
    save_adapter(model, tmp_path / "a", "b")
    assert write_rows(pairs, base_dir, None, tmp_path / "before.jsonl")["rows"] == 12
    assert write_rows(pairs, base_dir, tmp_path / "a", tmp_path / "after.jsonl")["rows"] == 12

    def read(name):
        return [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]

    before, after = read("before.jsonl"), read("after.jsonl")
    assert [r["id"] for r in before] == [r["id"] for r in after]
    assert all(b["chosen_logp"] != a["chosen_logp"] for b, a in zip(before, after, strict=True))
    assert all(b["kl_to_original"] == 0 < a["kl_to_original"] for b, a in zip(before, after, strict=True))


def test_a_rows_divergence_is_the_textbooks_sum_over_both_answers(base_dir, examples):
    model = fresh(load_base(base_dir, "float32", torch.device("cpu")), LoraSettings(r=4), 0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=draw))
    found = list(rows(model, examples))
    for row, example in zip(found, examples, strict=True):
        tokens = []
        for response in example.responses:
            ids, at = torch.tensor([[*example.prompt, *response]]), slice(len(example.prompt) - 1, -1)
            with torch.no_grad():
                p = model(input_ids=ids).logits[0, at].double().log_softmax(-1)
                with model.disable_adapter():
                    q = model(input_ids=ids).logits[0, at].double().log_softmax(-1)
            tokens.append(torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1))
        assert row["kl_to_original"] == pytest.approx(torch.cat(tokens).mean().item(), rel=1e-4)
