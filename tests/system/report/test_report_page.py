"""The page about one's own rounds in a real browser: nothing is refused, cut off or written over something else.

Pictures go to reports/report.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.evaluate.report import page
from rejoinder.evaluate.report.kinds import load

from tests.evaluate.report import reports
from tests.evaluate.report.test_kinds import factored, probed, ranked, saved
from tests.system.console.browser import Browser, program

pytestmark = [
    pytest.mark.system,
    pytest.mark.proof,
    pytest.mark.skipif(program() is None, reason="no Chromium: sudo apt-get install -y chromium"),
]

PICTURES = Path(__file__).parents[3] / "reports" / "report"
#: Words of one picture that lie on each other, or leave it.
_CLASHES = """[...document.querySelectorAll('svg[role=img]')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  const all = [...svg.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect()]);
  const out = all.filter(([, r]) => r.left < box.left - 1 || r.right > box.right + 1).map(([words]) => words);
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  all.forEach(([words, r], i) => all.slice(i + 1).forEach(
    ([other, o]) => meet(r, o) && out.push(words + ' on ' + other)));
  return out;
})"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "browser")
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (400, False)])
def test_the_page_is_whole_and_readable(tmp_path: Path, browser: Browser, width: int, dark: bool) -> None:
    made = {"ranking": ranked(), "factors": factored(), "probes": probed()}
    found = [load(saved(tmp_path / f"{kind}.json", value)) for kind, value in made.items()]
    file = tmp_path / "report.html"
    file.write_text(page(reports.report(measures=found)), "utf-8")
    browser.tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.dark(dark)
    browser.go(file.as_uri())
    browser.picture(PICTURES / f"{width}{'-dark' if dark else ''}.png")
    assert browser.errors == [], "what the page's own policy kept it from"
    assert browser.run("getComputedStyle(document.body).margin") == "0px", "its style counts under that policy"
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(_CLASHES) == []
    images = [name for role, name in browser.named() if role in ("image", "img")]
    assert len(images) >= 12
    assert all(images)
