"""Two tenants whose users, conversations, answers and events bear the same names never meet (U19)."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder.core import types
from rejoinder.core.errors import NotFound
from rejoinder.core.ids import answer_digest
from rejoinder.ledger.reading.judged import Asked, Judge, mark, read_judged
from rejoinder.stream.headers import key_of

OURS, THEIRS = "t", "u"


def story(bench, tenant: str) -> list[Any]:
    """Every way of joining, a thread, a wait, a comparison and a conflict; only the words tell whose they are."""
    mine = {"tenant": tenant}
    talk = {"conversation_id": "c", **mine}
    first = bench.answer("x1", response=f"{tenant} one", turn=1, **talk)
    second = bench.answer("x2", after=5.0, version="v2" if tenant == OURS else "v1", response="two", turn=2, **talk)
    return [
        first,
        second,
        bench.answer("x3", after=6.0, user_id="bob", response=f"{tenant} three", **mine),
        bench.said("f1", "x1", **mine),
        bench.signal("f1", "x1", "SAT" if tenant == OURS else "DSAT", **mine),
        bench.said("f2", turn=2, **talk),
        bench.said("f3", answer_digest=answer_digest("two"), **mine),
        bench.said("r1", "x2", kind=types.Rating(number=1.0, scale_max=1.0), **mine),
        bench.said("cmp", "x1", kind=types.Comparison("x3", "", types.Choice.THIS), **mine),
        bench.said("wrong", "x3", **mine),
        bench.said("parked", f"not yet of {tenant}", **mine),
        bench.said("r1", "x2", kind=types.Rating(number=0.0, scale_max=1.0), **mine),
    ]


def told(ledger, log, tenant: str) -> dict[str, Any]:
    """Everything that the ledger answers about one tenant."""
    traces = {}
    for name in ("x1", "x2", "x3", "f1", "f2", "f3", "r1", "cmp", "wrong", "s-f1-x-1", "parked"):
        try:
            traces[name] = [(n.kind, n.id, n.digest, n.state, n.sources) for n in ledger.trace(tenant, name)]
        except NotFound:
            traces[name] = None
    window = ledger.preview("loop", "assist")
    # As far as extractors go, all has been read: every answer is ripe for a verdict.
    ledger.evidence("signals:x", 10_000, 1)
    judged = read_judged(
        ledger.store, Asked("assist", 0.0, 60.0, (Judge("x", "1"),)), mark(ledger.store, log, bench_now(ledger))
    )
    return {
        "satisfaction": [ledger.satisfaction(tenant, by) for by in ("", "version", "day", "extractor")],
        "joining": ledger.joining(tenant),
        "traces": traces,
        "evidence": [piece for piece in window.evidence if piece.tenant == tenant],
        "judged": [turn for turn in judged.turns if turn.tenant == tenant],
        "read": [(e.interaction, e.feedback) for e in ledger.evidence("r", 0, 500) if e.feedback.tenant == tenant],
    }


def bench_now(ledger) -> float:
    return ledger.clock.now() + 1_000.0


def projected(bench, *tenants: str):
    """A ledger over the stories of these tenants, each in its own partition."""
    log = bench.log()
    for tenant in tenants:
        for event in story(bench, tenant):
            log.put(event, part=(OURS, THEIRS).index(tenant))
    ledger = bench.ledger()
    ledger.project(log)
    return ledger, log


def test_u19_whoever_else_is_there_a_tenant_is_told_the_same(bench) -> None:
    alone = {tenant: told(*projected(bench, tenant), tenant) for tenant in (OURS, THEIRS)}
    ledger, log = projected(bench, OURS, THEIRS)
    for tenant in (OURS, THEIRS):
        assert told(ledger, log, tenant) == alone[tenant]
    assert alone[OURS] != alone[THEIRS]
    assert all(row.balanced for row in ledger.parity())
    assert len(alone[OURS]["evidence"]) >= 3
    assert len(alone[OURS]["judged"]) == 3


def test_u19_f16_whom_one_tenant_forgets_the_other_keeps(bench) -> None:
    alone = told(*projected(bench, OURS), OURS)
    ledger, log = projected(bench, OURS, THEIRS)
    log.put(bench.erasure("ann", after=100.0, tenant=THEIRS))
    ledger.project(log)
    assert told(ledger, log, OURS) == alone
    theirs = told(ledger, log, THEIRS)
    assert (theirs["evidence"], theirs["joining"].joined) == ([], 0)
    assert {turn.user_id for turn in theirs["judged"]} == {"bob"}


@pytest.mark.parametrize("bench", ["sqlite"], indirect=True)
def test_u19_records_of_two_tenants_have_other_keys_and_no_name_makes_them_one(bench) -> None:
    keys = {key_of(event) for tenant in (OURS, THEIRS, "t\x01c") for event in story(bench, tenant)}
    ours = {key_of(event) for event in story(bench, OURS)}
    assert len(keys) == 3 * len(ours)
