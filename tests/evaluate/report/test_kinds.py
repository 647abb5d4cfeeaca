"""Other commands' reports are known by their fields and drawn; another is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.types import Message, Role
from rejoinder.evaluate.bias_probes import probe_report
from rejoinder.evaluate.factor_scores import factor_report
from rejoinder.evaluate.judged import JudgedPair
from rejoinder.evaluate.ranking_accuracy import rank_report
from rejoinder.evaluate.report import page
from rejoinder.evaluate.report.kinds import KINDS, load

from tests.evaluate.report import reports
from tests.evaluate.report.test_page import parsed, table, values


def ranked() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    rows = [
        {
            "id": f"p{i}",
            "group": f"u{i % 6}",
            "chosen_logp": float(rng.normal(-9, 3)),
            "rejected_logp": -9.0,
            "chosen_tokens": 4,
            "rejected_tokens": 5,
            "share": 0.7,
        }
        for i in range(24)
    ]
    after = [{**row, "chosen_logp": row["chosen_logp"] + 1} for row in rows]
    return rank_report(rows, after, generator=rng, beta=0.1)


class Longer:
    """A judge that likes what is longer."""

    def prefers(self, asked: Any) -> Any:
        return np.array([float(len(a.first) - len(a.second)) for a in asked])


def probed() -> dict[str, Any]:
    prompt = (Message(Role.USER, "secret words"),)
    pairs = [JudgedPair(f"p{i}", f"u{i % 5}", prompt, "good answer", "bad") for i in range(20)]
    return {**probe_report(Longer(), pairs), "both_orders": True, "missed": {}}


def factored() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    differing = rng.normal(size=(120, 3))
    differing[:, 2] = 0.0
    choices = {"people": np.sign(differing[:, 0]), "head": np.sign(rng.normal(size=120))}
    groups = [f"u{i % 30}" for i in range(120)]
    names = ("length", "markup", "absent")
    return factor_report(differing, choices, groups, generator=rng, names=names, draws=100)


def saved(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_each_commands_report_is_known_and_drawn_with_its_figures(tmp_path: Path) -> None:
    made = {"ranking": ranked(), "factors": factored(), "probes": probed()}
    made["arms"] = {"trained_on": 30, "measured_on": 24, "arms": {"sft": made["ranking"]}}
    assert made.keys() == KINDS.keys()
    found = [load(saved(tmp_path / f"{kind}.json", value)) for kind, value in made.items()]
    assert [each["kind"] for each in found] == list(made)
    for kind, each in zip(made, found, strict=True):
        html = page(reports.report(measures=[each]))
        assert f"{kind}.json: {kind}" in html
        assert "secret" not in html
    root = parsed(page(reports.report(measures=found[1:3])))
    rows = {row[0].text: row for row in table(root, "Preferred, tau-b [95 %]")}
    score = made["factors"]["scores"]["people"]["length"]
    assert values(rows["length"][1]) == [score["value"], score["low"], score["high"]]
    assert rows["absent"][1].text == "–"
    bias = {row[0].text: row for row in table(root, "Probes [95 %]")}["bandwagon"]
    assert values(bias[3]) == [made["probes"]["probes"]["bandwagon"]["bias"][n] for n in ("value", "low", "high")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"preferences": [], "gap": 1}', "x.json is of no kind that the page draws .*it has gap, preferences"),
        ("[]", "of no kind"),
        ('{"probes": {}, "rows": 3}', "of no kind"),
        ("{", "is no JSON"),
        ("[" * 9000, "is no JSON"),
        ('{"summed": 1, "per_token": {}, "by_difficulty": []}', "x.json: summed must be an object"),
        ('{"probes": {"a": {"p": "<i>"}}, "ties": 0, "unanswered": 0}', "x.json: probes.a.p must be a number"),
        ('{"scores": {}, "gaps": [3], "left_out": 0}', r"x.json: gaps\[0\] must be an object"),
        ('{"scores": {"a": {"f": {"value": NaN}}}, "gaps": [], "left_out": 0}', "scores.a.f.value must be a finite"),
    ],
)
def test_another_file_is_refused_by_name_and_field(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadFile, match=words):
        load(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"cannot read none\.json"):
        load(tmp_path / "none.json")
