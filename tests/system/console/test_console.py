"""A person at a real browser: chats, gives a thumb, says more, and sees it in the console; corrects a label, which the
next round goes by; signs a rollout, which then goes on. Pictures of every page go to reports/console.

What the policy answers is random, so nothing here goes by it; what is read in the replies is the shipped extractor's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rejoinder.cli.loop import Wanted, round_of
from rejoinder.registry import datasets
from rejoinder.rounds import recipe
from rejoinder.rounds.runner import Round

from tests.chaos.harness import wait_until
from tests.system.console.browser import Browser, program
from tests.system.console.world import CANARY, POLICY, World

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(program() is None, reason="no Chromium: sudo apt-get install -y chromium"),
]

PICTURES = Path(__file__).parents[3] / "reports" / "console"
COMPLAINT = "No, that is wrong. I asked for Celsius, and you did not answer my question."
#: Ends behind its pairs: nobody is trained here.
PAIRS_ALONE = {
    "name": "pairs",
    "builders": [{"row": "wildfeedback", "params": {"max_tokens": 16, "candidates": 3}}],
    "guards": {"support_floor": -99.0, "min_length_ratio": 0.0},
    "train": {"min_pairs": 1000},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("console"))
    try:
        made.people(60)
        made.wait_read(60)
        with made.chatting():
            yield made
    finally:
        made.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "browser")
    try:
        yield made
        assert made.errors == [], "what the browser complained about, the policy's refusals among it"
    finally:
        made.close()


def within(browser: Browser, url: str, words: str, seconds: float) -> float:
    """Loads a page until it shows the words; how long it took."""
    began = time.monotonic()
    while True:
        browser.go(url)
        took = time.monotonic() - began
        if words in browser.text():
            return took
        assert took < seconds, f"{words!r} was not there within {seconds} s: {browser.text()}"


def round_now(world: World, folder: Path) -> list[datasets.Preference]:
    """The pairs that a round makes of what is known now; it is refused behind them, as there are too few."""
    chosen = recipe.of(PAIRS_ALONE)
    base = folder / "nobody-trains"
    base.mkdir(exist_ok=True)
    (base / "none").write_text("")
    wanted = Wanted(POLICY, base=base, base_export=base)
    with round_of(world.data, wanted, {"policy": world.at["policy"]}, lambda stage, how: None, run=_nobody) as made:
        report = Round(made[0], chosen, made[1]).run()
    assert report.outcome == "refused"
    folder = world.data / "rounds" / POLICY / f"{report.number:06d}"
    return [pair for found in sorted(folder.glob("*-*/rows.jsonl")) for pair in datasets.read(found.parent)]


def _nobody(arguments: object) -> dict[str, object]:
    raise AssertionError("no stage of training is run here")


def test_what_a_page_s_user_does_is_in_the_console_within_five_seconds(world: World, browser: Browser) -> None:
    browser.go(world.chat)
    browser.type("#text", "How hot is it in Bern today?")
    browser.press("Enter")
    browser.wait("#turns .assistant .thumbs button", "Good answer")
    browser.click("#turns .assistant .thumbs button")
    browser.wait("#state", "Thank you.")
    thumbed = within(browser, f"{world.url}/answers?says=all", "rated 1 on a scale of 0 to 1", 5.0)
    browser.go(world.chat)
    browser.type("#text", "How warm is the Aare?")
    browser.press("Enter")
    browser.wait("#turns .assistant .thumbs button", "Bad answer")
    browser.type("#text", COMPLAINT)
    browser.press("Enter")
    browser.wait("#turns .assistant:nth-of-type(4) .thumbs")
    browser.picture(PICTURES / "chat.png")
    said = within(browser, f"{world.url}/answers?says=dsat", "How warm is the Aare?", 5.0)
    print(f"thumb in the console after {thumbed:.2f} s, follow-up with its reading after {said:.2f} s")
    marks = browser.run("[...document.querySelectorAll('article:first-of-type mark')].map(e => e.innerText)")
    assert marks, "the evidence is marked"
    assert all(mark.split("\n")[0].rsplit(" ", 2)[0][:12] in COMPLAINT for mark in marks)
    browser.picture(PICTURES / "answers.png", whole=False)


def test_a_corrected_label_changes_the_pairs_of_the_next_round(world: World, browser: Browser, tmp_path: Path) -> None:
    before = {pair.provenance.interaction_ids[0] for pair in round_now(world, tmp_path)}
    assert before, "people were displeased, and rounds learn from it"
    read_as_fine = next(said for said in world.people(6, seed=2) if said.reply.startswith("ok"))
    displeased = next(said for said in world.people(6, seed=3) if said.reply.startswith("This is far"))
    world.wait_read(72)
    browser.go(f"{world.url}/answers/{displeased.interaction_id}")
    browser.click("details.correct summary")
    browser.picture(PICTURES / "label.png")
    browser.click("input[value=none]")
    browser.click("details.correct button", leads=True)
    assert "speaks for this reaction now" in browser.text()
    assert "human (local)" in browser.text()
    browser.go(f"{world.url}/answers/{read_as_fine.interaction_id}")
    # With keys alone this time: tabs, arrows and blanks, as somebody without a mouse.
    browser.run("document.querySelector('details.correct summary').focus()")
    browser.press("Enter")
    browser.press("Tab")
    browser.press("Space")
    browser.run("document.querySelector('input[value=negative_feedback]').focus()")
    browser.press("Space")
    browser.type("input[name=words]", "OK")
    browser.press("Enter", leads=True)
    assert "speaks for this reaction now" in browser.text()
    assert browser.run("document.querySelector('article.this mark').innerText").startswith("ok")
    pairs = round_now(world, tmp_path)
    learnt = {pair.provenance.interaction_ids[0]: pair for pair in pairs}
    assert displeased.interaction_id not in learnt, "a person said that it says nothing"
    assert read_as_fine.interaction_id in learnt, "a person said that it is displeased"
    assert learnt[read_as_fine.interaction_id].provenance.judge.startswith("local/")
    others = {name for name in learnt if name.startswith("i-3-")}
    assert others, "what nobody corrected is as the extractor read it"


def test_a_pair_is_rejected_and_shown_so(world: World, browser: Browser) -> None:
    browser.go(f"{world.url}/pairs")
    browser.wait("article.pair h2", "Chosen")
    browser.click("article.pair button.danger", leads=True)
    assert "later rounds go by it" in browser.text()
    assert "rejected by local" in browser.text("article.pair")
    browser.picture(PICTURES / "pairs.png", whole=False)
    browser.go(f"{world.url}/rounds/2")
    assert "built.wildfeedback" in browser.text()
    browser.picture(PICTURES / "round.png")


def test_a_signature_releases_a_rollout(world: World, browser: Browser) -> None:
    version = world.publish()
    plan = {
        "steps": [{"weight": 0.5, "duration_s": 1.0, "deadline_s": 600.0}],
        "approval": "canary",
        "maturity_s": 1.0,
        "min_units": 2,
        "lease_ttl_s": 60.0,
    }
    with world.rollouts as engine:
        engine.start(POLICY, version, json.dumps(plan))
        wait_until(lambda: engine.get(POLICY).held == "approval", "the wait for a signature")
        browser.go(f"{world.url}/rollout")
        browser.wait(".decision button.main", f"Approve {CANARY}")
        browser.picture(PICTURES / "signature.png")
        browser.click(".decision button.main", leads=True)
        assert "Signed" in browser.text()
        wait_until(lambda: engine.get(POLICY).phase == "canary", "the canary")
        # The page follows by itself: nobody loads it again.
        browser.wait("#live dd", "50.0 %")
        for batch in range(2):
            world.people(24, seed=10 + batch, canary=CANARY, share=2)
            judged = 9 * (batch + 1)
            wait_until(lambda judged=judged: engine.get(POLICY).judged_canary >= judged, "judged people")
        trail = engine.trail(POLICY)
        assert trail[-1].high - trail[-1].low < trail[0].high - trail[0].low, "the interval narrows"
        browser.go(f"{world.url}/rollout")
        browser.wait("figure.trail")
        browser.picture(PICTURES / "rollout.png")
        with browser.without_scripts():
            browser.go(f"{world.url}/rollout")
        browser.click(".decision button.danger", leads=True)
        assert "Ended" in browser.text()
        assert engine.get(POLICY).phase == "aborted"


def test_pages_can_be_read_without_eyes_mouse_or_scripts(world: World, browser: Browser) -> None:
    for path in (
        "/",
        "/satisfaction?by=reason",
        "/rollout",
        "/rounds",
        "/answers",
        "/pairs",
        "/trace?id=i-1-0",
        "/looks",
    ):
        browser.go(world.url + path)
        found = browser.named()
        roles = [role for role, _ in found]
        assert {"main", "banner", "navigation"} <= set(roles), path
        unnamed = [
            role
            for role, name in found
            if role in ("link", "button", "textbox", "combobox", "radio", "checkbox", "image") and not name
        ]
        assert not unnamed, f"{path}: {unnamed} without a name"
        assert browser.run("document.querySelectorAll('h1').length") == 1
        assert too_faint(browser) == [], path
        browser.dark(True)
        browser.go(world.url + path)
        assert too_faint(browser) == [], f"{path} in the dark"
        if path in ("/", "/answers"):
            browser.picture(PICTURES / f"dark{path.replace('/', '-')}.png".replace("-.", "-overview."), whole=False)
        browser.dark(False)
    browser.go(world.url)
    browser.picture(PICTURES / "overview.png")
    browser.press("Tab")
    assert browser.run("document.activeElement.textContent") == "Skip to the content"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    with browser.without_scripts():
        browser.go(f"{world.url}/satisfaction")
    assert browser.run("typeof htmx") == "undefined", "no script ran"
    browser.run("document.querySelector('#by').value = 'reason'")
    browser.click(".filter button", leads=True)
    assert "factual_error" in browser.text()


def too_faint(browser: Browser) -> list[str]:
    """Texts whose contrast with their ground is below 4.5 : 1, by WCAG's formula."""
    return browser.run(CONTRAST)


CONTRAST = """
(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const out = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest("svg")) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) out.push(`${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 30)}`);
  }
  return out;
})()
"""


def test_no_word_of_a_user_is_in_any_log_and_each_look_is_recorded(world: World) -> None:
    """Last, when everything was said and looked at."""
    logs = "".join(world.log_of(name) for name in world.at if (world.data / "run" / f"{name}.log").exists())
    for words in ("Celsius", "Aare", "landlord", "monad"):
        assert words not in logs
    looks = [json.loads(line) for line in (world.data / "looks.jsonl").read_text().splitlines()]
    assert {look["what"] for look in looks if look["by"] == "console"} == {"answers", "answer", "pairs", "trace"}
    assert {"answers", "trace", "evidence"} <= {look["what"] for look in looks if look["by"] == "ledger"}
    assert {look["principal"] for look in looks} == {"local"}
    assert "Celsius" not in (world.data / "looks.jsonl").read_text()
    assert yaml.safe_load((world.data / "run" / "console.yaml").read_text())["looks"]["file"].endswith("looks.jsonl")
