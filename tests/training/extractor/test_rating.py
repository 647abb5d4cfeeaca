import json

import numpy as np
import pytest
import torch
from rejoinder.training.extractor.export import pretrained_folder
from rejoinder.training.extractor.fit import Encoder, predict
from rejoinder.training.extractor.model import SignalEncoder
from rejoinder.training.extractor.rating import fit_rating, solve
from rejoinder.training.extractor.text import DATA, Turn
from sklearn.linear_model import Ridge
from tokenizers import Tokenizer

REASONS = [name for name, _ in json.loads((DATA / "sat-v1" / "model.json").read_text(encoding="utf-8"))["rubric"]]


def test_the_solution_is_scikit_learns_ridge_on_standardised_features():
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, (200, 5))
    y = x @ np.array([1.0, 0.0, -0.5, 0.2, 0.0]) + rng.normal(size=200)
    w, b = solve(x, y, ridge=0.3)
    theirs = Ridge(alpha=0.3 * 200).fit((x - x.mean(0)) / x.std(0), y)
    assert w == pytest.approx(theirs.coef_ / x.std(0), rel=1e-4)
    assert x @ w + b == pytest.approx(theirs.predict((x - x.mean(0)) / x.std(0)), rel=1e-4)


def test_the_head_learns_which_words_are_rated_well_and_says_so_through_the_model():
    tokenizer = Tokenizer.from_file(str(pretrained_folder() / "tokenizer.json"))
    encoder = Encoder(tokenizer, REASONS)
    torch.manual_seed(0)
    model = SignalEncoder(len(REASONS), rank=0).eval()
    words = ("lovely", "dreadful")
    turns = [Turn("a", f"{words[k % 2]} thing number {k}", "none", 5 - 4 * (k % 2), judged=False) for k in range(40)]
    asked = [Turn("a", f"how do i mend part {k} of this", "none", 3) for k in range(20)]
    fit_rating(model, encoder, turns, asked)
    told = [Turn("a", f"{w} thing", "none", 3) for w in words]
    good, bad, question = predict(model, encoder, [*told, Turn("a", "how do i mend this", "none", 3)])
    assert good["rating"][0] > 3.0 > bad["rating"][0]
    assert good["rating"][1] > 0.5 > question["rating"][1]
