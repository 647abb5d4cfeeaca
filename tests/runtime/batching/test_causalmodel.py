from __future__ import annotations

import asyncio

import numpy as np
import pytest
from rejoinder.core.answertext import TokenRow
from rejoinder.core.clock import ManualClock, SystemClock
from rejoinder.core.errors import BadSettings, DeadlineExceeded, Draining, TooLong
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Message, Role
from rejoinder.reward.heads.causal import Causal
from rejoinder.runtime.backends.decoder import Decoder, Shape
from rejoinder.runtime.backends.rows import BASE
from rejoinder.runtime.batching.causalmodel import CausalModel, ChatWords, Piece, costs_of, load, pieces_of
from rejoinder.runtime.batching.textmodel import BatchSettings, Caller, ModelSettings
from rejoinder.training.heads.causal import scoring

from tests.tinypolicy import tiny_policy

ASKED = [Message(Role.USER, "list three rivers in france")]
ANSWERS = ["seine loire rhone", "no", "yes please", ""]


def row_of(context: tuple[int, ...], answer: tuple[int, ...]) -> TokenRow:
    return TokenRow(context + answer, (0,) * len(context) + (1,) * len(answer))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("causal") / "reward"
    scoring(tiny_policy() / "export", np.random.default_rng(0).normal(size=64), out, None, [2])
    return out


@pytest.fixture
async def model(folder):
    made = load(ModelSettings(folder=folder, threads=1), BatchSettings(), SystemClock(), Metrics())
    await made.start()
    yield made
    await made.close()


async def test_answers_to_one_conversation_have_the_scores_of_their_whole_rows(model, folder):
    head, rows = Causal(model.facts), []

    def laid(words):
        rows.extend(head.rows(words, ASKED, ANSWERS))
        return rows

    found = await model.infer(laid, head.output)
    decoder = Decoder(folder, 1)
    expected = [decoder.read(decoder.cache(1, len(row.ids)), 0, row.ids, 0, BASE)[-1, 0] for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert len(set(found.tolist())) == len(ANSWERS)


async def test_requests_at_once_do_not_touch_one_another(model):
    head = Causal(model.facts)

    async def scores(text: str) -> list[float]:
        asked = [Message(Role.USER, text)]
        return (await model.infer(lambda words: head.rows(words, asked, ANSWERS), head.output, Caller(text))).tolist()

    texts = [f"{number} please list three rivers " * 6 for number in range(4)]
    together = await asyncio.gather(*map(scores, texts))
    for text, found in zip(texts, together, strict=True):
        assert await scores(text) == pytest.approx(found, abs=1e-4)


async def test_a_row_longer_than_the_model_is_refused(model):
    with pytest.raises(TooLong):
        await model.infer(lambda words: [TokenRow((3,) * 600, (0,) * 500 + (1,) * 100)], "score")
    # Its answer alone would fit.
    behind = [row_of((3,) * 400, (4,) * size) for size in (10, 200)]
    with pytest.raises(TooLong):
        await model.infer(lambda words: behind, "score")


async def test_many_answers_to_a_long_conversation_wait_as_what_is_read_of_them():
    class Long:
        shape = Shape(4096, 1, 1, 1, 1, frozenset())

    model = CausalModel(Long(), "d", ChatWords(len, list), {}, BatchSettings(), ManualClock())
    rows = [row_of((1,) * 3000, (2,) * 600) for _ in range(256)]
    asked = asyncio.create_task(model.infer(lambda words: rows, "score"))
    while not model._batcher.queued_tokens and not asked.done():
        await asyncio.sleep(0)
    assert model._batcher.queued_tokens == 3000 + 256 * 600 < BatchSettings().max_queued_tokens < 256 * 3600
    await model.close()
    with pytest.raises(Draining):
        await asked


def test_a_causal_model_of_another_backend_is_refused(folder):
    wanted = ModelSettings(folder=folder, backend="triton")
    with pytest.raises(BadSettings, match="triton"):
        load(wanted, BatchSettings(), SystemClock(), Metrics())


async def test_what_nobody_waits_for_is_not_read(folder):
    class Unread(Decoder):
        def read(self, *given):
            raise AssertionError("it was read")

    clock = ManualClock()
    model = CausalModel(Unread(folder, 1), "d", ChatWords(len, list), {}, BatchSettings(), clock)
    rows = [TokenRow((3, 4, 5), (0, 0, 1))]
    asked = asyncio.create_task(model.infer(lambda words: rows, "score", Caller(deadline=clock.monotonic() + 1.0)))
    while not model._batcher.queued_tokens:
        await asyncio.sleep(0)
    clock.advance(2.0)
    await model._batcher.start()
    with pytest.raises(DeadlineExceeded):
        await asked
    await model.close()


def test_a_request_is_cut_into_pieces_of_a_turn_that_name_their_context():
    rows = [row_of((1, 2), answer) for answer in ((5, 6), (7,), (8, 9), (1,) * 9)]
    pieces = pieces_of([*rows, row_of((4,), (3,))], 5)
    assert costs_of(pieces) == [5, 2, 9, 2]
    assert pieces == [
        Piece((1, 2), ((5, 6), (7,))),
        Piece((1, 2), ((8, 9),)),
        Piece((1, 2), ((1,) * 9,)),
        Piece((4,), ((3,),)),
    ]
