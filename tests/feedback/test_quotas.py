"""feedback/quotas: how much a tenant, a caller and a user may send (F15, U19, U22)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings, LogUnavailable, Quota
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Click, Feedback, Interaction, Message, Role
from rejoinder.feedback.ingest import Ingest
from rejoinder.feedback.quotas import Event, Quotas, quotas_of
from rejoinder.feedback.redact import Redactor
from rejoinder.feedback.settings import FeedbackSettings, LimitSettings, QuotaTheme, RateTheme
from rejoinder.runtime.call import Call, Principal
from rejoinder.stream.headers import event_of, record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Appended, NewRecord

APP = Call("m", Principal("chat", frozenset({"app"})))
NUMBERS = itertools.count()
OURS = Call("m", Principal("policy", frozenset({"app", "internal"})))


def rate(events: float, burst_s: float = 1.0) -> RateTheme:
    return RateTheme(events_per_s=events, burst_s=burst_s)


def clicks(count: int, tenant: str = "a", user: str = "u", first: int = 0) -> list[Feedback]:
    kind = Click("c", 1)
    return [
        Feedback(tenant=tenant, event_id=f"{tenant}{user}{first + n}", interaction_id="i", user_id=user, kind=kind)
        for n in range(count)
    ]


def anew(events: list) -> list:
    """The same under ids that nobody has seen: of an id that was let in, the next try is free."""
    return [replace(event, event_id=f"{event.event_id}-{next(NUMBERS)}") for event in events]


def admit(quotas: Quotas, events: list, now: float, principal: str = "p") -> Counter[str]:
    admitted = quotas.admit(anew(events), principal, now)
    quotas.settle(admitted, [not limit for limit in admitted.refused], now)
    return Counter(admitted.refused)


def refusal(quotas: Quotas, events: list, now: float, principal: str = "p") -> Quota:
    with pytest.raises(Quota) as raised:
        quotas.admit(anew(events), principal, now)
    return raised.value


def test_in_the_long_run_a_tenant_sends_its_rate_whatever_the_size_of_its_requests() -> None:
    for size in (1, 7, 300):
        quotas, now, sent = Quotas(QuotaTheme(tenant=rate(50.0))), 0.0, 0
        while now < 100.0:
            try:
                sent += admit(quotas, clicks(size), now).total()
            except Quota as error:
                # Who waits as long as it was told gets in: the delay is no guess.
                now += error.retry_after_s
                sent += admit(quotas, clicks(size), now).total()
        assert 5_000 <= sent <= 5_000 + 50 + 2 * size


def test_tenants_have_their_own_and_one_over_it_holds_up_nobody_else_in_the_request() -> None:
    quotas = Quotas(QuotaTheme(tenant=rate(10.0), tenants={"big": rate(1_000.0)}))
    assert admit(quotas, clicks(10) + clicks(500, "big"), 0.0) == {"": 510}
    assert admit(quotas, clicks(3) + clicks(2, "b") + clicks(5, "big"), 0.0) == {"": 7, "tenant": 3}
    assert refusal(quotas, clicks(1), 0.0).metadata == {"limit": "tenant"}


def test_bytes_are_counted_as_they_are_recorded() -> None:
    quotas = Quotas(QuotaTheme(tenant=RateTheme(bytes_per_s=1_000.0, burst_s=1.0)))
    long = Interaction(tenant="a", event_id="e", messages=(Message(Role.USER, "x" * 5_000),))
    assert admit(quotas, [long], 0.0) == {"": 1}
    assert 4.0 < refusal(quotas, [long], 0.0).retry_after_s < 4.2
    assert admit(quotas, [long], 4.2) == {"": 1}


def test_f15_a_users_votes_are_limited_one_by_one_and_answers_are_not() -> None:
    quotas = Quotas(QuotaTheme(user=rate(5.0)))
    flood = clicks(1_000, user="mallory")
    assert admit(quotas, [*flood, *clicks(3, user="ann")], 0.0) == {"": 8, "user": 995}
    assert refusal(quotas, flood, 0.1).retry_after_s == pytest.approx(0.1)
    assert admit(quotas, flood, 0.2) == {"": 1, "user": 999}
    # The same name under another tenant is another person, and without a name nobody is known.
    assert admit(quotas, [*clicks(2, "b", "mallory"), *clicks(9, user="")], 0.2) == {"": 11}
    answers = [Interaction(tenant="a", event_id=f"e{n}", user_id="mallory") for n in range(50)]
    assert admit(quotas, answers, 0.2) == {"": 50}


def test_what_was_refused_costs_nothing_and_callers_are_told_apart() -> None:
    quotas = Quotas(QuotaTheme(principal=rate(10.0), user=rate(1.0)))
    admit(quotas, clicks(1), 0.0)
    for _ in range(100):
        refusal(quotas, clicks(1), 0.0)
    assert admit(quotas, [c for n in range(9) for c in clicks(1, user=f"u{n}")], 0.0) == {"": 9}
    assert refusal(quotas, clicks(1, user="x"), 0.0).metadata == {"limit": "principal"}
    assert admit(quotas, clicks(1, user="x"), 0.0, "other") == {"": 1}


def test_f15_a_million_names_take_no_more_memory_than_the_bound() -> None:
    quotas = Quotas(QuotaTheme(user=rate(1.0), most_names=100))
    for n in range(1_000):
        admit(quotas, clicks(1, user=f"u{n}"), 0.0)
    assert len(quotas._user._buckets[0]._buckets) == 100
    assert refusal(quotas, clicks(1, user="u999"), 0.0).metadata == {"limit": "user"}


def test_settings_that_limit_nothing_make_nothing_and_a_tenant_that_nobody_may_name_is_told(tmp_path: Path) -> None:
    assert quotas_of(QuotaTheme()) is None
    callers = tmp_path / "callers.yaml"
    callers.write_text("[{principal: a, token: t, roles: [app], tenants: [acme]}]")
    asked = QuotaTheme(tenants={"acmee": rate(1.0)})
    with pytest.raises(BadSettings, match="no caller may name 'acmee'; known: acme"):
        quotas_of(asked, callers)
    callers.write_text("[{principal: a, token: t, roles: [app], tenants: ['*']}]")
    assert quotas_of(asked, callers) is not None
    with pytest.raises(BadSettings, match=r"quota\.user\.bytes_per_s"):
        FeedbackSettings(quota=QuotaTheme(user=RateTheme(bytes_per_s=1.0))).check()


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_however_many_processes_there_are_together_they_let_no_more_pass(processes: int) -> None:
    """U19: each asked as fast as it answers, for a hundred seconds."""
    theme = QuotaTheme(tenant=rate(50.0, burst_s=2.0), user=rate(20.0, burst_s=2.0))
    for user, most in (("", 50.0), ("u", 20.0)):
        passed = 0
        for quotas in [Quotas(theme, processes) for _ in range(processes)]:
            now = 0.0
            while now < 100.0:
                try:
                    passed += admit(quotas, clicks(1, user=user), now)[""]
                except Quota as error:
                    now += error.retry_after_s
        assert 100 * most <= passed <= 102 * most + processes


def test_an_id_that_comes_round_for_ever_is_paid_for_whenever_it_is_a_record_of_its_own() -> None:
    """F15: the log may remember fewer ids than we do; what it takes again and again must not be free."""
    quotas, now, records = Quotas(QuotaTheme(tenant=rate(10.0))), 0.0, 0
    few = clicks(20)
    most = 10 * 100 + 10 + 3 * len(few)
    while now < 100.0 and records <= most:
        try:
            admitted = quotas.admit(few, "p", now)
            taken = [not limit for limit in admitted.refused]
            quotas.settle(admitted, taken, now)
            records += sum(taken)
        except Quota as error:
            now += error.retry_after_s
    assert records <= most


def test_ids_are_remembered_up_to_a_bound() -> None:
    quotas = Quotas(QuotaTheme(tenant=rate(1_000.0), recent_ids=50))
    for n in range(200):
        quotas.admit(clicks(1, first=n), "p", 0.0)
    assert len(quotas._let_in._paid) == 50


class Bench:
    """Ingest over a log in memory under quotas. owns: both, and the clock."""

    def __init__(self, theme: QuotaTheme, log: type[MemoryLog] = MemoryLog) -> None:
        self.clock, self.metrics = ManualClock(), Metrics()
        self.log = log(self.clock, partitions=1)
        dedupe_s = 40 * 86_400.0
        quotas = quotas_of(theme)
        self.ingest = Ingest(self.log, LimitSettings(), dedupe_s, self.clock, self.metrics, quotas=quotas)

    async def record(self, events: list, call: Call = APP) -> Counter[str]:
        topic = "interactions" if isinstance(events[0], Interaction) else "feedback"
        results = await self.ingest.record(topic, [(event.event_id, event) for event in events], call)
        return Counter(result.reason or result.outcome.value for result in results)

    def stored(self) -> list[str]:
        return [event_of(record).event_id for record in self.log.read("feedback", 0, 0, 10_000)]


async def test_who_sends_the_whole_request_again_until_it_is_taken_loses_and_doubles_nothing() -> None:
    bench = Bench(QuotaTheme(tenant=rate(10.0), user=rate(4.0)))
    waiting = [*clicks(20, user="ann"), *clicks(3, user="bob"), *clicks(5, "b", "cy")]
    everything, tries = {event.event_id for event in waiting}, 0
    while waiting:
        tries += 1
        try:
            results = await bench.ingest.record("feedback", [(e.event_id, e) for e in waiting], APP)
        except Quota as error:
            bench.clock.advance(error.retry_after_s)
            continue
        waiting = [event for event, result in zip(waiting, results, strict=True) if result.reason == "QUOTA"]
    assert sorted(bench.stored()) == sorted(everything)
    assert tries > 2
    assert bench.metrics.value("ingest_limited_total", limit="user") > 0
    assert bench.metrics.value("ingest_rejected_total", topic="feedback", reason="QUOTA") > 0


async def test_what_one_of_our_services_took_earlier_is_never_refused() -> None:
    bench = Bench(QuotaTheme(tenant=rate(1.0)))
    taken = [replace(event, accepted_at=bench.clock.now() - 1.0) for event in clicks(10)]
    assert await bench.record(clicks(1, first=50)) == {"RECORDED": 1}
    assert await bench.record(taken, OURS) == {"RECORDED": 10}
    # An application cannot say so of its own.
    with pytest.raises(Quota):
        await bench.record([replace(event, accepted_at=bench.clock.now()) for event in clicks(2, first=90)])


async def test_faulty_items_cost_nothing_and_are_answered_as_before() -> None:
    bench = Bench(QuotaTheme(tenant=rate(2.0)))
    faulty = [Feedback(tenant="a", event_id=f"x{n}") for n in range(9)]
    assert await bench.record([*faulty, *clicks(2)]) == {"EMPTY_FIELD": 9, "RECORDED": 2}
    assert await bench.record(faulty) == {"EMPTY_FIELD": 9}


class Unsure(MemoryLog):
    """A log that is away now and then, or takes everything and answers nobody. away, silent: whether it is."""

    away = silent = False

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        if self.away:
            lost: Future[Sequence[Appended]] = Future()
            lost.set_exception(LogUnavailable("as a test wants it", retry_after_s=1.0))
            return lost
        done = super().append(records)
        return Future() if self.silent else done


def tokens(bench: Bench) -> float:
    """What is left of a tenant's."""
    assert bench.ingest._quotas is not None
    return bench.ingest._quotas._tenant._buckets[0]._level("a", bench.clock.monotonic())


async def test_what_is_sent_again_because_its_answer_was_lost_is_neither_refused_nor_charged() -> None:
    """U01, U02: nothing is left of the tenant's tokens or the user's, and the retry is answered all the same."""
    bench = Bench(QuotaTheme(tenant=rate(3.0), user=rate(3.0), principal=rate(3.0)), Unsure)
    bench.log.silent = True
    waiting = asyncio.create_task(bench.record(clicks(3)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bench.log.silent = False
    assert bench.stored() == ["au0", "au1", "au2"]
    with pytest.raises(Quota):
        await bench.record(clicks(1, first=7))
    for _ in range(50):
        assert await bench.record(clicks(3)) == {"DUPLICATE": 3}
    assert tokens(bench) == 0.0
    # Beside it, what is new is refused as before.
    assert await bench.record([*clicks(3), *clicks(1, first=7)]) == {"DUPLICATE": 3, "QUOTA": 1}


async def test_what_the_log_did_not_take_costs_nothing_until_it_does() -> None:
    bench = Bench(QuotaTheme(tenant=rate(3.0)), Unsure)
    bench.log.away = True
    for _ in range(5):
        with pytest.raises(LogUnavailable):
            await bench.record(clicks(2))
    assert tokens(bench) == 3.0
    bench.log.away = False
    assert await bench.record(clicks(2)) == {"RECORDED": 2}
    assert await bench.record(clicks(2)) == {"DUPLICATE": 2}
    assert tokens(bench) == 1.0


class Late(MemoryLog):
    """A log that answers when a test says so. calls: what was given to it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.calls: list[tuple[Future[Sequence[Appended]], Sequence[NewRecord]]] = []

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        self.calls.append((Future(), records))
        return self.calls[-1][0]

    def answer(self, takes: bool) -> None:
        future, records = self.calls.pop(0)
        if takes:
            future.set_result(super().append(records).result())
        else:
            future.set_exception(LogUnavailable("as a test wants it", retry_after_s=1.0))


@pytest.mark.parametrize("takes", [False, True])
async def test_who_leaves_is_charged_once_whatever_becomes_of_what_was_on_its_way(takes: bool) -> None:
    """F15: a caller's deadline is shorter than a log's that is away."""
    bench = Bench(QuotaTheme(tenant=rate(10.0)), Late)
    waiting = asyncio.create_task(bench.record(clicks(3)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert tokens(bench) == 7.0
    bench.log.answer(takes)
    await asyncio.sleep(0)
    assert tokens(bench) == (7.0 if takes else 10.0)
    again = asyncio.create_task(bench.record(clicks(3)))
    await asyncio.sleep(0)
    bench.log.answer(True)
    assert await again == {"DUPLICATE" if takes else "RECORDED": 3}
    assert tokens(bench) == 7.0


async def test_what_never_came_to_the_log_costs_nothing() -> None:
    """The caller leaves while its texts are redacted, or they cannot be."""
    began, go_on = threading.Event(), threading.Event()

    class Slow(Redactor):
        def event(self, event: Event) -> tuple[Event, Counter[str]]:
            began.set()
            assert go_on.wait(60.0)
            raise RuntimeError("as a test wants it")

    bench = Bench(QuotaTheme(tenant=rate(10.0)))
    bench.ingest._redactor = Slow(())
    waiting = asyncio.create_task(bench.record(clicks(3)))
    assert await asyncio.to_thread(began.wait, 60.0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert tokens(bench) == 10.0
    go_on.set()
    with pytest.raises(RuntimeError):
        await bench.record(clicks(3, first=5))
    assert tokens(bench) == 10.0
    bench.ingest._redactor = None
    assert await bench.record(clicks(3)) == {"RECORDED": 3}
    assert tokens(bench) == 7.0


async def test_a_second_copy_that_only_the_log_knows_is_paid_back() -> None:
    """As after a restart: this process let none of them in before. An id under another body costs nothing either."""
    bench = Bench(QuotaTheme(tenant=rate(5.0), user=rate(5.0)))
    bench.log.append([record_of(event, "tests") for event in clicks(4)]).result()
    other = replace(clicks(1)[0], kind=Click("c", 2))
    assert await bench.record(clicks(4)) == {"DUPLICATE": 4}
    assert await bench.record([other]) == {"EVENT_ID_CONFLICT": 1}
    assert tokens(bench) == 5.0


async def test_the_same_event_twice_in_a_request_costs_once() -> None:
    bench = Bench(QuotaTheme(tenant=rate(5.0), user=rate(1.0)))
    assert await bench.record([*clicks(1), *clicks(1), *clicks(1)]) == {"RECORDED": 1, "DUPLICATE": 2}
    assert tokens(bench) == 4.0
