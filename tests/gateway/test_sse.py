"""gateway/sse: events are the same whatever pieces they come in."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.gateway import sse
from rejoinder.gateway.errors import UpstreamRefused

STREAM = b': comment\r\n\r\ndata: {"a":\r\ndata: 1}\r\n\r\nevent: x\ndata:two\n\ndata: \xc3\xa9\r\rdata: [DONE]\n\n'
EVENTS = ['{"a":\n1}', "two", "é", "[DONE]"]


async def pieces(cuts: list[int]) -> AsyncIterator[bytes]:
    places = [0, *sorted(cuts), len(STREAM)]
    for begin, end in itertools.pairwise(places):
        yield STREAM[begin:end]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
async def test_events_do_not_depend_on_the_pieces_they_come_in(cuts: list[int]) -> None:
    assert [data async for data in sse.data_of(pieces(cuts))] == EVENTS


async def test_an_event_that_never_ends_is_refused() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"data: " + b"x" * 1024 * 1024

    with pytest.raises(UpstreamRefused):
        await anext(sse.data_of(endless()))


def test_an_event_is_one_line_of_json() -> None:
    assert sse.event({"a": "é\n"}) == 'data: {"a":"é\\n"}\n\n'.encode()
