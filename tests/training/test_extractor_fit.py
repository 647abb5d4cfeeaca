import json

import pytest
import torch
from rejoinder.training.extractor_export import pretrained_folder
from rejoinder.training.extractor_fit import Encoder, Params, Rows, by_length, losses
from rejoinder.training.extractor_text import DATA, Turn
from tokenizers import Tokenizer

REASONS = [name for name, _ in json.loads((DATA / "sat-v1" / "labels.json").read_text(encoding="utf-8"))["rubric"]]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = Tokenizer.from_file(str(pretrained_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Encoder(tokenizer, REASONS)


def out_of(rows: Rows, odds: float = 0.0):
    b, t, r = rows.tokens.shape
    polarity = torch.tensor([[-odds, 0.0, odds]]).repeat(b, 1).requires_grad_()
    return polarity, torch.zeros(b, 5), torch.zeros(b, r), torch.zeros(b, t, r)


def test_a_span_marks_exactly_the_tokens_that_touch_it(encoder):
    turn = Turn("An answer.", "Thanks, but shorter.", "DSAT", 2, (("gratitude", 0, 6), ("style", 12, 19)))
    rows = encoder.batch([turn])
    marked = {REASONS[r]: encoder.tokenizer.id_to_token(int(rows.ids[0, t])) for _, t, r in rows.tokens.nonzero()}
    assert marked == {"gratitude": "thanks", "style": "shorter"}
    assert (rows.types[0, rows.tokens[0].sum(-1) > 0] == 1).all()


def test_a_rating_moves_the_odds_of_the_poles_and_not_the_weight_of_silence(encoder):
    rows = encoder.batch([Turn("a", "b", "SAT", 5, judged=False)])
    out = out_of(rows)
    losses(out, rows, Params(level_weight=0.0)).backward()
    dsat, none, sat = out[0].grad[0].tolist()
    assert sat < 0 < dsat
    assert none == 0.0
    judged = encoder.batch([Turn("a", "b", "SAT", 5, judged=True)])
    out = out_of(judged)
    losses(out, judged, Params(level_weight=0.0)).backward()
    assert out[0].grad[0, 1] > 0


def test_a_neutral_rating_teaches_its_level_only(encoder):
    rows = encoder.batch([Turn("a", "b", "none", 3, judged=False)])
    out = out_of(rows)
    level_only = losses(out, rows, Params(level_weight=1.0))
    assert level_only.item() == pytest.approx(torch.log(torch.tensor(5.0)).item())
    assert not level_only.requires_grad


def test_pieces_of_a_batch_hold_every_turn_once_in_order_of_length():
    turns = [Turn("", "x" * n, "none", 3) for n in (9, 1, 5, 3, 7)]
    parts = by_length(turns, 2)
    assert [len(t.followup) for part in parts for t in part] == [1, 3, 5, 7, 9]
    assert [len(part) for part in parts] == [3, 2]
