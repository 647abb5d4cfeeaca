"""The gate's measures: `measure(inputs, params, rng) → Measured`. Prompts and seeds are common to both versions."""

from __future__ import annotations

from rejoinder.core.table import Row, Table
from rejoinder.evaluate.measures import divergence, drift, length, norms, pair_accuracy, parity, probes, win_rate

MEASURES = Table(
    "measure",
    Row(
        "pair_accuracy",
        pair_accuracy.measure,
        pair_accuracy.Params,
        paper="2405.19534",
        claim="on pairs of users never trained on, the candidate ranks the preferred answer first no less often",
    ),
    Row(
        "win_rate",
        win_rate.measure,
        win_rate.Params,
        claim="a reward head that scored none of the pairs prefers the candidate's answers of equal length",
    ),
    Row("length", length.measure, length.Params, claim="answers do not grow beyond the allowed factor (F03)"),
    Row("kl", divergence.measure, divergence.Params, claim="the candidate stays near the original (F04)"),
    Row("parity", parity.measure, parity.Params, claim="what is served is what was trained (F12, F20)"),
    Row("norms", norms.measure, norms.Params, paper="2408.16984", claim="the charter is not broken more often (F01)"),
    Row(
        "drift",
        drift.measure,
        drift.Params,
        paper="2510.26707",
        claim="stances on guarded topics do not move unasked",
    ),
    Row("probes", probes.measure, probes.Params, claim="stated checks of answers do not get worse (F01)"),
)
