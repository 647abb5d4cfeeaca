"""ledger/queries: satisfaction of versions over time, and why their users were dissatisfied."""

from __future__ import annotations

from rejoinder.core import types

DAY = 86_400.0


def test_versions_come_as_they_first_answered_with_their_days_and_reasons(bench) -> None:
    def talk(name: str, polarity: str, after: float, version: str, *reasons: str) -> list[object]:
        read = tuple(types.Reason(reason, 0.9) for reason in reasons)
        answer = bench.answer(name, version=version, after=after, user_id=name)
        said = bench.said(f"f-{name}", name, user_id=name, after=after + 5)
        return [answer, said, bench.signal(f"f-{name}", name, polarity, user_id=name, reasons=read, after=after + 6)]

    ledger = bench.ledger()
    events = [
        *talk("a", "DSAT", 30 * DAY, "a-late", "style", "gratitude"),
        *talk("b", "SAT", 0.0, "z-early", "praise"),
        *talk("c", "DSAT", 2 * DAY, "z-early", "style", "ignored"),
        *talk("d", "DSAT", 2 * DAY, "z-early", "style"),
        bench.answer("e", version="z-early", after=2 * DAY),
    ]
    ledger.project(bench.of(*events))
    early, late = ledger.versions("t")
    assert (early.whole.group, early.whole.sat, early.whole.dsat, early.whole.interactions) == ("z-early", 1, 2, 4)
    assert (early.reasons, late.reasons) == ({"ignored": 1, "style": 2}, {"style": 1}), "of the displeased alone"
    assert early.step_s == DAY
    assert [(row.group, row.sat, row.dsat) for row in early.over_time] == [
        ("2023-11-14T00:00Z", 1, 0),
        ("2023-11-16T00:00Z", 0, 2),
    ]
    whole = {row.group: row for row in ledger.satisfaction("t", "version")}
    assert whole["z-early"].satisfaction == early.whole.satisfaction == 1 / 3
    assert ledger.versions("other") == []
