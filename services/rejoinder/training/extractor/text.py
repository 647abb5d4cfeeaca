"""What the signal encoder learns from: sentences written for it, turns labelled by hand, rated chats.

Three sources, one value (`Turn`):
  written.txt        fragments and whole follow-ups of our own, joined at random (`compose`)
  labelled/*.jsonl   human follow-ups of the hh-rlhf dialogues (MIT), labelled by the rule in labelled/RULE.md
  rated chats        a file in the evaluation format with levels (Topical-Chat, CDLA-Sharing-1.0), not carried here
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "signals" / "data"
LABELS = ("DSAT", "none", "SAT")
MARK = re.compile(r"\[(\w+): ([^\]]+)\]")


@dataclass(frozen=True)
class Turn:
    """One answer and the words that followed.

    label: DSAT, none or SAT. level: 1 to 5. spans: (reason, start, end), characters of `followup`.
    judged: a person read the words for reasons and polarity; otherwise the label is only a rating's sign, which
    says which pole is likelier and not whether the words say anything. group: never crosses a split.
    """

    answer: str
    followup: str
    label: str
    level: int
    spans: tuple[tuple[str, int, int], ...] = ()
    judged: bool = True
    group: str = ""


@dataclass(frozen=True)
class Written:
    """fragments: every one is evidence of its reason as a whole ("none" for those that judge nothing).
    answers: recommendations and offers, which people refuse as often as they accept them.
    """

    fragments: tuple[tuple[str, int, str], ...]
    wholes: tuple[Turn, ...]
    answers: tuple[str, ...] = ()


def _whole(line: str) -> Turn:
    head, text = line.split(" | ", 1)
    label, level = head.split()
    answer, marked = text.split(" => ", 1) if " => " in text else ("", text)
    plain, spans, last = "", [], 0
    for found in MARK.finditer(marked):
        plain += marked[last : found.start()]
        spans.append((found[1], len(plain), len(plain) + len(found[2])))
        plain += found[2]
        last = found.end()
    return Turn(answer, plain + marked[last:], label, int(level), tuple(spans))


def written(path: Path = DATA / "written.txt") -> Written:
    """Reads the file; its own first lines explain the form."""
    fragments, wholes, answers, section, level = [], [], [], "", 3
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("== "):
            section, _, number = line[3:].partition(" ")
            level = int(number or 3)
        elif section == "whole":
            wholes.append(_whole(line))
        elif section == "answers":
            answers.append(line)
        else:
            fragments.append((section, level, line))
    return Written(tuple(fragments), tuple(wholes), tuple(answers))


def turn_of(record: dict, judged: bool) -> Turn:
    """A turn from one record of the evaluation format; `reasons`, where there are any, carry spans."""
    spans = tuple((r["reason"], r["start"], r["end"]) for r in record.get("reasons", ()))
    answer = record["messages"][-1]["text"]
    return Turn(answer, record["followup"], record["label"], record["level"], spans, judged, record["group"])


def read_turns(path: Path, judged: bool) -> list[Turn]:
    with path.open(encoding="utf-8") as lines:
        return [turn_of(json.loads(line), judged) for line in lines]


def labelled(folder: Path = DATA / "labelled") -> list[Turn]:
    return [turn for path in sorted(folder.glob("*.jsonl")) for turn in read_turns(path, judged=True)]


def training_texts() -> Iterator[str]:
    """Every sentence written or labelled for the extractor, for comparing with texts that must be disjoint from it.

    The rated chats are not among them: they are not carried here.
    """
    own = written()
    yield from (text for _, _, text in own.fragments)
    yield from own.answers
    yield from (text for turn in own.wholes for text in (turn.followup, turn.answer) if text)
    yield from (turn.followup for turn in labelled())


def _join(parts: Sequence[tuple[str, int, str]], glue: str) -> Turn:
    text, spans = "", []
    for reason, _, fragment in parts:
        text += (glue if text else "") + fragment
        if reason != "none":
            spans.append((reason, len(text) - len(fragment), len(text)))
    return Turn("", text, "", 3, tuple(spans))


def compose(own: Written, poles: dict[str, str], answers: Sequence[str], rng: random.Random) -> Turn:
    """One follow-up out of written parts. poles: reason → SAT or DSAT. answers: real answers to put in front."""
    by: dict[str, list[tuple[str, int, str]]] = {"SAT": [], "DSAT": [], "none": []}
    for part in own.fragments:
        by[poles.get(part[0], "none")].append(part)
    kind = rng.random()
    if kind < 0.35:
        turn = rng.choice(own.wholes)
    else:
        # A reason first and a sentence of it second, so that long lists do not crowd out short ones.
        reason = rng.choice(sorted(poles))
        pole = poles[reason]
        first = rng.choice([p for p in by[pole] if p[0] == reason])
        if kind < 0.50:
            parts, label = [first], pole
        elif kind < 0.70:
            parts, label = [first, rng.choice(by["none"])], pole
            rng.shuffle(parts)
        elif kind < 0.82:
            parts, label = [first, rng.choice(by[pole])], pole
        elif kind < 0.90:
            parts, label = [rng.choice(by["SAT"]), rng.choice(by["DSAT"])], "DSAT"
        else:
            parts, label = rng.sample(by["none"], rng.choice((1, 2))), "none"
        levels = [level for _, level, _ in parts if level != 3] or [3]
        mixed = any(r == "getting_there" for r, _, _ in parts)
        level = 3 if mixed or label == "none" else max(levels) if label == "SAT" else min(levels)
        turn = replace(_join(parts, rng.choice((" ", " ", "\n", " ... "))), label=label, level=level)
    if not turn.answer and rng.random() < 0.85:
        turn = replace(turn, answer=rng.choice(answers))
    if rng.random() < 0.25:
        turn = replace(turn, followup=turn.followup.lower())
    if rng.random() < 0.25 and turn.followup[-1:] in ".!":
        end = len(turn.followup) - 1
        spans = tuple((r, a, min(b, end)) for r, a, b in turn.spans)
        turn = replace(turn, followup=turn.followup[:end], spans=spans)
    return turn


def answers_of(turns: Iterable[Turn]) -> list[str]:
    return [turn.answer for turn in turns if turn.answer]
