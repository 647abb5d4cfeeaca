"""evaluate/preference_logic: formula to loss and back, and that claimed relations hold on numbers."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from rejoinder.evaluate.preference_logic import CORES, MADE_OF, decompile, loss, relate, structure, weighed
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.views import PairLogps

DRAWS = np.random.default_rng(54).uniform(0.01, 0.99, size=(500, 4))

#: The losses as people write them: numerator and denominator of the odds.
WRITTEN = {
    "sft": (lambda w, l, rw, rl: w, lambda w, l, rw, rl: 1 - w),
    "unlikelihood": (lambda w, l, rw, rl: w * (1 - l), lambda w, l, rw, rl: 1 - w * (1 - l)),
    "orpo": (lambda w, l, rw, rl: w * (1 - l), lambda w, l, rw, rl: l * (1 - w)),
    "cpo": (lambda w, l, rw, rl: w, lambda w, l, rw, rl: l),
    "dpo": (lambda w, l, rw, rl: w * rl, lambda w, l, rw, rl: l * rw),
    "implication": (lambda w, l, rw, rl: 1 - l * (1 - w), lambda w, l, rw, rl: l * (1 - w)),
}


def view(w: np.ndarray, l: np.ndarray, rw: np.ndarray, rl: np.ndarray) -> PairLogps:
    columns = [torch.from_numpy(np.log(p))[:, None] for p in (w, l, rw, rl)]
    mask, one = torch.ones(len(w), 1, dtype=torch.bool), torch.ones(len(w), dtype=torch.float64)
    return PairLogps(columns[0], columns[1], mask, mask, columns[2], columns[3], one, one, one)


@pytest.mark.parametrize("name", CORES)
def test_a_loss_as_it_is_written_and_its_formula_are_each_others(name: str) -> None:
    top, bottom = WRITTEN[name]
    assert decompile(top, bottom) == CORES[name]
    for draw in DRAWS:
        assert math.isclose(loss(CORES[name], draw), math.log1p(bottom(*draw) / top(*draw)), rel_tol=1e-9)


@pytest.mark.parametrize(("name", "params"), [("dpo", {"beta": 1.0}), ("sft", {}), ("orpo", {"weight": 1.0})])
def test_a_row_of_the_table_is_its_core(name: str, params: dict[str, float]) -> None:
    """At one token a response and beta = 1; ORPO's row adds the likelihood."""
    row = OBJECTIVES[name]
    found = row.make(view(*DRAWS.T), row.with_params(params)).per_example.numpy()
    if name == "orpo":
        found = found + np.log(DRAWS[:, 0])
    np.testing.assert_allclose(found, [loss(CORES[MADE_OF[name][0]], d) for d in DRAWS], rtol=1e-9)


def test_a_length_or_a_margin_is_no_formula() -> None:
    with pytest.raises(ValueError, match="corner"):
        decompile(lambda w, l, rw, rl: 2 * w, lambda w, l, rw, rl: l)


def test_every_claimed_relation_holds_on_numbers_and_every_denied_one_has_witnesses() -> None:
    seen = set()
    losses = {name: np.array([loss(core, d) for d in DRAWS]) for name, core in CORES.items()}
    for first, second in permutations(CORES, 2):
        relation = relate(CORES[first], CORES[second])
        gaps = losses[first] - losses[second]
        seen.add(relation)
        if relation == "entails":
            assert (gaps >= -1e-12).all(), (first, second)
        elif relation == "incomparable":
            assert (gaps > 1e-9).any(), (first, second)
            assert (gaps < -1e-9).any(), (first, second)
    assert seen == {"entails", "entailed", "incomparable"}


def test_the_order_of_the_cores_is_the_one_of_algebra() -> None:
    assert relate(CORES["unlikelihood"], CORES["sft"]) == "entails"
    assert relate(CORES["sft"], CORES["implication"]) == "entails"
    assert relate(CORES["unlikelihood"], CORES["orpo"]) == "entails"
    assert relate(CORES["orpo"], CORES["implication"]) == "entails"
    assert relate(CORES["orpo"], CORES["cpo"]) == "incomparable"
    assert relate(structure(lambda w, l, rw, rl: not l or w), CORES["implication"]) == "equivalent"


def test_a_loss_that_nobody_wrote_down_is_made_of_a_formula_and_learns() -> None:
    """`implication`: never the rejected without the chosen. Its gradient lowers that world's weight."""
    logits = torch.tensor([-1.0, 1.0], dtype=torch.float64, requires_grad=True)
    made = CORES["implication"]
    for _ in range(200):
        p = (*logits.sigmoid(), 0.5, 0.5)
        step = torch.log1p(weighed(made.bottom, p) / weighed(made.top, p))
        (gradient,) = torch.autograd.grad(step, logits)
        logits = (logits - gradient).detach().requires_grad_()
    w, l = logits.sigmoid().tolist()
    assert l * (1 - w) < 0.01
    assert w > 0.5 > l


def test_what_the_objectives_are_made_of_names_rows_and_cores_that_there_are() -> None:
    assert set(MADE_OF) == set(OBJECTIVES) - {"kto"}
    assert {core for core, _ in MADE_OF.values()} <= set(CORES)
