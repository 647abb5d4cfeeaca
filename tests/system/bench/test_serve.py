"""loadtests/serve in its short form: versions change under load, and the figures are what was taken."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from loadtests.serve import costs, encoders, measure, swaps
from loadtests.serve.measure import Side, Stopwatch, Taken


@pytest.mark.system
@pytest.mark.proof
def test_no_answer_fails_or_is_of_another_version_than_it_names_while_versions_change(tmp_path: Path) -> None:
    """Two adapters that said the same would not be told apart: `known` refuses them, and is the control."""
    found = swaps.counted(tmp_path, 30)
    assert (found.swaps, found.failed, found.crossed, found.stale) == (30, 0, 0, 0)
    assert found.answers >= 30
    assert found.likelihoods > 0


def test_sides_take_turns_and_the_medians_of_their_rounds_are_compared() -> None:
    order: list[str] = []

    def side(name: str, *rates: float) -> Side:
        def take(turn: int) -> Taken:
            order.append(name)
            return Taken(rates[turn], 1.0, 2.0, (rates[turn],))

        return Side(name, take)

    found = measure.alternated([side("ours", 99, 3, 9, 6), side("peer", 1, 2, 4, 1)], rounds=3)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer", "peer", "ours"]
    processor, clock = measure.compared("a", found, "ours", "peer", "rows", 2.5)
    assert (processor.ours, processor.peer, processor.met) == (6, 2, True)
    assert (clock.ours, clock.peer, clock.unit) == (3, 1, "rows/s")
    assert measure.spread(found)["ours"]["per_cpu_s"] == [3, 6, 9]
    assert measure.tail("p99", found, "ours", "peer", 1.0).met is False


def test_a_stopwatch_takes_what_the_process_used_since_it_was_made() -> None:
    used = iter([5e6, 7e6])
    taken = Stopwatch(lambda: next(used)).taken(3, [0.1])
    assert (taken.units, taken.cpu_s, taken.latencies) == (3, 2.0, (0.1,))
    assert taken.wall_s >= 0


def test_what_is_kept_counts_pages_in_use_and_not_what_was_let_go(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        database.execute("CREATE TABLE words (text TEXT)")
        database.executemany("INSERT INTO words VALUES (?)", [("word" * 100,)] * 1000)
        database.commit()
        full = costs.stored(tmp_path)
        database.execute("DELETE FROM words")
        database.commit()
        assert full > 400_000
        assert costs.stored(tmp_path) < full / 10


def test_every_side_gets_the_same_pairs_in_the_same_round_and_lengths_are_mixed() -> None:
    asked = encoders.pairs(3, 200, 1)
    assert asked == encoders.pairs(3, 200, 1) != encoders.pairs(4, 200, 1)
    sizes = sorted(len(each.documents[0].split()) for each in asked)
    assert sizes[-1] > 3 * sizes[100] > 9 * sizes[0]


def test_two_precisions_agree_in_what_share_of_pairs_they_order_alike_and_by_how_much_their_scores_differ() -> None:
    fine, coarse = [[1.0, 2.0, 3.0], [4.0, 1.0]], [[1.0, 3.0, 2.5], [4.25, 1.0]]
    order, off = encoders.agreement(fine, coarse)
    assert (order.ours, order.peer, order.demand) == (0.75, 1.0, None)
    assert off.ours == 1.0
    assert off.peer == pytest.approx(1.54**0.5)
    assert encoders.ordered_alike(fine, fine) == 1.0
