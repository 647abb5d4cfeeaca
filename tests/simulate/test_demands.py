"""A proof that meets every demand passes; one figure on the wrong side of its line, or one run left out, and it does
not."""

from __future__ import annotations

import copy
import json

import pytest
from rejoinder.simulate.demands import demands, main


def figure(value: float, half: float = 0.015) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def a_run(seed: int) -> dict:
    rounds = [{"round": 0, "version": "base", "promoted": True, "reasons": [], "facts": 0.98, "paired_gain": None}]
    for number, gain in ((1, 0.11), (2, 0.07), (3, 0.04)):
        rounds.append(
            {
                "round": number,
                "version": f"r{number}",
                "promoted": True,
                "reasons": [],
                "facts": 0.97,
                "paired_gain": figure(gain),
            }
        )
    verdicts = {
        "style": ("worse", "rolled back", ["satisfaction"]),
        "silent": ("inconclusive", "rolled back", ["response_rate"]),
        "harmless": ("inconclusive", "promoted", ["satisfaction"]),
    }
    return {
        "seed": seed,
        "control": "",
        "seconds": 455.0,
        "peak_mb": 2836,
        "rise": figure(0.22, 0.02),
        "rounds": rounds,
        "pushes": [
            {"kind": kind, "verdict": verdict, "action": action, "reasons": reasons, "holdout_exposed": 0}
            for kind, (verdict, action, reasons) in verdicts.items()
        ],
        "parity": {"acknowledged": 27_000, "stored": 27_000, "duplicated": 0, "lost": 0, "unacked_stored": 0},
    }


def a_control(seed: int, control: str, rise: dict[str, float] | None) -> dict:
    return {**a_run(seed), "control": control, "rise": rise, "pushes": []}


def a_proof() -> list[dict]:
    gained = {"permuted-followups": figure(0.02), "swapped": figure(-0.01), "no-training": None, "sft": figure(0.1)}
    return [
        result for seed in (1, 2, 3) for result in (a_run(seed), *(a_control(seed, *row) for row in gained.items()))
    ]


def missed(results: list[dict]) -> list[tuple[int | None, str]]:
    return [(demand.seed, demand.name) for demand in demands(results) if not demand.met]


def test_a_proof_that_shows_everything_misses_nothing():
    assert missed(a_proof()) == []


def slower(run: dict) -> None:
    run["seconds"] = 481.0


def fatter(run: dict) -> None:
    run["peak_mb"] = 6_001


def flat(run: dict) -> None:
    run["rounds"][3]["paired_gain"] = figure(0.01)


def forgetful(run: dict) -> None:
    run["rounds"][1]["facts"] = 0.945


def low(run: dict) -> None:
    run["rise"] = figure(0.19, 0.01)


def wide(run: dict) -> None:
    run["rise"] = figure(0.22, 0.08)


def unlearnt(run: dict) -> None:
    run["rise"] = None


def promoted_in_silence(run: dict) -> None:
    run["pushes"][1]["action"] = "promoted"


def held_out(run: dict) -> None:
    run["pushes"][0]["holdout_exposed"] = 1


def no_push(run: dict) -> None:
    run["pushes"].pop()


def losing(run: dict) -> None:
    run["parity"]["lost"] = 1


def doubling(run: dict) -> None:
    run["parity"]["duplicated"] = 1


def idle(run: dict) -> None:
    run["parity"]["acknowledged"] = 4_999


def shorter(run: dict) -> None:
    run["rounds"].pop()


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (slower, "seconds"),
        (fatter, "memory, MB"),
        (flat, "round 3 rises"),
        (forgetful, "round 1 facts"),
        (low, "rise"),
        (wide, "rise"),
        (promoted_in_silence, "push silent"),
        (held_out, "push style: held-out people exposed"),
        (no_push, "push harmless"),
        (losing, "lost"),
        (doubling, "duplicated"),
        (idle, "acknowledged"),
        (shorter, "rounds"),
    ],
)
def test_one_figure_on_the_wrong_side_is_told_with_its_seed(spoil, name):
    results = a_proof()
    spoil(results[5])
    assert missed(results) == [(2, name)]


def test_a_refused_round_is_legal_and_its_facts_reach_nobody():
    results = a_proof()
    results[0]["rounds"][2] |= {"promoted": False, "facts": 0.5}
    assert missed(results) == []


def test_where_nothing_was_learnt_an_empty_control_may_gain_nothing_either():
    results = a_proof()
    unlearnt(results[0])
    assert missed(results) == [(1, "rise"), (1, "permuted-followups")]


@pytest.mark.parametrize("gain", [0.041, 0.5])
def test_a_control_that_learns_is_told(gain):
    results = a_proof()
    results[1]["rise"] = figure(gain)
    assert missed(results) == [(1, "permuted-followups")]


def test_a_control_may_gain_a_fifth_of_the_run_at_most():
    results = a_proof()
    results[0]["rise"], results[2]["rise"] = figure(0.2, 0.01), figure(0.039)
    assert missed(results) == []
    results[2]["rise"] = figure(0.0401)
    assert missed(results) == [(1, "swapped")]


def test_what_was_not_run_is_not_met():
    results = a_proof()
    assert missed(results[:10]) == [(None, "seeds")]
    assert missed(results[1:]) == [(1, "run")]
    assert missed([r for r in results if (r["seed"], r["control"]) != (3, "sft")]) == [(3, "sft")]


def test_a_push_that_was_never_made_is_not_met_and_nothing_breaks():
    """As a run without a promoted round writes it, and as older runs did, which left the counts out."""
    results = a_proof()
    held = {"kind": "style", "verdict": "unmeasured", "action": "held", "reasons": ["no_version"]}
    results[0]["pushes"][0] = held | {"judged": 0, "exposed_users": 0, "holdout_exposed": 0}
    assert missed(results) == [(1, "push style")]
    results[0]["pushes"][0] = held
    assert missed(results) == [(1, "push style"), (1, "push style: held-out people exposed")]


def test_what_was_promoted_undecided_is_told_as_not_worse():
    found = {demand.name: demand.found for demand in demands(a_proof())}
    assert found["push harmless"] == "not worse (margin shown), promoted"
    assert found["push silent"] == "inconclusive, rolled back"


@pytest.mark.parametrize("control", ["unwished", "permuted-within-kind"])
def test_a_control_that_is_shown_beside_is_told_where_it_was_run_and_missed_nowhere(control):
    results = a_proof()
    assert control not in {demand.name for demand in demands(results)}
    results.append(a_control(1, control, figure(0.15)))
    (told,) = [demand for demand in demands(results) if demand.name == control]
    assert (told.seed, told.found, told.met) == (1, "15.0 [13.5, 16.5]", True)


def test_the_command_tells_by_its_exit(tmp_path, capsys):
    good, bad = a_proof(), copy.deepcopy(a_proof())
    slower(bad[0])
    for name, results, code, last in (("good", good, 0, None), ("bad", bad, 1, "NOT MET")):
        files = []
        for number, result in enumerate(results):
            files.append(tmp_path / f"{name}-{number}.json")
            files[-1].write_text(json.dumps(result))
        assert main([str(file) for file in files]) == code
        out = capsys.readouterr().out
        assert ("NOT MET" in out) == (last is not None)
