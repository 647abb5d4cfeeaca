"""The checks of `test_live.py` themselves, on answers made by hand."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from rejoinder.core.metrics import METRICS

from tests.cluster.metrics import pictures
from tests.cluster.metrics.questions import (
    AWAY,
    EMPTY,
    FENCED,
    MOVES,
    NAN,
    QUIET,
    UNSEEN,
    ZERO,
    Query,
    boards,
    chosen,
    faults,
    loosened,
    queries,
    replaced,
    selectors,
    state,
    unknown_values,
)

QUERY = Query("traffic", "Calls", "reqps", (0, 0, 8, 8), "sum by (process) (rejoinder_x)", "{{process}}")


def series(*values: str, **labels: str) -> dict[str, object]:
    return {"metric": labels, "values": [[float(n), value] for n, value in enumerate(values)]}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ([], EMPTY),
        ([series("NaN", "NaN", process="policy")], NAN),
        ([series("0", "0", process="policy")], ZERO),
        ([series("0", process="ledger"), series("NaN", "0.5", process="policy")], MOVES),
    ],
)
def test_an_answer_is_nothing_no_number_zeros_or_moves(answer: list[dict[str, object]], wanted: str) -> None:
    assert state(answer) == wanted
    assert (faults(QUERY, answer) == []) == (wanted == MOVES)
    assert faults(QUERY, answer, wanted) == []


def test_a_series_without_a_label_that_it_is_summed_by_is_a_fault() -> None:
    assert faults(QUERY, [series("1")]) == ["Calls: {{process}}: series without the label process"]


def test_variables_are_replaced_and_an_unknown_one_stays_for_prometheus_to_refuse() -> None:
    text = 'rate(x{release="$release"}[$__rate_interval]) + $other'
    assert replaced(text, {"release": "a"}, 1.0) == 'rate(x{release="a"}[4s]) + $other'
    board = boards()["traffic"]
    assert chosen(board, lambda label, match: [f"{label} of {match}"]) == {"release": "release of rejoinder_serving"}


def test_a_selector_is_loosened_in_what_is_the_metrics_own() -> None:
    text = 'sum(rate(rejoinder_rpc_s_count{namespace="ns",status=~"INTERNAL|NOBODY"}[5m]))'
    (selector,) = selectors(text)
    assert loosened(selector) == 'rejoinder_rpc_s_count{namespace="ns",status!=""}'
    assert unknown_values(selector) == {"NOBODY"}


def test_what_may_stay_quiet_is_a_query_of_a_panel() -> None:
    known = {query.where for query in queries()}
    assert len(known) == len(list(queries())), "two queries of one panel with one legend"
    assert {*QUIET, *AWAY, *FENCED} <= known
    assert all(how in (EMPTY, NAN, ZERO) and why for how, why in QUIET.values())
    assert all(any(metric.name in selector for metric in METRICS) for selector in UNSEEN)


def test_the_page_is_well_formed_and_has_every_panel_where_it_lies() -> None:
    answers = {query: [series("1", "NaN", "3", process="policy")] for query in queries()}
    titles = {name: board["title"] for name, board in boards().items()}
    page = ElementTree.fromstring(pictures.page(titles, answers, 2.0).partition("\n")[2])
    shown = {each.text for each in page.iter("{http://www.w3.org/2000/svg}text")}
    assert {query.panel for query in queries()} <= shown
    assert "not by Grafana" in "".join(page.itertext())
