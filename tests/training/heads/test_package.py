from __future__ import annotations

import pytest
import torch
from rejoinder.training.heads import package
from rejoinder.training.heads.cache import tensors
from rejoinder.training.heads.model import RewardEncoder


def test_the_shipped_files_are_small_and_have_a_card_that_names_data_and_licences():
    folder = package.small_folder()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4_000_000
    card = (folder / package.CARD).read_text(encoding="utf-8")
    for word in ("hh-rlhf", "MIT", "PandaLM", "Apache-2.0", "all-MiniLM-L6-v2"):
        assert word in card


def test_the_shipped_model_tells_a_helpful_answer_from_none(rows):
    model = package.reward_model(package.small_folder())
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(package.base_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    from rejoinder.core.answertext import AnswerBudget, answer_row

    def row(text):
        asked, answer = (tokenizer.encode(t, add_special_tokens=False).ids for t in ("How do I boil an egg?", text))
        return answer_row([asked], answer, cls=101, sep=102, budget=AnswerBudget())

    good = "Put the egg in boiling water for about seven minutes, then cool it under cold water and peel it."
    with torch.no_grad():
        scores = model(*tensors([row(good), row("I don't know."), row("")]))
    assert scores[0] > scores[1:].max()


def test_what_is_saved_is_what_is_loaded(base, tmp_path, rows):
    torch.manual_seed(0)
    model = RewardEncoder(base).eval()
    with torch.no_grad():
        model.lexicon.normal_()
    package.save_small(tmp_path, model)
    with torch.no_grad():
        before, after = (m(*tensors([rows[0].a])) for m in (model, package.reward_model(tmp_path)))
    assert after == pytest.approx(before, abs=1e-5)


def test_the_separator_is_berts():
    assert package.separator(package.base_folder()) == 102


def test_an_export_of_other_weights_says_that_it_comes_from_others(tmp_path):
    (tmp_path / package.SMALL).write_bytes(b"other")
    other, none = package.made_from(tmp_path), package.made_from(None)
    assert set(none) == {"base"}
    assert other["base"] == none["base"]
    assert other != package.made_from(package.small_folder())
