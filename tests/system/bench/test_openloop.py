"""The load tester on what is known beforehand, in virtual time: to the microsecond, and at no cost."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from statistics import fmean

import pytest
from rejoinder.core.errors import BadSettings, QueueFull, UnknownRow

from loadtests.golden.script import Golden, Script, answer_to
from loadtests.openloop import run
from loadtests.openloop.arrivals import Bursts, Constant, Poisson, Ramp, times
from loadtests.openloop.generator import Findings, NotRight, Visit, generate
from loadtests.openloop.scenario import FOLDER, Demands, Scenario, named, read
from loadtests.openloop.tally import Tally, Times
from tests.virtualtime import VirtualLoop, virtual_loop


class Asks:
    """The golden script without a network. stalls: (from, to), seconds in which nothing is answered."""

    def __init__(self, loop: VirtualLoop, script: Script, stall: tuple[float, float] = (0.0, 0.0)) -> None:
        self._loop = loop
        self._golden = Golden(script)
        self._stall = stall

    async def visit(self, number: int, visit: Visit) -> None:
        async def call(left_s: float) -> None:
            answer, done = self._golden.play(number, self._loop.time())
            if self._stall[0] <= self._loop.time() < self._stall[1]:
                done = self._stall[1]
            await asyncio.sleep(done - self._loop.time())
            if answer != answer_to(number):
                raise NotRight("WRONG_ANSWER")

        await visit.step("ask", call)

    async def close(self) -> None: ...


def scenario(**fields) -> Scenario:
    base = {"work": "golden", "arrivals": {"kind": "constant", "rate": 100}, "deadline_s": 1.0, "seconds": 10}
    return Scenario.model_validate({**base, "warm_up_s": 0.0, **fields})


def sent(scenario: Scenario, script: Script, **asks) -> Findings:
    with virtual_loop() as loop:
        return loop.run_until_complete(generate(Asks(loop, script, **asks), scenario, begin=0.0))


def test_schedules_are_seeded_and_have_the_rates_they_say():
    for arrivals in (Poisson(kind="poisson", rate=50), Bursts(kind="bursts", rate=50, size=10)):
        starts = list(times(arrivals, 400.0, seed=3))
        assert starts == list(times(arrivals, 400.0, seed=3)) != list(times(arrivals, 400.0, seed=4))
        assert starts == sorted(starts)
        # Five standard deviations of the count.
        assert abs(len(starts) - 20_000) < 5 * (20_000 * getattr(arrivals, "size", 1)) ** 0.5
    assert list(times(Constant(kind="constant", rate=4), 1.0, seed=0)) == [0.0, 0.25, 0.5, 0.75]


def test_poisson_gaps_are_exponential_and_a_ramps_rate_moves_evenly():
    gaps = [b - a for a, b in pairwise(times(Poisson(kind="poisson", rate=50), 400.0, seed=3))]
    typical = fmean(gaps)
    assert fmean(gap > typical for gap in gaps) == pytest.approx(0.3679, abs=0.015)
    starts = list(times(Ramp(kind="ramp", first=10, rate=90), 100.0, seed=5))
    quarters = [sum(25 * q <= at < 25 * (q + 1) for at in starts) for q in range(4)]
    assert quarters == pytest.approx([500, 1000, 1500, 2000], rel=0.12)
    falling = list(times(Ramp(kind="ramp", first=90, rate=10), 100.0, seed=5))
    assert max(falling) < 100.0
    assert len(falling) == pytest.approx(5000, rel=0.08)


def test_a_known_distribution_of_delays_is_what_is_reported():
    """90 % take 10 ms, 9 % 30 ms, 1 % 100 ms, each exactly."""
    delays = [0.010] * 90 + [0.030] * 9 + [0.100]
    found = sent(scenario(), Script(delays_s=tuple(delays)))
    tally = found.tallies["ask"]
    assert (tally.offered, tally.good, tally.errors) == (1000, 1000, {})
    shown = [tally.answers.at(percent) for percent in (50, 90, 90.1, 99, 99.1, 100)]
    assert shown == pytest.approx([0.010, 0.010, 0.030, 0.030, 0.100, 0.100], rel=0.001)
    assert found.lag.at(100) <= 2e-6


def test_a_stall_is_charged_to_every_request_that_should_have_left_in_it():
    """One second of ten without an answer: a tenth of the requests wait for half of it in the mean. A closed loop, or a
    clock that starts when a request leaves a held up sender, would see one slow request."""
    found = sent(scenario(deadline_s=2.0), Script(delays_s=(0.001,)), stall=(4.0, 5.0))
    answers = found.tallies["ask"].answers
    assert answers.count == 1000
    assert answers.at(100) == pytest.approx(1.0, rel=0.001)
    assert answers.at(95) == pytest.approx(0.5, rel=0.02)
    assert answers.at(89.9) == pytest.approx(0.001, rel=0.001)


def test_a_generator_that_is_held_up_times_from_the_schedule_and_says_that_the_run_is_invalid():
    class Blocks(Asks):
        async def visit(self, number, visit):
            if number == 400:
                # A synchronous second, as a collection or a busy machine would take it.
                self._loop.jump(1.0)
            await super().visit(number, visit)

    asked = scenario(deadline_s=2.0)
    with virtual_loop() as loop:
        found = loop.run_until_complete(generate(Blocks(loop, Script(delays_s=(0.001,))), asked, 0.0))
    assert found.tallies["ask"].answers.at(95) == pytest.approx(0.5, rel=0.03)
    whole = run.Found()
    whole.add(found.packed())
    assert any("fell behind" in fault for fault in run.faults(whole, asked))
    assert not run.as_json(whole, asked)["valid"]


def test_errors_are_counted_by_reason_and_a_wrong_answer_is_one():
    found = sent(scenario(), Script(delays_s=(0.01,), refused_every=20, wrong_every=50))
    tally = found.tallies["ask"]
    counts = {reason: times.count for reason, times in tally.errors.items()}
    assert counts == {"RESOURCE_EXHAUSTED QUEUE_FULL": 50, "WRONG_ANSWER": 10}
    assert (tally.good, tally.offered) == (940, 1000)


def test_at_three_times_a_known_capacity_goodput_is_the_capacity():
    """Four slots of 40 ms: 100 a second. The queue holds half a deadline's work."""
    script = Script(delays_s=(0.04,), slots=4, max_waiting=50)
    found = sent(scenario(arrivals={"kind": "constant", "rate": 300}, seconds=8), script)
    tally = found.tallies["ask"]
    # What waits as the schedule ends is answered too.
    assert tally.good == pytest.approx(8 * 100 + 54, rel=0.01)
    # Fifty before it are twelve and a half rounds of the slots; then its own.
    assert 0.54 <= tally.answers.at(100) <= 0.5606
    assert run.refusals(tally).count == tally.offered - tally.good
    # With a queue that nobody bounds all are answered, and late.
    endless = sent(scenario(arrivals={"kind": "constant", "rate": 300}, seconds=3), Script(delays_s=(0.04,), slots=4))
    assert endless.tallies["ask"].answers.count == 900
    assert endless.tallies["ask"].good < 200


def test_warm_up_is_sent_and_not_counted_and_the_run_ends_by_the_clock():
    delays = tuple([0.5] * 200 + [0.01] * 1000)
    found = sent(scenario(warm_up_s=2.0), Script(delays_s=delays))
    assert found.tallies["ask"].offered == 1000
    assert found.tallies["ask"].answers.at(100) == pytest.approx(0.01, rel=0.001)
    assert found.wall_s == pytest.approx(12.0, abs=0.02)


def test_too_many_under_way_are_left_out_and_make_the_run_invalid():
    asked = scenario(max_in_flight=10)
    found = sent(asked, Script(delays_s=(0.5,)))
    assert found.left_out > 700
    whole = run.Found()
    whole.add(found.packed())
    assert any("never left" in fault for fault in run.faults(whole, asked))


def test_parts_of_a_schedule_merge_to_the_whole_without_loss():
    asked, script = scenario(), Script(delays_s=tuple(n / 1000 for n in range(1, 101)), refused_every=7)
    whole, merged = run.Found(), run.Found()
    whole.add(sent(asked, script).packed())
    for part in range(3):
        with virtual_loop() as loop:
            merged.add(loop.run_until_complete(generate(Asks(loop, script), asked, 0.0, part, 3)).packed())
    assert merged.tallies["ask"].as_json(10) == whole.tallies["ask"].as_json(10)


def test_steps_of_a_visit_are_tallied_apart_and_a_failed_one_ends_it():
    class Converses(Asks):
        async def visit(self, number, visit):
            async def fails(left_s):
                raise QueueFull("full")

            await super().visit(number, visit)
            await visit.pause(3.0)
            await visit.step("second", fails if number % 2 else (lambda left: asyncio.sleep(0.2)))
            visit.mark("seen")
            # No pause: due as the second ended, whose time is not this one's.
            await visit.step("third", lambda left: asyncio.sleep(0.03))

    with virtual_loop() as loop:
        asked = scenario(arrivals={"kind": "constant", "rate": 1})
        found = loop.run_until_complete(generate(Converses(loop, Script(delays_s=(0.1,))), asked, 0.0))
    assert {name: (t.offered, t.good) for name, t in found.tallies.items()} == {
        "ask": (10, 10),
        "second": (10, 5),
        "third": (5, 5),
    }
    assert found.tallies["second"].answers.at(100) == pytest.approx(0.2, rel=0.001)
    assert found.tallies["third"].answers.at(100) == pytest.approx(0.03, rel=0.001)
    assert found.tallies["second"].marks["seen"].count == 5


def test_an_error_of_the_work_itself_ends_the_run_and_is_not_left_out_of_it():
    class Breaks(Asks):
        async def visit(self, number, visit):
            if number == 3:
                raise KeyError("no such option")
            await super().visit(number, visit)

    with virtual_loop() as loop, pytest.RaisesGroup(KeyError):
        loop.run_until_complete(generate(Breaks(loop, Script()), scenario(), 0.0))


def test_histograms_hold_three_digits_from_microseconds_to_minutes():
    kept = Times()
    for seconds in (0.000_001, 0.012_345, 59.9, 10_000.0):
        kept.record(seconds)
    assert [kept.at(p) for p in (25, 50, 75, 100)] == pytest.approx([1e-6, 0.012345, 59.9, 600.0], rel=0.001)
    assert Times().at(99) == 0.0


def test_demands_become_rows_that_can_be_missed():
    asked = scenario(demands=Demands(goodput_share=0.9, refused_p99_s=0.005))
    found = run.Found(tallies={"ask": Tally()})
    for _ in range(80):
        found.tallies["ask"].answered(0.1, 1.0)
    for _ in range(20):
        found.tallies["ask"].failed("RESOURCE_EXHAUSTED QUEUE_FULL", 0.004)
    assert [row.met for row in run.rows(found, asked)] == [False, True]
    assert "| ask | 10.0 | 8.0 | 80.0% |" in run.table(run.as_json(found, asked))


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_scenario_can_be_read(name):
    assert named(name).seconds > 0


@pytest.mark.parametrize(
    ("text", "error", "named_in_it"),
    [
        ("deadline: 1.0", BadSettings, "nearest known: deadline_s"),
        ("arrivals: {kind: poisson, rat: 3}", BadSettings, "rat"),
        ("arrivals: {kind: poison, rate: 3}", BadSettings, "arrivals"),
        ("options: {response: 3}", TypeError, "unknown response; known: responses"),
        ("work: rewards", UnknownRow, "rewards"),
    ],
)
def test_a_misspelt_key_is_an_error_that_names_it(tmp_path, text, error, named_in_it):
    file = tmp_path / "s.yaml"
    base = {"work": "work: reward", "arrivals": "arrivals: {kind: constant, rate: 1}", "deadline_s": "deadline_s: 1"}
    lines = [line for key, line in base.items() if not text.startswith(f"{key}:")]
    file.write_text("\n".join([*lines, "seconds: 1", text]) + "\n")
    with pytest.raises(error, match=named_in_it):
        read(file)
