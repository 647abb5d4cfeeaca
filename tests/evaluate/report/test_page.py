"""The page shows what the report says, says what is missing, executes nobody's name and asks nobody for anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from rejoinder.evaluate.report import page
from rejoinder.evaluate.report.rounds import round_of
from rejoinder.plots.document import POLICY

from tests.evaluate.report import reports

SVG = "{http://www.w3.org/2000/svg}"


def parsed(html: str) -> ElementTree.Element:
    """The page is XML as well as HTML."""
    return ElementTree.fromstring(html)


def table(root: ElementTree.Element, caption: str) -> list[list[ElementTree.Element]]:
    (found,) = (t for t in root.iter("table") if "".join(t.find("caption").itertext()) == caption)
    return [list(row) for row in found.find("tbody")]


def values(cell: ElementTree.Element) -> list[float]:
    """The numbers of a cell as they are, not as they are written."""
    return [float(data.get("value")) for data in cell.iter("data")]


def words(root: ElementTree.Element) -> str:
    return " ".join(root.find("body").itertext())


def test_every_measure_of_every_gate_stands_in_the_table_as_it_was_measured() -> None:
    given = reports.report()
    rows = table(parsed(page(given)), "Every measure of every gate")
    wanted = [(row["number"], m) for row in given["rounds"] for m in row["measures"]]
    assert len(rows) == len(wanted) == 8
    for row, (number, m) in zip(rows, wanted, strict=True):
        assert (values(row[0]), row[1].text) == ([number], m["name"])
        assert m["outcome"] in "".join(row[2].itertext())
        assert values(row[3]) == [v for v in (m["value"], m["low"], m["high"]) if v is not None]
        assert values(row[4]) == [m["threshold"]]
        assert values(row[5]) == [m["n"]]


def test_satisfaction_reasons_pairs_and_rewards_are_the_reports() -> None:
    given = reports.report()
    root = parsed(page(given))
    versions = given["satisfaction"]["versions"]
    for row, version in zip(table(root, "Satisfaction by version"), versions, strict=True):
        whole = version["whole"]
        assert [v for cell in row[1:6] for v in values(cell)] == [
            *(whole[name] for name in ("satisfaction", "low", "high", "users", "interactions", "replied"))
        ]
    assert len(table(root, "Satisfaction over time")) == 6
    reasons = {row[0].text: [v for cell in row[1:] for v in values(cell)] for row in table(root, "Answers by reason")}
    assert reasons == {"style": [31, 31], "factual_error": [12, 12], "dissatisfied answers": [80, 80]}
    pairs = {
        row[1].text: [v for c in row[2:] for v in values(c)] for row in table(root, "Pairs by builder, drops by cause")
    }
    assert pairs["built"] == [30, 60]
    assert pairs["dropped: near_duplicate"] == [7, 7]
    rewards = table(root, "Reward and satisfaction by round")
    assert [v for cell in rewards[0] for v in values(cell)] == pytest.approx(
        [1, 0.06, 0.01, 0.11, 0.8, 0.53, 0.48, 0.58, 0.59, 0.54, 0.64, 0.52, 0.48, 0.56, 100]
    )
    assert {row[2].text for row in rewards} == {"unmeasured"}
    assert rewards[1][7].text == "unmeasured", "nobody was served the refused one"


def test_what_no_head_judged_is_said_to_be_unmeasured_with_its_reason() -> None:
    given = reports.report()
    assert "gate head's reward unmeasured" not in words(parsed(page(given))).replace("  ", " ")
    for row in given["rounds"]:
        row["measures"] = [m for m in row["measures"] if m["name"] != "win_rate"]
    assert "gate has no measure win_rate" in words(parsed(page(given)))
    for number, row in enumerate(given["rounds"][:2], 1):
        row["measures"] = round_of(0, 0.0, {"stages": reports.stages(number, judged=False)}, False)["measures"]
    root = parsed(page(given))
    assert "judge: gate.head names no head." in words(root)
    assert {row[5].text for row in table(root, "Reward and satisfaction by round")} == {"unmeasured"}


def test_a_folder_without_anything_is_told_what_makes_it() -> None:
    root = parsed(page(reports.empty()))
    told = words(root)
    commands = {code.text for code in root.iter("code")}
    assert "No round of assist has begun." in told
    assert "other (--policy)" in told
    assert {"rejoinder import FILE", "rejoinder round run --policy assist", "rejoinder round plan"} <= commands
    assert any("signals audit" in command for command in commands)
    assert not list(root.iter(f"{SVG}svg"))


def markup(html: str) -> Iterator[tuple[str, str, str]]:
    for element in parsed(html).iter():
        for name, value in element.attrib.items():
            yield element.tag, name, value


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '" onload="alert(1)', "]]>\x00\ud800&lt;", "x" * 400])
def test_a_hostile_name_is_text_wherever_it_stands(name: str) -> None:
    html = page(reports.named(reports.report(), name))
    root = parsed(html)
    assert not [element.tag for element in root.iter() if element.tag.rpartition("}")[2] in ("script", "img", "iframe")]
    assert not [name for _, name, _ in markup(html) if name.startswith("on") or name in ("style", "src", "href")]
    shown = name.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert shown in words(root)
    html.encode("utf-8")


def test_nothing_is_asked_for_and_every_picture_has_its_words() -> None:
    html = page(reports.report())
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", html)
    root = parsed(html)
    assert POLICY in {meta.get("content") for meta in root.iter("meta")}
    pictures = [svg for svg in root.iter(f"{SVG}svg") if svg.get("role") == "img"]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert len(pictures) >= 10
    for picture in pictures:
        title, desc = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
        assert title.text
        assert len(desc.text or "") > 10
        assert picture.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"


def test_a_change_of_one_figure_changes_the_page() -> None:
    given: dict[str, Any] = reports.report()
    before = page(given)
    given["rounds"][0]["measures"][0]["value"] = 0.0312
    assert page(given) != before
