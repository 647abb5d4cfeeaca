import numpy as np
import pytest
from rejoinder.signals.spans import evidence_span

TEXT = "Thanks a lot, but that is the wrong year."


def offsets(text: str) -> list[tuple[int, int]]:
    out, at = [], 0
    for word in text.split(" "):
        out.append((at, at + len(word)))
        at += len(word) + 1
    return out


def test_the_span_is_the_run_around_the_strongest_token():
    p = [0.9, 0.8, 0.7, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]
    start, end = evidence_span(TEXT, offsets(TEXT), p)
    assert TEXT[start:end] == "Thanks a lot,"


def test_one_weak_token_is_bridged_and_two_are_not():
    one = evidence_span(TEXT, offsets(TEXT), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.1, 0.9])
    assert TEXT[slice(*one)] == "the wrong year."
    two = evidence_span(TEXT, offsets(TEXT), [0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.1, 0.1, 0.9])
    assert TEXT[slice(*two)] == "year."


def test_a_piece_of_a_word_grows_to_the_whole_word():
    text = "unhelpfulness galore"
    assert evidence_span(text, [(0, 2), (2, 6), (6, 13), (14, 20)], [0.1, 0.9, 0.1, 0.0]) == (0, 13)


def test_no_token_gives_an_empty_span():
    assert evidence_span("   ", [], []) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_span_lies_in_the_text_and_holds_the_peak(seed):
    rng = np.random.default_rng(seed)
    at = offsets(TEXT)
    p = rng.random(len(at))
    start, end = evidence_span(TEXT, at, p)
    peak = at[int(p.argmax())]
    assert 0 <= start <= peak[0] < peak[1] <= end <= len(TEXT)
    assert not TEXT[start].isspace()
    assert not TEXT[end - 1].isspace()
