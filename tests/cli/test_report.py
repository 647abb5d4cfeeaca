"""cli/report: from a ledger and a registry to the page, and what a person may do wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.main import main
from rejoinder.core import types
from rejoinder.registry.claims import claim_round, close_round, publish_stage
from rejoinder.registry.store import FolderStore
from rejoinder.signals.audit.sheet import Design, Read, Turn, write

from tests.evaluate.report.reports import stages
from tests.evaluate.report.test_page import parsed, table, values
from tests.ledger.conftest import Bench

HOSTILE = "<script>alert(1)</script>"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "report", *map(str, arguments)])
    return int(end.value.code or 0)


@pytest.fixture
def registry(tmp_path: Path) -> FolderStore:
    """Two closed rounds, one abandoned, one open."""
    store = FolderStore(tmp_path / "registry")
    for number, outcome in enumerate(("published", "refused"), 1):
        claim = claim_round(store, "assist", "loop", float(number))
        keys = {name: f"{name}{number}" for name in stages(number)}
        for name, output in stages(number).items():
            publish_stage(store, keys[name], output)
        facts = {"version": HOSTILE if number == 1 else "r2", "reasons": [f"because {HOSTILE}"], "stages": keys}
        close_round(store, claim, outcome, number + 60.0, facts)
    close_round(store, claim_round(store, "assist", "loop", 3.0), "abandoned", 4.0)
    claim_round(store, "assist", "loop", 5.0)
    return store


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A satisfied and a dissatisfied user, whose words are in it."""
    bench = Bench(tmp_path / "ledger")
    (tmp_path / "ledger").mkdir()
    made = bench.ledger()
    events: list[Any] = []
    for name, polarity in (("x", "SAT"), ("y", "DSAT")):
        reasons = (types.Reason("style", 0.9),) if polarity == "DSAT" else ()
        events.append(bench.answer(name, version=HOSTILE, user_id=name))
        events.append(bench.said(f"f-{name}", name, user_id=name))
        events.append(bench.signal(f"f-{name}", name, polarity, user_id=name, reasons=reasons))
    made.project(bench.of(*events))
    where = made.store.where
    bench.close()
    assert isinstance(where, Path)
    return where


def files(folder: Path) -> dict[str, bytes]:
    """Of the registry; a SQLite file's helpers come and go with its readers."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_page_holds_what_registry_and_ledger_say_and_changes_nothing(
    tmp_path: Path, registry: FolderStore, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = files(registry.root), tmp_path / "deep" / "page.html"
    given = ("--store", ledger, "--tenant", "t", "--registry", registry.root, "--out", out)
    assert run(*given, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert files(registry.root) == before
    assert [row["outcome"] for row in told["rounds"]] == ["published", "refused", "abandoned", "open"]
    (version,) = told["satisfaction"]["versions"]
    assert (version["whole"]["group"], version["whole"]["satisfaction"], version["reasons"]) == (
        HOSTILE,
        0.5,
        {"style": 1},
    )
    html = out.read_text("utf-8")
    root = parsed(html)
    assert "<script" not in html
    assert HOSTILE in " ".join(root.itertext())
    assert not any(words in html for words in ("question x", "answer x", "Celsius"))
    (row,) = table(root, "Satisfaction by version")
    assert (values(row[1]), values(row[3])) == ([0.5], [2.0])
    gate = table(root, "Every measure of every gate")
    assert [values(r[3])[:1] for r in gate if r[1].text == "kl"] == [
        [m["value"]] for r in told["rounds"] for m in r["measures"] if m["name"] == "kl"
    ]
    assert list(out.parent.iterdir()) == [out]


def test_labels_of_an_audit_become_the_reliability_diagram(
    tmp_path: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "audit.csv"
    read = {f"t{i}": Read("DSAT" if i % 2 else "SAT", (0.1, 0.1, 0.8), 0.5 + i / 100) for i in range(40)}
    turns = [Turn(name, "secret question", "secret answer", "secret reply") for name in read]
    write(
        sheet,
        turns,
        Design("minilm", "minilm-1", "m", 0, {"DSAT": 50, "none": 9, "SAT": 90, "unknown_language": 0}, read),
    )
    rows = list(csv.DictReader(sheet.read_text("utf-8-sig").splitlines()))
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "label": "SAT"} for row in rows)
    out = tmp_path / "page.html"
    assert run("--store", ledger, "--registry", tmp_path / "none", "--audit", sheet, "--out", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)["calibration"]
    assert (found["labels"], sum(b["n"] for b in found["bins"])) == (40, 40)
    assert "secret" not in out.read_text("utf-8")
    bins = table(parsed(out.read_text("utf-8")), "Bins")
    assert [values(row[1]) for row in bins] == [[b["value"]] for b in found["bins"]]


def test_a_folder_without_rounds_makes_a_page_that_says_so(tmp_path: Path, ledger: Path) -> None:
    out = tmp_path / "page.html"
    assert run("--store", ledger, "--registry", tmp_path / "none", "--out", out) == 0
    told = " ".join(parsed(out.read_text("utf-8")).itertext())
    assert "No round of assist has begun." in told
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_read_is_one_line_and_leaves_no_page(
    tmp_path: Path, registry: FolderStore, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    given = ("--store", ledger, "--registry", registry.root, "--out", out)

    def refused(*arguments: object) -> str:
        capsys.readouterr()
        assert run(*arguments) == 2
        assert not out.exists()
        return capsys.readouterr().err

    assert "no data folder yet" in refused("--data", tmp_path / "nowhere", "--out", out)
    other = tmp_path / "later.json"
    other.write_text('{"kind": "toxicity", "rows": []}')
    assert "later.json is of no kind that the page draws" in refused(*given, other)
    gate = registry.root / "stages" / "gate2.json"
    gate.write_text(gate.read_text().replace('"value": 0.12', '"value": "<b>much</b>"'))
    assert "round 2: stages.gate.measures[2].value must be a number" in refused(*given)
    gate.write_text("{")
    assert "round 2 cannot be read from the registry" in refused(*given)
    (registry.root / "rounds" / "assist" / "000001" / "claim.json").write_text("[]")
    assert "claims cannot be read" in refused(*given)
