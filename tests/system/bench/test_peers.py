from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.golden.script import Script
from loadtests.peers import Figures, Load, NotAnswered, Peer, alternated, best_of, rate_row, spread
from loadtests.work.golden import Ask, Params
from loadtests.work.reach import Reach

LOAD = Load(callers=4, requests=40, warm_up=4)


def golden(name: str, *delays_s: float, **script: int) -> Peer:
    """A peer whose settings are delays: with four callers it answers 4 / delay a second at most."""

    def command(setting) -> list[str]:
        return ["-m", "loadtests.golden.server", Script(delays_s=(setting["delay_s"],), **script).model_dump_json()]

    def work(port: int) -> Ask:
        return Ask(Params(), Reach({"golden": f"127.0.0.1:{port}"}), seed=1)

    return Peer(name, command, work, [{"delay_s": delay} for delay in delays_s])


@pytest.mark.system
@pytest.mark.proof
def test_a_peers_best_setting_is_found_and_said_and_sides_take_turns(tmp_path: Path) -> None:
    said: list[str] = []
    slow = golden("peer", 0.4, 0.1)
    best = best_of(slow, tmp_path, Load(4, 8), tries=1, say=said.append)
    assert best == {"delay_s": 0.1}
    assert len(said) == 3
    assert said[-1] == 'peer: its best is {"delay_s": 0.1}'
    # Beyond any doubt of a busy machine: the ratio of the two is what is looked for, not its size.
    found = alternated([(golden("ours", 0.01), {"delay_s": 0.01}), (slow, best)], tmp_path, Load(4, 8))
    assert {name: len(each) for name, each in found.items()} == {"ours": 5, "peer": 5}
    assert max(figures.rate for figures in found["peer"]) <= 40
    assert min(figures.p50_s for figures in found["peer"]) >= 0.1
    row = rate_row("golden", found, "ours", "peer", 1.3)
    assert row.met
    assert row.ratio > 1.3


@pytest.mark.system
def test_a_peer_that_refuses_has_no_figures(tmp_path: Path) -> None:
    with pytest.raises(NotAnswered, match="QUEUE_FULL"):
        best_of(golden("peer", 0.0, refused_every=7), tmp_path, LOAD, tries=1)


def test_too_few_rounds_are_refused_and_the_spread_is_that_of_the_rates(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 5"):
        alternated([], tmp_path, LOAD, rounds=3)
    figures = [Figures(rate, 0.1, 0.2) for rate in (10.0, 30.0, 20.0, 50.0, 40.0)]
    assert spread(figures) == {"least": 10, "quarter": 15, "median": 30, "three_quarters": 45, "most": 50}
    assert rate_row("a", {"ours": figures, "peer": figures}, "ours", "peer", 1.01).met is False
