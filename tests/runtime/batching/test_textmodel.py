from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from rejoinder.core.answertext import TokenRow
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings, TooLong
from rejoinder.core.metrics import Metrics
from rejoinder.core.modelfolder import ModelFolder
from rejoinder.core.table import Row, Table
from rejoinder.runtime.backends.onnx import OnnxParams
from rejoinder.runtime.batching import textmodel
from rejoinder.runtime.batching.batcher import Report
from rejoinder.runtime.batching.plan import Limits
from rejoinder.runtime.batching.textmodel import (
    BatchSettings,
    Caller,
    ModelSettings,
    TextModel,
    Words,
    brought,
    load,
    observe,
    pad,
)
from rejoinder.runtime.own import OwnEncoderTheme

WORDS = Words(lambda texts: [[ord(c) for c in text] for text in texts], 101, 102)


class Sums:
    """A graph: `sum` of a row's ids, `size` of its mask. owns: the shapes and times it was given, whether it is
    closed. free: cleared, it computes nothing."""

    digest = "d1"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.left_s: list[float | None] = []
        self.free = threading.Event()
        self.free.set()
        self.closed = False
        self.looks_left = 0

    def ready(self):
        self.looks_left -= 1
        return self.looks_left < 0

    def infer(self, tensors, left_s=None):
        self.shapes.append(tensors["input_ids"].shape)
        self.left_s.append(left_s)
        assert self.free.wait(60.0)
        return {"sum": tensors["input_ids"].sum(1), "size": tensors["attention_mask"].sum(1)}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def graph():
    return Sums()


@pytest.fixture
async def model(graph):
    made = TextModel(graph, WORDS, {"outputs": ["sum", "size"]}, BatchSettings(max_tokens=64), ManualClock())
    await made.start()
    yield made
    await made.close()
    assert graph.closed


def rows_of(*texts):
    return lambda words: [TokenRow(tuple(ids), (1,) * len(ids)) for ids in words.encode(texts)]


async def test_a_start_waits_for_a_graph_elsewhere_and_can_be_called_off(graph):
    """A thread that waits would be waited for as the process ends."""
    made = TextModel(graph, WORDS, {"outputs": ["sum"]}, BatchSettings(), ManualClock())
    graph.looks_left = 1_000_000
    starting = asyncio.create_task(made.start())
    while graph.looks_left == 1_000_000 and not starting.done():
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert graph.shapes == []
    graph.looks_left = 1
    await made.start()
    assert len(graph.shapes) == 1
    await made.close()


async def test_each_row_gets_its_own_value_whatever_it_was_batched_with(model):
    assert (await model.infer(rows_of("a", "bcd", "ef"), "sum")).tolist() == [97, 98 + 99 + 100, 101 + 102]
    assert (await model.infer(rows_of("a", "bcd"), "size", Caller("t"))).tolist() == [1, 3]


async def test_warm_up_has_computed_before_the_first_caller(model, graph):
    assert graph.shapes == [(1, 2)]


async def test_a_batch_is_wanted_as_long_as_the_last_of_its_callers_waits(model, graph):
    for second, left_s in ((Caller(deadline=5.0), 5.0), (Caller(), None)):
        graph.free.clear()
        asked = [asyncio.create_task(model.infer(rows_of("x"), "sum"))]
        while len(graph.shapes) % 2:
            await asyncio.sleep(0.001)
        for who in (Caller(deadline=2.0), second):
            asked.append(asyncio.create_task(model.infer(rows_of("a"), "sum", who)))
        while model._batcher.queued_tokens < 2:
            await asyncio.sleep(0.001)
        graph.free.set()
        await asyncio.gather(*asked)
        assert (graph.shapes[-1], graph.left_s[-1]) == ((2, 1), left_s)


async def test_tokenising_happens_off_the_event_loop(model):
    seen = []

    def rows(words):
        seen.append(threading.current_thread())
        return rows_of("a")(words)

    await model.infer(rows, "sum")
    assert seen != [threading.current_thread()]


async def test_a_row_longer_than_a_batch_is_refused(model):
    with pytest.raises(TooLong):
        await model.infer(rows_of("x" * 65), "sum")


async def test_a_model_that_was_brought_says_how_long_a_row_may_be(graph):
    """Longer than a batch is meant to be: then it is one of its own."""
    facts = {"outputs": ["sum"], "layout": {"most": 65}}
    made = TextModel(graph, WORDS, facts, BatchSettings(max_tokens=64), ManualClock())
    await made.start()
    assert (await made.infer(rows_of("a" * 65, "b", "c"), "sum")).tolist() == [97 * 65, 98, 99]
    assert sorted(graph.shapes[1:]) == [(1, 65), (2, 1)]
    with pytest.raises(TooLong):
        await made.infer(rows_of("a" * 66), "sum")
    await made.close()


def test_what_is_served_is_a_folder_or_a_model_of_ones_own_and_one_of_them_is_named(tmp_path):
    (tmp_path / "model.json").touch()
    own = ModelSettings(own=OwnEncoderTheme(name=str(tmp_path)))
    assert brought(own, "score", "cross").folder == tmp_path
    assert brought(ModelSettings(folder=tmp_path), "score", "cross").folder == tmp_path
    with pytest.raises(BadSettings, match="cross: no model is named"):
        brought(ModelSettings(), "score", "cross")


def test_rows_of_a_model_that_was_brought_are_cut_to_what_the_settings_allow(tmp_path, monkeypatch):
    """ModernBERT's 8,192 places are gigabytes for each layer."""
    monkeypatch.setattr(textmodel, "BACKENDS", Table("backend", Row("onnx", lambda folder, params: Sums(), OnnxParams)))
    monkeypatch.setattr(textmodel, "words_of", lambda file: WORDS)

    def kept(most, **own):
        facts = {"outputs": ["score"], "layout": {"most": most, "second": 1}}
        monkeypatch.setattr(textmodel, "verified", lambda *given: ModelFolder(tmp_path, "d1", facts))
        settings = ModelSettings(folder=tmp_path, own=OwnEncoderTheme(**own))
        found = load(settings, BatchSettings(), ManualClock(), Metrics()).facts["layout"]
        assert found["second"] == 1
        return found["most"]

    assert (kept(8192), kept(128), kept(8192, max_tokens=2048)) == (512, 128, 2048)


def test_padding_is_on_the_right_and_masked():
    tensors = pad([TokenRow((5, 6, 7), (0, 1, 1)), TokenRow((8,), (1,))])
    assert tensors["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert tensors["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert tensors["token_type_ids"].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert all(t.dtype == np.int64 for t in tensors.values())


def test_a_report_becomes_metrics():
    metrics = Metrics()
    observe(metrics, Report(2, 30, 40, 80, (0.1, 0.2), 0.05))
    assert metrics.value("batch_queue_s") == 2
    assert metrics.registry.get_sample_value("rejoinder_batch_fill_sum") == 0.5
    assert metrics.registry.get_sample_value("rejoinder_batch_padding_sum") == 0.25
    assert metrics.value("batch_run_s") == 1
    # A row longer than a batch is meant to be.
    observe(metrics, Report(1, 512, 512, 384, (0.1,), 0.05))
    assert metrics.registry.get_sample_value("rejoinder_batch_fill_sum") == 1.5


def test_the_settings_are_the_limits_field_by_field():
    assert BatchSettings().limits() == Limits()
