"""The page holds every number that the demonstration wrote, survives what is absent, and executes nobody's text."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from rejoinder.plots.numerals import count, decimal, general, moment, percent, points
from rejoinder.plots.plot import Scale, spread
from rejoinder.simulate.report import page
from rejoinder.simulate.report.headline import as_demanded, rise

SVG = "{http://www.w3.org/2000/svg}svg"


def estimate(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def wishes_of(number: int) -> dict[str, Any]:
    shares = {"said": 118 + number, "checkable": 0.752, "judged": 0.0, "unmeasured": 0.248}
    rates = {"before": estimate(0.413, 0.091), "after": estimate(0.552, 0.088), "gain": estimate(0.139, 0.071)}
    return {**shares, **rates, "n": 60 - number, "users": 51 - number}


def a_round(number: int, first: float, wish: float, facts: float, words: float, kl: float, **more: Any) -> dict:
    gate = [
        {"name": "win_rate", "value": 0.612, "low": 0.561, "high": 0.663, "n": 812 + number, "outcome": "pass"},
        {"name": "wish_followed", "value": 0.874, "low": 0.842, "high": 0.906, "n": 640 + number, "outcome": "pass"},
        {"name": "facts_fall", "value": -0.004, "low": -0.013, "high": 0.005, "n": 1500 + number, "outcome": "pass"},
        {"name": "read_wish", "value": None, "low": None, "high": None, "n": 41 + number, "outcome": "unmeasured"},
    ]
    trained = number > 0
    return {
        "round": number,
        "version": f"assist-r{number:04d}" if trained else "base",
        "first_answer": estimate(first, 0.0104),
        "after_wish": estimate(wish, 0.0121),
        "facts": facts,
        "words": words,
        "kl": kl,
        "paired_gain": None,
        "pairs": 0,
        "promoted": True,
        "outcome": "published" if trained else "",
        "reasons": [],
        "gate": gate if trained else [],
        "wishes": wishes_of(number) if trained else None,
        "reward": {"train": 0.31 + 0.62 * kl, "gate": 0.29 + 0.48 * kl} if trained else None,
        **more,
    }


def a_verdict(version: str, kind: str, margin: float, ended: tuple[str, str, str], truth: float, looks: int) -> dict:
    """Looks at a difference that settles at `truth`, its interval narrowing, the weight rising in two steps."""
    seen = []
    for i in range(1, looks + 1):
        judged = 12 * i
        half = min(1.0, 1.2 / math.sqrt(judged))
        difference = truth + 0.3 * half * math.cos(0.35 * i + len(version))
        seen.append(
            {
                "seconds": 0.9 * i + 0.35,
                "judged": judged,
                "judged_canary": judged // 3,
                "difference": difference,
                "low": max(difference - half, -1.0),
                "high": min(difference + half, 1.0),
                "reply_stable": 0.52 + 0.03 / i,
                "reply_canary": (0.31 if kind == "silent" else 0.53) - 0.04 / i,
                "weight": 0.2 if i <= looks // 2 else 0.5,
            }
        )
    verdict, action, reason = ended
    return {
        "version": version,
        "kind": kind,
        "margin": margin,
        "verdict": verdict,
        "action": action,
        "reason": reason,
        "points": seen,
    }


EVENTS = tuple(f"said-{i}" for i in range(6))


def a_trace(events: int = 19) -> dict:
    moment_ = 1_764_000_000.25
    answer = "0f6c2b1e-7d5f-4c3a-9b1e-2a4d6f8c0e11"

    def node(kind: str, name: str, state: str = "stored", /, sources: tuple[str, ...] = (), **facts: str) -> dict:
        digest = hashlib.sha256(f"{kind} {name}".encode()).hexdigest()
        return {
            "kind": kind,
            "id": name,
            "digest": digest,
            "state": state,
            "at": moment_,
            "facts": facts,
            "sources": list(sources),
        }

    served = {"version": "assist-r0003", "arm": "stable", "status": "complete", "interaction": answer}
    stages = [
        node("round", f"assist#3/{s}", sources=("assist#3",), stage=s) for s in ("pairs", "train", "gate", "publish")
    ]
    said = [
        node("feedback", f"ev-{i:04d}", sources=(f"int-{i:04d}",), kind="message", how="next turn")
        for i in range(events)
    ]
    read = [
        node("signal", f"sg-{i:04d}", sources=(f"ev-{i:04d}",), polarity="DSAT", confidence="0.93")
        for i in range(events // 2)
    ]
    return {
        "id": answer,
        "nodes": [
            node("interaction", "ev-answer", sources=("assist-r0003",), place="interactions/0/6120", **served),
            node("version", "assist-r0003", "", interactions="1204"),
            *stages,
            node("window", "assist#3", sources=EVENTS, policy="assist", rows="1932", redacted="0", unlisted="1926"),
            *said,
            *read,
            node("feedback", "ev-own", sources=(answer,), kind="thumb"),
            node("signal", "sg-own", sources=("ev-own",), polarity="SAT"),
        ],
    }


def result(looks: int = 45, events: int = 19) -> dict[str, Any]:
    """What a run that went well writes: three rounds of which all were promoted, then three pushed versions."""
    gains = {1: estimate(0.0731, 0.0142), 2: estimate(0.0622, 0.0138), 3: estimate(0.1009, 0.0151)}
    better = ("better", "promoted", "satisfaction")
    return {
        "seed": 7,
        "control": "",
        "seconds": 421.4,
        "peak_mb": 2113,
        "machine": {"cpu": "x86-64, 2.4 GHz", "cores": 2},
        "commit": "abc1234",
        "rounds": [
            a_round(0, 0.2534, 0.4117, 0.957, 21.3, 0.0),
            a_round(1, 0.3265, 0.5642, 0.954, 20.1, 0.21, paired_gain=gains[1], pairs=1104),
            a_round(2, 0.3887, 0.6718, 0.951, 19.7, 0.47, paired_gain=gains[2], pairs=2213),
            a_round(3, 0.4896, 0.7433, 0.948, 19.2, 0.88, paired_gain=gains[3], pairs=3318),
        ],
        "reward_heads": {"train": {"pairs": 835, "users": 701}, "gate": {"pairs": 221, "users": 187}},
        "ceilings": {"constant": 0.331, "by_kind": 0.692, "per_user": 0.951, "constant_style": "brief, prose, metric"},
        "pushes": [
            {
                "kind": "style",
                "version": "assist-style",
                "verdict": "worse",
                "reasons": ["satisfaction"],
                "action": "rolled back",
                "judged": 172,
                "exposed_users": 96,
                "holdout_exposed": 0,
                "override": "the demonstration: a style that most dislike",
            },
            {
                "kind": "silent",
                "version": "assist-silent",
                "verdict": "inconclusive",
                "reasons": ["response_rate"],
                "action": "rolled back",
                "judged": 398,
                "exposed_users": 231,
                "holdout_exposed": 0,
                "override": "the demonstration: displeased users fall silent",
            },
            {
                "kind": "harmless",
                "version": "assist-harmless",
                "verdict": "inconclusive",
                "reasons": ["satisfaction"],
                "action": "promoted",
                "judged": 511,
                "exposed_users": 266,
                "holdout_exposed": 0,
                "override": "the demonstration: the same weights again",
            },
        ],
        "verdicts": [
            a_verdict("assist-r0001", "round", 0.1, better, 0.081, looks),
            a_verdict("assist-r0002", "round", 0.1, better, 0.066, looks),
            a_verdict("assist-r0003", "round", 0.1, better, 0.103, looks - 1),
            a_verdict("assist-style", "style", 0.05, ("worse", "rolled back", "satisfaction"), -0.191, looks // 2),
            a_verdict("assist-silent", "silent", 0.05, ("inconclusive", "rolled back", "response rate"), 0.055, looks),
            a_verdict("assist-harmless", "harmless", 0.05, ("inconclusive", "promoted", "not worse"), 0.004, looks),
        ],
        "trace": a_trace(events),
        "parity": {"acknowledged": 6123, "stored": 6124, "duplicated": 0, "lost": 0, "unacked_stored": 1},
        "timeline": [
            {"stage": stage, "seconds": seconds}
            for stage, seconds in (
                ("start", 6.4),
                ("round 1: traffic", 31.2),
                ("round 1: pairs", 14.8),
                ("round 1: train", 52.5),
                ("round 1: canary", 22.9),
                ("round 2: traffic", 30.1),
                ("round 2: train", 71.7),
                ("pushes", 88.0),
            )
        ],
    }


def parsed(html: str) -> ElementTree.Element:
    """The page is XML as well as HTML."""
    return ElementTree.fromstring(html)


def words(html: str) -> str:
    """What can be read: text, and what appears when something is pointed at."""
    root = parsed(html)
    body = next(part for part in root if part.tag == "body")
    return " ".join([*body.itertext(), *(part.get("title", "") for part in body.iter())])


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*path, i))
    else:
        yield path, value


def put(whole: Any, path: tuple, value: Any) -> Any:
    changed = copy.deepcopy(whole)
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


def everywhere(whole: Any, change: Any) -> Any:
    for path, value in leaves(whole):
        whole = put(whole, path, change(value))
    return whole


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else 1.5 * value + 3


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    """Every part of the shape, few of each."""
    whole = result(looks=2, events=2)
    whole["rounds"] = whole["rounds"][:2]
    whole["verdicts"] = whole["verdicts"][:1]
    whole["timeline"] = whole["timeline"][:2]
    whole["rise"] = estimate(0.2362, 0.0181)
    return whole


@pytest.fixture(scope="module")
def html() -> str:
    return page(result())


@pytest.mark.parametrize("part", [*result(looks=2), "rise"])
def test_no_number_and_no_word_of_the_result_can_change_without_the_page_saying_so(small, part):
    said = words(page(small))
    mutants = [(path, other(value)) for path, value in leaves(small[part], (part,)) if value is not None]
    assert [path for path, value in mutants if words(page(put(small, path, value))) == said] == []


def test_what_the_shape_does_not_name_is_not_shown(small):
    """Control: the comparison above can come out equal."""
    assert words(page({**small, "unheard_of": 5})) == words(page(small))


@pytest.mark.parametrize(
    "figure",
    [
        "rose by 23.6 points (95 % interval +21.5 to +25.7), from 25.3 % to 49.0 %",
        "3 of 3 rounds were promoted; 3 of 3 pushed versions ended as demanded",
        "of 6,123 acknowledged events 0 were lost and 0 duplicated.",
        "per-user optimum 95.1 %",
        "best style by kind 69.2 %",
        "best constant style 33.1 %",
        "untrained 25.3 %",
        "first answer 49.0 %",
        "after a wish 74.3 %",
        "Best constant style: brief, prose, metric.",
        "+10.1 [+8.6, +11.6]",
        "facts_fall −0.004 [−0.013, 0.005], n 1,503",
        "read_wish –, n 44",
        "121 75.2 % 0.0 % 24.8 % 41.3 % [32.2, 50.4] 55.2 % [46.4, 64.0] +13.9 [+6.8, +21.0] 57 48",
        "training head 0.856",
        "the train head on 835 pairs of 701 users, the gate head on 221 pairs of 187 users, none of whom",
        "assist-style · style · worse · rolled back",
        "assist-harmless · harmless · not worse (margin shown) · promoted",
        "assist-silent · silent · inconclusive · rolled back",
        "said-3, and 1,928 more",
        "margin 5 points; response rate",
        "2025-11-24 16:00:00 UTC",
        "421.4 s, 2,113 MB at most",
    ],
)
def test_the_figures_are_written_as_a_reader_expects(html, figure):
    assert figure in words(html).replace("\N{NO-BREAK SPACE}", " ")


def test_the_foot_says_that_the_users_are_simulated(html):
    foot = next(parsed(html).iter("footer"))
    assert "".join(foot[-1].itertext()) == "Simulated users, see simulate/."


def test_text_from_outside_stays_text(small):
    def texts(word: str) -> str:
        return page(everywhere(small, lambda v: word if isinstance(v, str) else v))

    hostile = "<b>\"'&</code></title><script>alert(1)</script>"
    made, plain = parsed(texts(hostile)), parsed(texts("plain"))
    assert [part.tag for part in made.iter()] == [part.tag for part in plain.iter()]
    assert hostile in "".join(made.itertext())


@pytest.mark.parametrize("text", ["\x00\x1b[31m", "\ud800", "\ufffe"])
def test_what_no_page_can_hold_is_replaced(small, text):
    made = page({**small, "commit": f"abc{text}def"})
    parsed(made.encode().decode())
    assert "\ufffd" in made


@pytest.mark.parametrize("part", [*result(looks=2), "rise"])
def test_every_part_may_be_null_and_no_none_is_printed(small, part):
    paths = [path for path, _ in leaves(small[part], (part,))]
    nulls = {path[:i] for path in paths for i in range(1, len(path) + 1) if isinstance(path[i - 1], str)}
    assert [path for path in nulls if "None" in words(page(put(small, path, None)))] == []


@pytest.mark.parametrize("empty", [{}, {"rounds": [], "pushes": [], "verdicts": [], "timeline": [], "trace": {}}])
def test_nothing_measured_is_a_page_too(empty):
    assert "The run has measured nothing yet." in words(page(empty))


def test_a_verdict_without_a_judged_user_is_told_without_a_picture(small):
    verdict = {**small["verdicts"][0], "points": [], "verdict": "unmeasured", "reason": "units"}
    said = words(page({**small, "verdicts": [verdict]}))
    assert "No user was judged." in said
    assert "units" in said


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, "many", None])
def test_what_is_no_finite_number_reaches_no_text_and_no_coordinate(odd):
    whole = result(looks=3, events=2)
    made = page(everywhere(whole, lambda v: odd if isinstance(v, int | float) and not isinstance(v, bool) else v))
    parsed(made)
    assert not re.search(r"(?<![a-z])(nan|inf|infinity)(?![a-z])", made, re.IGNORECASE)


def test_each_picture_is_named_for_those_who_do_not_see_it(html):
    root = parsed(html)
    ids = [part.get("id") for part in root.iter() if part.get("id")]
    assert len(ids) == len(set(ids))
    pictures = [part for part in root.iter(SVG) if part.get("role") == "img"]
    assert len(pictures) == 2 + 2 + 6
    for picture in pictures:
        title, desc = picture.get("aria-labelledby").split()
        found = {part.get("id"): part.text for part in picture}
        assert found[title]
        assert found[desc]
    assert all(cell.get("scope") for cell in root.iter("th"))


def boxes(picture: ElementTree.Element) -> Iterator[tuple[float, float, float, float]]:
    """Left, right, and baseline of each text, and its letters, by a letter's generous width."""
    for part in picture.iter("{http://www.w3.org/2000/svg}text"):
        x, y, wide = float(part.get("x")), float(part.get("y")), 7.0 * len(part.text)
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[part.get("text-anchor")]
        yield left, left + wide, y, wide


def crowded() -> dict[str, Any]:
    """All lines of chart 1 at one height, and a version whose name is long."""
    whole = result(looks=3)
    for row in whole["rounds"]:
        row["first_answer"] = row["after_wish"] = estimate(0.33, 0.01)
        row["version"] = "assist-" + "r" * 60
    whole["ceilings"].update(constant=0.33, by_kind=0.34, per_user=0.335)
    return whole


@pytest.mark.parametrize("whole", [result(), crowded()], ids=["usual", "crowded"])
def test_no_label_is_cut_off_or_lies_on_another(whole):
    for picture in parsed(page(whole)).iter(SVG):
        if picture.get("role") != "img":
            continue
        _, _, width, height = map(float, picture.get("viewBox").split())
        texts = list(boxes(picture))
        for left, right, y, _ in texts:
            assert left >= 0
            assert right <= width + 1
            assert 10 <= y <= height - 2
        for i, (left, right, y, _) in enumerate(texts):
            for left_, right_, y_, _ in texts[i + 1 :]:
                assert right <= left_ or right_ <= left or abs(y - y_) >= 9


def test_the_page_asks_nobody_for_anything_and_runs_nothing(html):
    assert not re.search(r"<script|<link|<img|\bon\w+=|\bsrc=|href|url\(|@import", html)
    assert set(re.findall(r"https?://[^\"]+", html)) == {"http://www.w3.org/2000/svg"}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_of_text_can_be_read_in_light_and_in_dark(html):
    """WCAG 2: 4.5 to 1."""
    light, dark = re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    for scheme in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", scheme))
        card = luminance(colours["card"])
        for name in ("ink", "quiet", "s1", "s2", "s3", "s4", "good", "bad"):
            bright, dim = sorted([luminance(colours[name]), card], reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, name


def test_the_line_passes_by_a_round_that_was_refused():
    whole = result(looks=2)
    whole["rounds"][2].update(promoted=False, outcome="refused", reasons=["facts_fall"])
    picture = next(parsed(page(whole)).iter(SVG))
    curve = next(part for part in picture.iter() if part.get("class") == "line s1" and part.get("points"))
    hollow = [part for part in picture.iter() if part.get("class") == "hollow s1"]
    assert len(curve.get("points").split()) == 3
    assert len(hollow) == 1
    assert "2 of 3 rounds were promoted" in words(page(whole))


def test_a_verdict_shows_zero_the_margin_and_the_decision_where_they_are():
    whole = result(looks=4)
    whole["verdicts"] = whole["verdicts"][3:4]
    picture = next(p for p in parsed(page(whole)).iter(SVG) if p.get("aria-labelledby", "").startswith("verdict"))
    line = {part.get("class"): part for part in picture.iter("{http://www.w3.org/2000/svg}line")}
    ticks = {part.text: float(part.get("y")) - 4 for part in picture.iter("{http://www.w3.org/2000/svg}text")}
    zero, margin = float(line["zero"].get("y1")), float(line["reference"].get("y1"))
    per_point = (ticks["−20"] - ticks["+20"]) / 40
    assert zero == pytest.approx((ticks["−20"] + ticks["+20"]) / 2, abs=0.02)
    assert margin - zero == pytest.approx(5 * per_point, abs=0.05)
    curve = next(p.get("points") for p in picture.iter() if p.get("class") == "line s1" and p.get("points"))
    last = curve.split()[-1].split(",")
    assert line["decision"].get("x1") == last[0].rstrip("0").rstrip(".")
    difference = whole["verdicts"][0]["points"][-1]["difference"]
    assert float(last[1]) - zero == pytest.approx(-100 * difference * per_point, abs=0.1)


def test_the_answers_own_feedback_and_the_versions_evidence_are_two_branches_and_long_lists_fold(html):
    tree = next(part for part in parsed(html).iter("div") if part.get("class") == "trace")
    heads = [" ".join("".join(p.itertext()).split()) for p in tree.iter("p")]
    assert heads[1:] == [
        "interaction the answer (1)",
        "feedback what its user did about it (1)",
        "signal what was read from that (1)",
        "version versions of the policy (1)",
        "round stages of rounds (4)",
        "window cuts of the log (1)",
        "feedback what users did (19)",
        "signal what was read from it (9)",
    ]
    assert [summary.text for summary in tree.iter("summary")] == ["13 more", "3 more"]


def test_the_rise_is_paired_where_it_was_measured_and_else_no_narrower():
    whole = result(looks=2)
    apart = rise(whole).gain
    assert apart.value == pytest.approx(0.4896 - 0.2534)
    assert (apart.low, apart.high) == pytest.approx((0.4792 - 0.2638, 0.5 - 0.243))
    whole["rise"] = estimate(0.2362, 0.0151)
    assert rise(whole).gain.low == pytest.approx(0.2211)
    assert "+22.1 to +25.1" in words(page(whole))


def test_without_a_promoted_round_no_rise_is_claimed():
    whole = result(looks=2)
    for row in whole["rounds"][1:]:
        row.update(promoted=False, outcome="refused")
    assert rise(whole) is None
    assert "No round was promoted" in words(page(whole))


@pytest.mark.parametrize(
    ("kind", "verdict", "reasons", "action", "met"),
    [
        ("style", "worse", ["satisfaction"], "rolled back", True),
        ("style", "inconclusive", [], "rolled back", False),
        ("style", "worse", [], "promoted", False),
        ("silent", "worse", ["satisfaction"], "rolled back", True),
        ("silent", "inconclusive", ["response_rate"], "held", True),
        ("silent", "inconclusive", ["satisfaction"], "held", False),
        ("silent", "inconclusive", ["response_rate"], "promoted", False),
        ("harmless", "inconclusive", [], "promoted", True),
        ("harmless", "better", [], "held", False),
        ("new", "better", [], "promoted", None),
    ],
)
def test_a_push_is_as_demanded_only_so(kind, verdict, reasons, action, met):
    assert as_demanded({"kind": kind, "verdict": verdict, "reasons": reasons, "action": action}) is met


def test_lost_events_and_exposed_holdout_users_are_marked_bad():
    whole = result(looks=2)
    bad = [part.text for part in parsed(page(whole)).iter() if part.get("class") == "bad"]
    assert bad == []
    whole["parity"].update(lost=2)
    whole["pushes"][1].update(holdout_exposed=3)
    bad = [part.text for part in parsed(page(whole)).iter() if part.get("class") == "bad"]
    assert bad == ["✗ ", "3", "2"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (percent(0.2534), "25.3\N{NO-BREAK SPACE}%"),
        (percent(None), "–"),
        (points(0.0731), "+7.3"),
        (points(-0.0214), "−2.1"),
        (points(-0.0002), "0.0"),
        (points(0.0), "0.0"),
        (count(6123), "6,123"),
        (count(True), "–"),
        (decimal(19.24), "19.2"),
        (general(812), "812"),
        (general(0.6123), "0.612"),
        (general(-0.00041), "−0.00041"),
        (general(1e-7), "1e−07"),
        (general(math.nan), "–"),
        (moment(0), "1970-01-01 00:00:00 UTC"),
        (moment(1e18), "–"),
    ],
)
def test_numbers_are_written_with_care(written, expected):
    assert written == expected


@pytest.mark.parametrize(
    ("wanted", "order"),
    [([50.0, 51.0, 49.0, 99.0, 98.0], [2, 0, 1, 4, 3]), ([2.0, 1.0, 0.0], [2, 1, 0]), ([40.0], [0])],
)
def test_labels_are_moved_apart_in_their_order_and_stay_inside(wanted, order):
    placed = spread(wanted, 14.0, 0.0, 100.0)
    ranked = sorted(placed)
    assert [placed.index(v) for v in ranked] == order
    assert all(b - a >= 14.0 - 1e-9 for a, b in pairwise(ranked))
    assert ranked[0] >= 0.0
    assert ranked[-1] <= 100.0


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.29, 0.29), (0.9, 1.0), (0.0, 3318.0), (5.0, 5.0)])
def test_ticks_are_round_and_inside(low, high):
    ticks = Scale(low, high, 0.0, 100.0).ticks(5)
    assert 1 <= len(ticks) <= 7
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)


def test_the_result_is_read_from_a_file_as_it_is(html):
    assert page(json.loads(json.dumps(result()))) == html


def test_a_rollouts_vetoes_stand_under_its_picture_with_their_evidence(small) -> None:
    veto = {"name": "audit", "e": 1.25, "e_needed": 300.0, "fired": False, "measured": False}
    arms = {"stable": {"units": 4, "harm": 0.1}, "canary": {"units": 3, "harm": 0.0}}
    said = words(page({**small, "verdicts": [{**small["verdicts"][0], "vetoes": [veto | arms]}]}))
    assert "Vetoes: audit not measured (E 1.25 of 300, 4 + 3 users)." in said
    assert "Vetoes" not in words(page(small))
