from __future__ import annotations

import pytest
from rejoinder.runtime.tracing import Propagation

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_span_stays_in_the_callers_trace_under_an_id_of_its_own() -> None:
    with Propagation().span("m", PARENT) as traceparent:
        version, trace, span, flags = traceparent.split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert len(span) == 16
    assert span != "b7ad6b7169203331"


@pytest.mark.parametrize(
    "parent",
    ["", "words of a user", PARENT.upper(), f"00-{'0' * 32}-b7ad6b7169203331-01", PARENT + "\n", PARENT[:-1]],
)
def test_what_is_no_traceparent_begins_a_trace_and_is_not_handed_on(parent: str) -> None:
    with Propagation().span("m", parent) as one, Propagation().span("m", parent) as two:
        assert one[3:35] != two[3:35]
        assert not parent or parent not in one
        assert one.endswith("-00")
