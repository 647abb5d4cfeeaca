"""runtime/backends/generation: rows do not touch one another, adapters are kept apart, nothing is done for nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime_genai as og
import pytest
from rejoinder.core.clock import ManualClock, SystemClock
from rejoinder.core.errors import (
    DeadlineExceeded,
    Draining,
    EmptyField,
    FailedPrecondition,
    NotFound,
    QueueFull,
    TooLong,
)
from rejoinder.core.types import Message, Role, Sampling
from rejoinder.runtime.backends.decoder import Decoder
from rejoinder.runtime.backends.generation import EngineSettings, GenerationEngine
from rejoinder.runtime.backends.rows import Answer, Row, Scoring
from rejoinder.runtime.backends.sampling import log_softmax
from rejoinder.runtime.backends.scorer import Scorer

from tests.chaos.harness import wait_until
from tests.tinypolicy import tiny_policy

SETTINGS = EngineSettings(max_batch=4, max_queue=64, threads=1)
QUESTION = (Message(Role.USER, "list three rivers"),)
LONG = Sampling(1.0, max_tokens=400)
#: Of waits that end with what they wait for.
WAIT_S = 60.0


def made(clock: object = None, **settings: object) -> GenerationEngine:
    plain = {**SETTINGS.__dict__, **settings}
    return GenerationEngine(tiny_policy() / "export", EngineSettings(**plain), clock or SystemClock())


@pytest.fixture(scope="module")
def engine() -> Iterator[GenerationEngine]:
    found = made(max_batch=8)
    for name in ("a1", "a2"):
        found.load_adapter(name, tiny_policy() / name / "adapter.onnx_adapter").result(WAIT_S)
    yield found
    found.close()


@pytest.fixture
def manual() -> Iterator[tuple[GenerationEngine, ManualClock]]:
    clock = ManualClock()
    found = made(clock)
    yield found, clock
    found.close()


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    """Random words of ragged lengths."""
    draw = np.random.default_rng(seed)
    return [[int(t) for t in draw.integers(3, 390, draw.integers(2, 60))] for _ in range(count)]


def answered(engine: GenerationEngine, rows: list[Row]) -> list[Answer]:
    engine.submit(rows)
    return [row.done.result(WAIT_S) for row in rows]


def row(tokens: list[int], seed: int = 0, max_tokens: int = 20, **fields: object) -> Row:
    return Row(tokens, Sampling(1.0, seed=seed, max_tokens=max_tokens), **fields)


class Gate:
    """Holds the engine's thread at the first text of a row, so that a test can arrange what happens meanwhile."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, text: str) -> None:
        self.reached.set()
        assert self.open.wait(WAIT_S)


def test_a_row_gets_the_same_answer_alone_as_in_any_company(engine: GenerationEngine) -> None:
    asked = prompts(8)
    together = answered(engine, [row(tokens, seed) for seed, tokens in enumerate(asked)])
    alone = [answered(engine, [row(tokens, seed)])[0] for seed, tokens in enumerate(asked)]
    assert [a.tokens for a in together] == [a.tokens for a in alone]
    assert [a.log_prob for a in together] == pytest.approx([a.log_prob for a in alone], abs=1e-4)
    assert len({a.tokens for a in alone}) == 8


def test_text_is_given_as_it_comes_and_sums_to_the_answer(manual: tuple[GenerationEngine, ManualClock]) -> None:
    """The first text at once, then what came within each gap, and the rest at the end."""
    engine, clock = manual
    heard: list[str] = []

    def listen(text: str) -> None:
        heard.append(text)
        if len(heard) < 5:
            clock.advance(1.0)

    (answer,) = answered(engine, [row(prompts(1)[0], on_text=listen, max_tokens=60)])
    assert len(heard) == 6
    assert "".join(heard) == answer.text


def test_likelihood_is_the_log_probability_that_sampling_reported(engine: GenerationEngine) -> None:
    context = prompts(1)[0]
    sampled = answered(engine, [row(context, seed, 200) for seed in range(8)])
    whole = [a for a in sampled if a.finish_reason == "stop"]
    assert whole
    found = engine.likelihood(context, [a.tokens[:-1] for a in whole]).done.result(WAIT_S)
    assert found == pytest.approx([a.log_prob for a in whole], abs=1e-3)


def test_what_likelihoods_have_in_common_is_read_once(
    engine: GenerationEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many continuations of one context, and contexts that begin alike; each value as it is alone."""
    (context,) = ([int(t) for t in np.random.default_rng(4).integers(3, 390, 60)],)
    asked = [(context, [[5, 6, 7], [9] * 4, []]), ([*context[:40], 11, 12], [[7]])]
    other = prompts(1, seed=5)[0]
    alone = []
    for before, continuations in asked:
        for each in continuations:
            alone += engine.likelihood(before, [each]).done.result(WAIT_S)
            # Another context between them, so that nothing is left of the last.
            engine.likelihood(other, [[5]]).done.result(WAIT_S)
    tokens: list[int] = []
    plain = engine._decoder.read

    def counted(cache: object, slot: int, read: list[int], past: int, adapter: str) -> np.ndarray:
        tokens.append(len(read))
        return plain(cache, slot, read, past, adapter)  # type: ignore[arg-type]

    monkeypatch.setattr(engine._decoder, "read", counted)
    gate = Gate()
    held = row(other, on_text=gate)
    engine.submit([held])
    assert gate.reached.wait(WAIT_S)
    tokens.clear()
    together = [engine.likelihood(*each) for each in asked]
    gate.open.set()
    assert [value for each in together for value in each.done.result(WAIT_S)] == pytest.approx(alone, abs=1e-4)
    # The context; then of every continuation what its last token follows; then what the second context adds.
    assert tokens == [60, 3, 4, 2, 1]


def test_answers_to_one_prompt_read_it_once(engine: GenerationEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    (tokens,) = ([int(t) for t in np.random.default_rng(6).integers(3, 390, 50)],)
    alone = [answered(engine, [row(tokens, seed)])[0] for seed in range(4)]
    read: list[int] = []
    plain = engine._decoder.read

    def counted(cache: object, slot: int, asked: list[int], past: int, adapter: str) -> np.ndarray:
        read.append(len(asked))
        return plain(cache, slot, asked, past, adapter)  # type: ignore[arg-type]

    monkeypatch.setattr(engine._decoder, "read", counted)
    together = answered(engine, [row(tokens, seed) for seed in range(4)])
    assert sorted(read) == [1, 1, 1, 50]
    assert [a.tokens for a in together] == [a.tokens for a in alone]
    assert [a.log_prob for a in together] == pytest.approx([a.log_prob for a in alone], abs=1e-4)
    assert len({a.tokens for a in alone}) == 4


def test_likelihood_is_what_the_model_says_token_by_token(engine: GenerationEngine) -> None:
    """By another route: the runtime's own generator, one row, one token at a time."""
    model = og.Model(str(tiny_policy() / "export"))
    context, continuation = prompts(2, seed=3)
    parameters = og.GeneratorParams(model)
    parameters.set_search_options(max_length=200)
    generator = og.Generator(model, parameters)
    generator.append_tokens(context)
    total = 0.0
    for token in (*continuation, 2):
        total += float(log_softmax(np.asarray(generator.get_logits()).reshape(-1))[token])
        generator.append_tokens([token])
    assert engine.likelihood(context, [continuation]).done.result(WAIT_S) == pytest.approx([total], abs=1e-3)


def test_adapters_of_different_rows_are_kept_apart(engine: GenerationEngine) -> None:
    """F12: two versions and the base at once, each as alone."""
    (tokens,) = prompts(1)
    names = ["a1", "", "a2", "a1", "", "a2"]
    together = answered(engine, [row(tokens, seed=1, adapter=name) for name in names])
    alone = {name: answered(engine, [row(tokens, seed=1, adapter=name)])[0].tokens for name in set(names)}
    assert [a.tokens for a in together] == [alone[name] for name in names]
    assert len(set(alone.values())) == 3
    scored = {name: engine.likelihood(tokens, [[5, 6]], name).done.result(WAIT_S)[0] for name in set(names)}
    assert len({round(value, 3) for value in scored.values()}) == 3


def test_a_short_question_is_not_cut_for_the_long_one_beside_it(engine: GenerationEngine) -> None:
    """Near the end of the context too every row has positions of its own."""
    draw = np.random.default_rng(5)
    long = [int(t) for t in draw.integers(3, 390, engine.context - 4)]
    short = prompts(1)[0]
    alone = answered(engine, [row(short, max_tokens=100)])[0]
    first, beside = answered(engine, [row(long, max_tokens=100), row(short, max_tokens=100)])
    assert (first.finish_reason, len(first.tokens)) == ("length", 4) or first.finish_reason == "stop"
    assert beside.tokens == alone.tokens


def test_the_room_of_a_long_row_is_given_back_when_it_leaves() -> None:
    engine = made()
    try:
        draw = np.random.default_rng(8)
        long = row([int(t) for t in draw.integers(3, 390, 300)], max_tokens=20)
        gate = Gate()
        short = Row(prompts(1)[0], Sampling(1.0, seed=3, max_tokens=60), on_text=gate)
        alone = answered(engine, [row(prompts(1)[0], 3, 60)])[0]
        engine.submit([short, long])
        assert gate.reached.wait(WAIT_S)
        (batch,) = engine._batches.values()
        gate.open.set()
        rooms = []
        long.done.add_done_callback(lambda done: rooms.append(batch._held.length))
        short.done.add_done_callback(lambda done: rooms.append(batch._held.length))
        assert long.done.result(WAIT_S).tokens
        assert short.done.result(WAIT_S).tokens == alone.tokens
        # What waits for a future is woken before its callbacks have run.
        wait_until(lambda: len(rooms) == 2, "the ends of both")
        assert rooms == [384, 128]
    finally:
        engine.close()


def test_what_is_bound_is_never_the_memory_of_a_cache_that_is_gone() -> None:
    """Caches that come and go reuse each other's places in memory; each run must write into the one it was given."""
    decoder, memories = Decoder(tiny_policy() / "export", 1), []
    for _ in range(20):
        # The object goes, and its address is the next one's; its memory stays.
        cache = decoder.cache(1, 128)
        memories.append(cache.values)
        decoder.read(cache, 0, [5, 6, 7], 0, "")
        assert np.abs(cache.values[:, 0, :, :3]).min(axis=(1, 2, 3)).all()
        assert not cache.values[:, 0, :, 3:].any()
        del cache


def test_stop_sequences_end_the_text_before_them_and_are_never_heard(engine: GenerationEngine) -> None:
    tokens = prompts(1)[0]
    whole = answered(engine, [row(tokens, max_tokens=60)])[0].text
    stop = whole[10:14]
    heard: list[str] = []
    sampling = Sampling(1.0, max_tokens=60, stop=(stop, "never there"))
    (answer,) = answered(engine, [Row(tokens, sampling, on_text=heard.append)])
    assert answer.finish_reason == "stop_sequence"
    assert answer.text == whole[: whole.find(stop)]
    assert "".join(heard) == answer.text


def test_a_cancelled_row_ends_with_the_next_token_and_its_place_is_free(engine: GenerationEngine) -> None:
    first = made(max_batch=1)
    gate, told = Gate(), []
    try:
        running = Row(prompts(1)[0], LONG, on_text=gate)
        next_up = row(prompts(1)[0], max_tokens=3, on_text=told.append)
        first.submit([running])
        assert gate.reached.wait(WAIT_S)
        first.submit([next_up])
        running.cancel()
        gate.open.set()
        answer = running.done.result(WAIT_S)
        assert answer.finish_reason == "cancelled"
        assert len(answer.tokens) < 30
        assert len(next_up.done.result(WAIT_S).tokens) <= 3
    finally:
        first.close()


def test_a_question_need_not_wait_for_the_end_of_a_long_answer() -> None:
    engine = made(max_batch=4)
    try:
        long = Row(prompts(1)[0], LONG)
        ends: list[str] = []
        long.done.add_done_callback(lambda done: ends.append("long"))
        gate = Gate()
        long.on_text = gate
        engine.submit([long])
        assert gate.reached.wait(WAIT_S)
        short = row(prompts(1)[0], max_tokens=2)
        short.done.add_done_callback(lambda done: ends.append("short"))
        engine.submit([short])
        gate.open.set()
        wait_until(lambda: len(ends) == 2, "the ends of both")
        assert ends == ["short", "long"]
    finally:
        engine.close()


def test_a_deadline_that_passes_in_the_queue_is_never_computed(manual: tuple[GenerationEngine, ManualClock]) -> None:
    engine, clock = manual
    gate = Gate()
    running = [Row(prompts(1)[0], LONG, on_text=gate), *(Row(prompts(1)[0], LONG) for _ in range(3))]
    engine.submit(running)
    assert gate.reached.wait(WAIT_S)
    heard: list[str] = []
    late = row(prompts(1)[0], deadline=5.0, on_text=heard.append)
    scored = engine.likelihood(prompts(1)[0], [[4, 5]], deadline=5.0)
    patient = row(prompts(1)[0], max_tokens=2, deadline=50.0)
    engine.submit([late, patient])
    clock.advance(5.0)
    gate.open.set()
    with pytest.raises(DeadlineExceeded):
        late.done.result(WAIT_S)
    with pytest.raises(DeadlineExceeded):
        scored.done.result(WAIT_S)
    assert heard == []
    assert scored.values == []
    # The control: with time left the same row is answered.
    assert patient.done.result(WAIT_S).tokens
    for each in running:
        each.cancel()


def test_a_deadline_that_passes_while_writing_ends_the_answer(manual: tuple[GenerationEngine, ManualClock]) -> None:
    engine, clock = manual
    gate = Gate()
    asked = Row(prompts(1)[0], LONG, deadline=5.0, on_text=gate)
    engine.submit([asked])
    assert gate.reached.wait(WAIT_S)
    clock.advance(5.0)
    gate.open.set()
    answer = asked.done.result(WAIT_S)
    assert answer.finish_reason == "deadline"
    assert len(answer.tokens) < 30


def test_likelihoods_do_not_starve_an_answer_that_somebody_watches() -> None:
    """An answer asked for behind much background work is there long before that work is."""
    engine = made(max_queue=10_000)
    try:
        gate, then = Gate(), []
        held = Row(prompts(1)[0], LONG, on_text=gate)
        engine.submit([held])
        assert gate.reached.wait(WAIT_S)
        work = [engine.likelihood(prompts(1)[0], [[5] * 200] * 64) for _ in range(2)]
        watched = row(prompts(1)[0], max_tokens=30)
        watched.done.add_done_callback(lambda done: then.append(sum(len(asked.values) for asked in work)))
        engine.submit([watched])
        held.cancel()
        gate.open.set()
        wait_until(lambda: bool(then), "the answer")
        assert then[0] < 64
        # The control: it is not held up for ever either.
        for asked in work:
            assert len(asked.done.result(WAIT_S)) == 64
    finally:
        engine.close()


def test_samples_queued_first_do_not_hold_up_answers_and_are_not_held_up_for_ever(
    manual: tuple[GenerationEngine, ManualClock],
) -> None:
    """On a clock that stands still both sides have the same right, so one turn of each goes after the other."""
    engine, _ = manual
    gate, ends = Gate(), []
    held = Row(prompts(1)[0], LONG, on_text=gate)
    engine.submit([held])
    assert gate.reached.wait(WAIT_S)
    background = [row(prompts(1)[0], seed, 40, background=True) for seed in range(16)]
    watched = [row(prompts(1)[0], seed, 40) for seed in range(16)]
    for kind, rows in (("background", background), ("watched", watched)):
        for each in rows:
            each.done.add_done_callback(lambda done, kind=kind: ends.append(kind))
        engine.submit(rows)
    held.cancel()
    gate.open.set()
    for each in (*background, *watched):
        each.done.result(WAIT_S)
    assert "watched" in ends[:8]
    assert "background" in ends[:8]


def test_a_spare_row_gets_what_others_leave_and_takes_nobodys_place() -> None:
    engine = made(max_queue=2)
    try:
        gate, ends = Gate(), []
        held = Row(prompts(1)[0], LONG, on_text=gate)
        engine.submit([held])
        assert gate.reached.wait(WAIT_S)
        spare = [row(prompts(1)[0], seed, 5, spare=True) for seed in range(8)]
        engine.submit(spare)
        assert engine.waiting == 0, "the queue is the others'"
        others = [row(prompts(1)[0], 1, 60), row(prompts(1)[0], 2, 60, background=True)]
        for kind, rows in (("spare", spare), ("other", others)):
            for each in rows:
                each.done.add_done_callback(lambda done, kind=kind: ends.append(kind))
        engine.submit(others)
        held.cancel()
        gate.open.set()
        for each in (*spare, *others):
            each.done.result(WAIT_S)
        assert ends == ["other"] * 2 + ["spare"] * 8
        assert spare[1].done.result().tokens == answered(engine, [row(prompts(1)[0], 1, 5)])[0].tokens
    finally:
        engine.close()


def test_spare_rows_that_nobody_waits_for_leave_while_others_get_every_turn() -> None:
    """They would keep their prompts and hold their version for as long as there is other work."""
    engine, ends = made(), []
    try:
        engine.load_adapter("a1", tiny_policy() / "a1" / "adapter.onnx_adapter").result(WAIT_S)
        spare, gate = Gate(), Gate()
        begun = Row(prompts(1)[0], LONG, "a1", on_text=spare, spare=True)
        engine.submit([begun])
        assert spare.reached.wait(WAIT_S)
        held, waits = Row(prompts(1)[0], LONG, on_text=gate), Row(prompts(1)[0], LONG, "a1", spare=True)
        engine.submit([held, waits])
        spare.open.set()
        assert gate.reached.wait(WAIT_S)
        assert list(engine._spare) == [waits], "it does not join while others have work"
        for each in (begun, waits):
            each.cancel()
        unloaded = engine.unload_adapter("a1")
        for name, done in (("spare", begun.done), ("spare", waits.done), ("unload", unloaded), ("held", held.done)):
            done.add_done_callback(lambda done, name=name: ends.append(name))
        gate.open.set()
        assert held.done.result(WAIT_S).finish_reason in ("stop", "length")
        assert unloaded.result(WAIT_S) is None
        assert ends[:3] == ["spare", "spare", "unload"]
    finally:
        engine.close()


def test_whoever_comes_waits_for_one_versions_spare_rows_and_no_more() -> None:
    engine, heard = made(text_every_s=0.0), []
    try:
        engine.load_adapter("a1", tiny_policy() / "a1" / "adapter.onnx_adapter").result(WAIT_S)
        gate = Gate()
        first = Row(prompts(1)[0], LONG, on_text=gate, spare=True)
        second = Row(prompts(1)[0], LONG, "a1", on_text=lambda text: heard.append("second"), spare=True)
        engine.submit([first, second])
        assert gate.reached.wait(WAIT_S)
        shown = row(prompts(1)[0], 1, 5, on_text=lambda text: heard.append("shown"))
        engine.submit([shown])
        gate.open.set()
        shown.done.result(WAIT_S)
        second.done.result(WAIT_S)
        assert heard[0] == "shown"
        assert "second" not in heard[: heard.count("shown")]
    finally:
        engine.close()


def test_an_engine_that_stops_waits_for_no_spare_row() -> None:
    engine = made()
    gate = Gate()
    spare = [Row(prompts(1)[0], LONG, on_text=gate, spare=True) for _ in range(6)]
    engine.submit(spare)
    assert gate.reached.wait(WAIT_S)
    closing = threading.Thread(target=engine.close)
    closing.start()
    wait_until(lambda: engine._stopping, "the stop")
    gate.open.set()
    closing.join(WAIT_S)
    for each in spare:
        with pytest.raises(Draining):
            each.done.result(WAIT_S)


def test_a_caller_that_stops_waiting_breaks_nothing(engine: GenerationEngine) -> None:
    asked = row(prompts(1)[0], max_tokens=50)
    scored = engine.likelihood(prompts(1)[0], [[5]] * 4)
    engine.submit([asked])
    assert not asked.done.cancel()
    assert not scored.done.cancel()
    asked.cancel()
    scored.cancel()
    assert asked.done.result(WAIT_S).finish_reason in ("cancelled", "stop")
    assert answered(engine, [row(prompts(1)[0])])[0].tokens


def test_a_listener_that_raises_loses_its_row_and_no_other(engine: GenerationEngine) -> None:
    def broken(text: str) -> None:
        raise RuntimeError("the loop is closed")

    rows = [row(prompts(1)[0], 1, 60, on_text=broken), row(prompts(1)[0], 2, 20)]
    lost, kept = answered(engine, rows)
    assert lost.finish_reason == "cancelled"
    assert kept.finish_reason in ("length", "stop")


@pytest.mark.parametrize("broken", ["read", "step"])
def test_a_model_runtime_that_fails_fails_its_batch_and_the_next_is_served(
    engine: GenerationEngine, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def raising(*arguments: object) -> np.ndarray:
        raise RuntimeError("kernel")

    with monkeypatch.context() as patch:
        patch.setattr(engine._decoder, broken, raising)
        rows = [row(prompts(1)[0]), row(prompts(1)[0], 1)]
        engine.submit(rows)
        for each in rows:
            with pytest.raises(RuntimeError):
                each.done.result(WAIT_S)
        if broken == "read":
            with pytest.raises(RuntimeError):
                engine.likelihood(prompts(1)[0], [[5]]).done.result(WAIT_S)
    assert answered(engine, [row(prompts(1)[0])])[0].tokens
    assert engine.likelihood(prompts(1)[0], [[5]]).done.result(WAIT_S)


@pytest.mark.parametrize("at", ["read", "step"])
@pytest.mark.parametrize("cut", [0.0, 0.9])
def test_a_row_whose_logits_are_no_numbers_fails_alone(monkeypatch: pytest.MonkeyPatch, at: str, cut: float) -> None:
    engine = made()
    try:
        asked = [Row(tokens, Sampling(1.0, seed=n, max_tokens=20, top_p=cut)) for n, tokens in enumerate(prompts(3))]
        alone = [answered(engine, [Row(row.tokens, row.sampling)])[0].tokens for row in asked]
        plain = getattr(engine._decoder, at)

        def overflowing(cache: object, first: object, *rest: object) -> np.ndarray:
            logits = plain(cache, first, *rest).copy()
            # The second row: by its slot where it is read, by its place where all are written.
            if at == "read" and list(rest[0]) == list(asked[1].tokens):
                logits[-1] = np.nan
            elif at == "step" and len(logits) == 3:
                logits[1] = np.nan
            return logits

        monkeypatch.setattr(engine._decoder, at, overflowing)
        engine.submit(asked)
        with pytest.raises(ArithmeticError):
            asked[1].done.result(WAIT_S)
        assert [asked[n].done.result(WAIT_S).tokens for n in (0, 2)] == [alone[0], alone[2]]
    finally:
        engine.close()


def test_what_fails_before_a_row_begins_is_its_callers_to_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoStreams:
        def create_stream(self) -> None:
            raise RuntimeError("no stream")

    engine = made()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "_tokenizer", NoStreams())
            lost = row(prompts(1)[0])
            engine.submit([lost])
            with pytest.raises(RuntimeError):
                lost.done.result(WAIT_S)
        assert answered(engine, [row(prompts(1)[0])])[0].tokens
        for call in (lambda: engine.submit([row([])]), lambda: engine.likelihood([], [[5]])):
            with pytest.raises(EmptyField):
                call()
    finally:
        engine.close()


def test_an_engine_that_dies_leaves_nobody_waiting_and_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = made(max_batch=1)
    gate = Gate()
    running, waiting = Row(prompts(1)[0], LONG, on_text=gate), row(prompts(1)[0])
    engine.submit([running])
    assert gate.reached.wait(WAIT_S)
    engine.submit([waiting])

    def broken() -> list:
        raise MemoryError("no room for a list")

    monkeypatch.setattr(engine, "_joining", broken)
    gate.open.set()
    for done in (running.done, waiting.done, engine.ended):
        assert isinstance(done.exception(WAIT_S), MemoryError)
    with pytest.raises(Draining):
        engine.submit([row(prompts(1)[0])])
    engine.close()


def test_a_turn_of_likelihoods_is_bounded_however_long_a_continuation_is(
    engine: GenerationEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(9)
    context, long = ([int(t) for t in draw.integers(3, 390, size)] for size in (20, 400))
    whole = engine.likelihood(context, [long, long[:50]]).done.result(WAIT_S)
    decoder, taken = engine._decoder, []
    scorer, asked = Scorer(decoder), Scoring(tuple(context), [(*long, 2), (*long[:50], 2)])
    plain = decoder.read

    def counted(cache: object, slot: int, tokens: list[int], past: int, adapter: str) -> np.ndarray:
        taken.append(len(tokens))
        return plain(cache, slot, tokens, past, adapter)  # type: ignore[arg-type]

    monkeypatch.setattr(decoder, "read", counted)
    turns = 0
    while len(asked.values) < 2:
        before = sum(taken)
        scorer.turn(asked, 64)
        turns += 1
        assert sum(taken) - before <= 64
    assert turns >= 7
    assert asked.values == pytest.approx(whole, abs=1e-3)


def test_an_adapter_in_use_or_waited_for_is_not_unloaded() -> None:
    engine = made()
    try:
        engine.load_adapter("a1", tiny_policy() / "a1" / "adapter.onnx_adapter").result(WAIT_S)
        gate = Gate()
        running = Row(prompts(1)[0], LONG, adapter="a1", on_text=gate)
        engine.submit([running])
        assert gate.reached.wait(WAIT_S)
        unloading = engine.unload_adapter("a1")
        gate.open.set()
        with pytest.raises(FailedPrecondition):
            unloading.result(WAIT_S)
        assert answered(engine, [row(prompts(1)[0], adapter="a1")])[0].tokens
        running.cancel()
        running.done.result(WAIT_S)
        wait_until(lambda: engine.unload_adapter("a1").exception(WAIT_S) is None, "the release of the adapter")
        with pytest.raises(NotFound):
            engine.submit([row(prompts(1)[0], adapter="a1")])
        with pytest.raises(NotFound):
            engine.likelihood(prompts(1)[0], [[5]], "a1")
    finally:
        engine.close()


def test_a_file_that_is_no_adapter_is_an_error_of_the_one_who_asked(engine: GenerationEngine, tmp_path: Path) -> None:
    (tmp_path / "adapter.onnx_adapter").write_bytes(b"no adapter")
    assert engine.load_adapter("bad", tmp_path / "adapter.onnx_adapter").exception(WAIT_S) is not None
    with pytest.raises(NotFound):
        engine.submit([row(prompts(1)[0], adapter="bad")])
    assert answered(engine, [row(prompts(1)[0])])[0].tokens


def test_too_much_is_refused_whole() -> None:
    engine = made(max_batch=1, max_queue=3)
    try:
        gate = Gate()
        running = Row(prompts(1)[0], LONG, on_text=gate)
        engine.submit([running])
        assert gate.reached.wait(WAIT_S)
        rows = [row(prompts(1)[0], seed, 2) for seed in range(4)]
        with pytest.raises(QueueFull) as raised:
            engine.submit(rows)
        assert raised.value.retry_after_s is not None
        with pytest.raises(QueueFull):
            engine.likelihood(prompts(1)[0], [[5]] * 4)
        assert engine.waiting == 0
        engine.submit(rows[:3])
        assert engine.waiting == 3
        running.cancel()
        gate.open.set()
        assert all(each.done.result(WAIT_S).tokens for each in rows[:3])
    finally:
        engine.close()


def test_what_does_not_fit_the_context_is_refused(engine: GenerationEngine) -> None:
    with pytest.raises(TooLong):
        engine.submit([row([5] * engine.context)])
    with pytest.raises(TooLong):
        engine.likelihood([5] * (engine.context - 1), [[5]])
    assert engine.likelihood([5] * (engine.context - 2), [[5]]).done.result(WAIT_S)


def test_an_engine_that_closes_ends_its_answers_and_refuses_the_rest() -> None:
    engine = made(max_batch=1)
    gate = Gate()
    running = row(prompts(1)[0], max_tokens=5, on_text=gate)
    engine.submit([running])
    assert gate.reached.wait(WAIT_S)
    waiting = row(prompts(1)[0])
    engine.submit([waiting])
    scored = engine.likelihood(prompts(1)[0], [[5]])
    closing = threading.Thread(target=engine.close)
    closing.start()
    wait_until(lambda: engine._stopping, "the close")
    gate.open.set()
    closing.join(WAIT_S)
    assert running.done.result(0).finish_reason in ("length", "stop")
    for ended in (waiting, scored):
        assert isinstance(ended.done.exception(0), Draining)
    with pytest.raises(Draining):
        engine.submit([row(prompts(1)[0])])
    with pytest.raises(Draining):
        engine.load_adapter("a1", tiny_policy() / "a1" / "adapter.onnx_adapter")


def test_a_folder_without_an_export_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        GenerationEngine(tmp_path, SETTINGS, SystemClock())
