"""signals/recalibration: a deployment's own probabilities and thresholds, and that the version says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rejoinder.core.errors import BadFile
from rejoinder.signals.recalibration import Recalibration, read_recalibration

P = np.array([0.5, 0.3, 0.2])
OWN = Recalibration(model="sat@1", temperature=2.0, shift=(0.1, 0.0, -0.2), least_dsat=0.6, least_sat=0.7, labelled=90)


def test_none_changes_nothing_and_is_no_other_version() -> None:
    assert Recalibration().apply(P) is P
    assert Recalibration().said(P) == 0
    assert Recalibration().version == ""


def test_temperature_and_shift_act_on_log_probabilities() -> None:
    by_hand = np.exp(np.log(P) / 2 + np.array([0.1, 0.0, -0.2]))
    assert OWN.apply(np.stack([P, P])) == pytest.approx(np.stack([by_hand / by_hand.sum()] * 2))
    assert np.isfinite(OWN.apply(np.array([0.0, 0.0, 1.0]))).all()


@pytest.mark.parametrize(("p", "said"), [((0.59, 0.41, 0.0), 1), ((0.6, 0.4, 0.0), 0), ((0, 0.31, 0.69), 1)])
def test_a_pole_below_its_least_probability_is_not_said(p: tuple[float, ...], said: int) -> None:
    assert OWN.said(np.array(p)) == said


def test_every_value_is_part_of_the_version() -> None:
    changed = [replace(OWN, least_sat=0.8), replace(OWN, shift=(0.1, 0.0, -0.3)), replace(OWN, labelled=91)]
    assert len({OWN.version, *(other.version for other in changed)}) == 4


def test_a_file_is_read_for_its_own_model_alone(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(OWN.to_json())
    assert read_recalibration(path, "sat@1") == OWN
    with pytest.raises(BadFile, match="is for sat@1, this is sat@2"):
        read_recalibration(path, "sat@2")


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": "1"},
        {"shift": [0.0, 1.0]},
        {"shift": [0.0, 0.0, float("inf")]},
        {"least_sat": 1.5},
        {"least_dsat": float("nan")},
        {"leastsat": 0.5},
    ],
)
def test_a_value_that_cannot_be_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({**json.loads(OWN.to_json()), **change}))
    with pytest.raises(BadFile, match="is no calibration"):
        read_recalibration(path, "sat@1")


@pytest.mark.parametrize("data", ["", "[]", "3", "{"])
def test_what_is_no_file_of_ours_is_refused(data: str, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(data)
    with pytest.raises(BadFile):
        read_recalibration(path, "sat@1")
    with pytest.raises(BadFile, match="cannot read"):
        read_recalibration(tmp_path / "missing.json", "sat@1")
