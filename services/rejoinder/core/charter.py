"""A charter: what an assistant must never do, as its stakeholders agreed, and rules that tell what breaks it.

Zhi-Xuan, Carroll, Franklin and Ashton, "Beyond Preferences in AI Alignment" (2024, arXiv 2408.16984): what people
reward is evidence, the norms of the assistant's role are the standard. So a norm is looked at beside satisfaction and
never averaged with it.

A rule sees forms, not matter: a norm that is broken in other words is not found. The patterns are those of
core/patterns.py, which cannot hang. What is told of an answer is which norms applied and which it broke, never a word.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from rejoinder.core import typed
from rejoinder.core.errors import BadSettings
from rejoinder.core.ids import digest_of
from rejoinder.core.patterns import Patterns, check

#: A veto stops what breaks it; a report is counted.
VETO, REPORT = "veto", "report"
SEVERITIES = (VETO, REPORT)
MOST_NORMS = 64
#: Characters of an answer, and of a question, that are read: what stands behind them is not seen.
MOST_READ = 20_000
#: The longest answer that a rule may allow, in words: one of more cannot be seen.
MOST_WORDS = MOST_READ // 2 - 1
#: Answers of which one charter remembers what it told.
_REMEMBERED = 10_000
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Rule:
    """One of forbid (must not stand in the answer), require (must stand in it), most_words (up to MOST_WORDS; 0: any
    number). asked: the rule applies where it stands in the user's last message; "" always."""

    asked: str = ""
    forbid: str = ""
    require: str = ""
    most_words: int = 0

    def __post_init__(self) -> None:
        if sum(map(bool, (self.forbid, self.require, self.most_words))) != 1:
            raise BadSettings("one of forbid, require and most_words is needed, and no second one")
        if not 0 <= self.most_words <= MOST_WORDS:
            raise BadSettings(f"most_words must be from 1 to {MOST_WORDS}")
        for name in ("asked", "forbid", "require"):
            try:
                check(getattr(self, name))
            except BadSettings as error:
                raise BadSettings(f"{name}: {error.message}") from None


@dataclass(frozen=True)
class Norm:
    """id: a stable word, told wherever the norm is broken. text: what was agreed. owner: who answers for it. approvals:
    who agreed, and when. The rest is its rule; severity: veto | report."""

    id: str
    text: str
    owner: str
    approvals: tuple[str, ...] = ()
    asked: str = ""
    forbid: str = ""
    require: str = ""
    most_words: int = 0
    severity: str = VETO

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise BadSettings("an id is of a-z, 0-9, _ and -, at most 63 of them")
        if not self.text.strip() or not self.owner.strip():
            raise BadSettings("a norm says in `text` what was agreed, and in `owner` who answers for it")
        if self.severity not in SEVERITIES:
            raise BadSettings(f"severity must be one of {', '.join(SEVERITIES)}")
        _ = self.rule

    @property
    def rule(self) -> Rule:
        return Rule(self.asked, self.forbid, self.require, self.most_words)


@dataclass(frozen=True)
class Told:
    """Of one answer, as places in the list of rules: those that applied, and of them those it breaks."""

    applied: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()


class Rules:
    """Rules, ready to be asked. owns: their automata, and what was told of answers read lately, by digests of them: a
    unit's later answers come again with the next page. May be used from any thread."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._scoped = {number for number, rule in enumerate(rules) if rule.asked}
        self._asked = Patterns([rule.asked for rule in rules if rule.asked])
        self._scopes = dict(enumerate(sorted(self._scoped)))
        told = [(number, rule.forbid or rule.require) for number, rule in enumerate(rules) if not rule.most_words]
        self._said = Patterns([text for _, text in told])
        self._numbers = {place: number for place, (number, _) in enumerate(told)}
        self._lately: dict[bytes, Told] = {}

    @property
    def asks(self) -> bool:
        """Whether questions are looked at."""
        return bool(self._scoped)

    def read(self, question: str, answer: str) -> Told:
        """What an answer breaks; beyond MOST_READ characters neither is read."""
        question, answer = self._part(question, answer)
        digest = hashlib.blake2b(f"{len(question)} {question}{answer}".encode(errors="surrogatepass"), digest_size=16)
        told = self._lately.get(digest.digest())
        if told is None:
            if len(self._lately) >= _REMEMBERED:
                self._lately.clear()
            told = self._lately[digest.digest()] = self._read(question, answer)
        return told

    def once(self, question: str, answer: str) -> Told:
        """As `read`, of words that must leave nothing behind: no digest of them is remembered."""
        return self._read(*self._part(question, answer))

    def _part(self, question: str, answer: str) -> tuple[str, str]:
        return question[:MOST_READ] if self._scoped else "", answer[:MOST_READ]

    def _read(self, question: str, answer: str) -> Told:
        applied = set(range(len(self._rules))) - self._scoped
        if self._scoped:
            applied |= {self._scopes[place] for place in self._asked.found(question)}
        if not applied:
            return Told()
        stands = {self._numbers[place] for place in self._said.found(answer)} if self._numbers else set()
        words = len(answer.split())
        broken = [number for number in sorted(applied) if self._broken(number, number in stands, words)]
        return Told(tuple(sorted(applied)), tuple(broken))

    def _broken(self, number: int, stands: bool, words: int) -> bool:
        rule = self._rules[number]
        return words > rule.most_words if rule.most_words else stands if rule.forbid else not stands


@lru_cache(maxsize=8)
def compiled(rules: tuple[Rule, ...]) -> Rules:
    """The rules of a charter: their automata grow with what they read, so they are kept. Raises BadSettings."""
    return Rules(rules)


@dataclass(frozen=True)
class Charter:
    """version: the owners' own name of this wording. digest: of everything in it, texts and approvals too."""

    version: str
    norms: tuple[Norm, ...]

    def __post_init__(self) -> None:
        if not self.version.strip():
            raise BadSettings("charter: version is empty")
        if not 1 <= len(self.norms) <= MOST_NORMS:
            raise BadSettings(f"charter: norms must be from 1 to {MOST_NORMS}")
        if twice := [name for name, count in Counter(norm.id for norm in self.norms).items() if count > 1]:
            raise BadSettings(f"charter: two norms are called {twice[0]}")
        try:
            _ = self.compiled
        except BadSettings as error:
            raise BadSettings(f"charter: {error.message}") from None

    @cached_property
    def digest(self) -> str:
        return digest_of(dataclasses.asdict(self))

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(norm.rule for norm in self.norms)

    @cached_property
    def compiled(self) -> Rules:
        return compiled(self.rules)

    @cached_property
    def vetoes(self) -> frozenset[int]:
        """Places of the norms that stop what breaks them."""
        return frozenset(place for place, norm in enumerate(self.norms) if norm.severity == VETO)

    def harm(self, told: Told) -> bool | None:
        """Whether a veto norm is broken; None where none applied."""
        return bool(self.vetoes & set(told.broken)) if self.vetoes & set(told.applied) else None

    def broken(self, question: str, answers: Iterable[str]) -> str:
        """The id of the first veto norm that one of the answers breaks, "" for none."""
        found = {place for answer in answers for place in self.compiled.read(question, answer).broken} & self.vetoes
        return self.norms[min(found)].id if found else ""


def question_of(messages: Sequence[Any]) -> str:
    """The user's last message; messages as dataclasses or as plain values. "" where the user said none."""
    for message in reversed(messages):
        plain = message if isinstance(message, Mapping) else vars(message)
        if str(plain.get("role", "")).upper() == "USER":
            return str(plain.get("content", ""))
    return ""


def of(value: Any) -> Charter:
    """A charter from plain values; whatever cannot be kept is said now, with the norm's id. Raises BadSettings."""
    if not isinstance(value, Mapping):
        raise BadSettings("charter must be a mapping of version and norms")
    norms = value.get("norms", ())
    if not isinstance(norms, (list, tuple)):
        raise BadSettings("charter.norms must be a list")
    made = tuple(_norm(place, norm) for place, norm in enumerate(norms))
    try:
        return typed.make(Charter, {**value, "norms": made})
    except TypeError as error:
        raise BadSettings(f"charter: {error}") from None


def inlined(value: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A plan or a recipe whose `charter`, where it names a file, is what that file holds. folder: where a relative name
    begins. Raises BadFile."""
    named = value.get("charter")
    if not isinstance(named, str):
        return dict(value)
    # The SDK names rules, and is installed without a reader of YAML.
    from rejoinder.core import yamlfile

    return {**value, "charter": yamlfile.read(folder / named)}


def _norm(place: int, value: Any) -> Norm:
    name = value.get("id") if isinstance(value, Mapping) else None
    where = f"charter.norms[{place}]" + (f" ({name})" if isinstance(name, str) and _ID.fullmatch(name) else "")
    try:
        return typed.make(Norm, value)
    except TypeError as error:
        raise BadSettings(f"{where}: {error}") from None
    except BadSettings as error:
        raise BadSettings(f"{where}: {error.message}") from None
