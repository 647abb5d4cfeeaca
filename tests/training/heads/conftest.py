from __future__ import annotations

import pytest
from rejoinder.core.answertext import AnswerBudget
from rejoinder.training.heads import package
from rejoinder.training.heads.pairs import tokenised


@pytest.fixture(scope="session")
def base():
    return package.base_weights(package.base_folder())


@pytest.fixture(scope="session")
def rows():
    """Pairs whose answers hold a pleasant word on the side that was preferred; conversations differ in length."""
    nice, rude = ("gladly", "thanks", "certainly"), ("stupid", "never", "rubbish")
    records = []
    for i in range(48):
        good, bad = f"{nice[i % 3]} here it is", f"{rude[i % 3]} here it is"
        a, b, pref = (good, bad, 1.0) if i % 2 else (bad, good, 0.0)
        asked = [{"role": "user", "text": "please " * (i % 4) + "help"}]
        records.append({"group": str(i % 12), "messages": asked, "a": a, "b": b, "pref": pref})
    return tokenised(records, package.base_folder() / "tokenizer.json", AnswerBudget())
