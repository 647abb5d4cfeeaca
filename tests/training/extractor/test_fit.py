import json

import pytest
import torch
from rejoinder.training.extractor.export import pretrained_folder
from rejoinder.training.extractor.fit import Encoder, Params, Rows, by_length, losses
from rejoinder.training.extractor.text import DATA, Turn
from tokenizers import Tokenizer
from torch.nn import functional as F

REASONS = [name for name, _ in json.loads((DATA / "sat-v1" / "model.json").read_text(encoding="utf-8"))["rubric"]]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = Tokenizer.from_file(str(pretrained_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Encoder(tokenizer, REASONS)


def out_of(rows: Rows):
    """(speak, favour), which are leaves, and what an encoder with those would return."""
    b, t, r = rows.tokens.shape
    pole = torch.zeros(b, 2, requires_grad=True)
    speak, favour = pole.unbind(-1)
    spoken = F.logsigmoid(speak)
    polarity = torch.stack([spoken + F.logsigmoid(-favour), F.logsigmoid(-speak), spoken + F.logsigmoid(favour)], -1)
    rating = torch.zeros(b, 5, requires_grad=True)
    return pole, rating, (polarity, torch.zeros(b, 5), torch.zeros(b, 2), torch.zeros(b, r), torch.zeros(b, t, r))


def test_a_span_marks_exactly_the_tokens_that_touch_it(encoder):
    turn = Turn("An answer.", "Thanks, but shorter.", "DSAT", 2, (("gratitude", 0, 6), ("style", 12, 19)))
    rows = encoder.batch([turn])
    marked = {REASONS[r]: encoder.tokenizer.id_to_token(int(rows.ids[0, t])) for _, t, r in rows.tokens.nonzero()}
    assert marked == {"gratitude": "thanks", "style": "shorter"}
    assert (rows.types[0, rows.tokens[0].sum(-1) > 0] == 1).all()


def test_a_rating_moves_the_odds_of_the_poles_and_not_the_weight_of_silence(encoder):
    rows = encoder.batch([Turn("a", "b", "SAT", 5, judged=False)])
    pole, rating, out = out_of(rows)
    losses(out, rating, rows, Params(pole_weight=0.3)).backward()
    assert pole.grad[0, 0] == 0.0
    assert pole.grad[0, 1] < 0
    pole, rating, out = out_of(rows)
    losses(out, rating, rows, Params()).backward()
    assert not pole.grad.any()
    judged = encoder.batch([Turn("a", "b", "SAT", 5, judged=True)])
    pole, rating, out = out_of(judged)
    losses(out, rating, judged, Params()).backward()
    assert pole.grad[0, 0] < 0
    assert rating.grad is None


def test_a_neutral_rating_teaches_its_rating_only(encoder):
    rows = encoder.batch([Turn("a", "b", "none", 3, judged=False)])
    pole, rating, out = out_of(rows)
    loss = losses(out, rating, rows, Params(rating_weight=1.0))
    assert loss.item() == pytest.approx(torch.log(torch.tensor(5.0)).item())
    loss.backward()
    assert not pole.grad.any()
    assert rating.grad[0, 2] < 0


def test_pieces_of_a_batch_hold_every_turn_once_in_order_of_length():
    turns = [Turn("", "x" * n, "none", 3) for n in (9, 1, 5, 3, 7)]
    parts = by_length(turns, 2)
    assert [len(t.followup) for part in parts for t in part] == [1, 3, 5, 7, 9]
    assert [len(part) for part in parts] == [3, 2]
