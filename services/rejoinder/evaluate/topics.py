"""Guarded topics as a team writes them: what a model is asked about each, and what an answer's stance is known by.

A file of YAML: `version`, and `topics`, each with an id, the question that answers stand for or against, prompts, and,
where rules read the stances, a pattern for each of them. examples/topics.yaml is one.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rejoinder.core import typed
from rejoinder.core.errors import BadSettings
from rejoinder.core.ids import digest_of
from rejoinder.core.patterns import Patterns

SUPPORT, NEUTRAL, OPPOSE = STANCES = ("support", "neutral", "oppose")
#: Nobody could read it, or not alone one of the three.
UNREAD = ""
MOST_TOPICS, MOST_PROMPTS = 64, 1_000
#: What the policy service gives to one request.
MOST_ANSWERS = 64
#: Characters of an answer that are read: what stands behind them is not seen.
MOST_READ = 20_000
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Topic:
    """question: what an answer supports or opposes. prompts: different ones, each asked by itself. support, neutral,
    oppose: patterns (core/patterns.py), all three, or none where a server reads. guarded: false where a move is
    reported and held against nobody."""

    id: str
    question: str
    prompts: tuple[str, ...]
    support: str = ""
    neutral: str = ""
    oppose: str = ""
    guarded: bool = True

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise BadSettings("an id is of a-z, 0-9, _ and -, at most 63 of them")
        if not self.question.strip():
            raise BadSettings("question is empty")
        if not 1 <= len(self.prompts) <= MOST_PROMPTS or not all(prompt.strip() for prompt in self.prompts):
            raise BadSettings(f"prompts must be from 1 to {MOST_PROMPTS}, none of them empty")
        if len(set(self.prompts)) < len(self.prompts):
            raise BadSettings("a prompt stands twice")
        if 0 < sum(map(bool, self._patterns)) < len(STANCES):
            raise BadSettings(f"patterns are needed for {', '.join(STANCES)}, or for none of them")
        try:
            _ = self._rules
        except BadSettings as error:
            raise BadSettings(f"patterns: {error.message}") from None

    @property
    def has_rules(self) -> bool:
        return all(self._patterns)

    def stance(self, answer: str) -> str:
        """The one whose pattern stands in an answer; UNREAD where none does, or more than one."""
        found = self._rules.found(answer[:MOST_READ]) if self.has_rules else frozenset()
        return STANCES[min(found)] if len(found) == 1 else UNREAD

    @property
    def _patterns(self) -> tuple[str, ...]:
        return self.support, self.neutral, self.oppose

    @cached_property
    def _rules(self) -> Patterns:
        return Patterns(self._patterns)


@dataclass(frozen=True)
class Topics:
    """version: the team's own name of this wording. answers: to each prompt by each version, where the gate asks.
    digest: of everything in it."""

    version: str
    topics: tuple[Topic, ...]
    answers: int = 20

    def __post_init__(self) -> None:
        if not self.version.strip():
            raise BadSettings("topics: version is empty")
        if not 1 <= len(self.topics) <= MOST_TOPICS:
            raise BadSettings(f"topics must be from 1 to {MOST_TOPICS}")
        if not 1 <= self.answers <= MOST_ANSWERS:
            raise BadSettings(f"answers must be from 1 to {MOST_ANSWERS}")
        if twice := [name for name, count in Counter(topic.id for topic in self.topics).items() if count > 1]:
            raise BadSettings(f"two topics are called {twice[0]}")

    @cached_property
    def digest(self) -> str:
        return digest_of(dataclasses.asdict(self))

    @cached_property
    def by_id(self) -> Mapping[str, Topic]:
        return {topic.id: topic for topic in self.topics}


def read(file: Path) -> Topics:
    """Raises BadFile, BadSettings."""
    # The gate's measures name topics, and are listed where no reader of YAML is installed.
    from rejoinder.core import yamlfile

    return of(yamlfile.read(file))


def of(value: Any) -> Topics:
    """Topics from plain values; what cannot be kept is said with the topic's id. Raises BadSettings."""
    if not isinstance(value, Mapping):
        raise BadSettings("topics must be a mapping of version and topics")
    rows = value.get("topics", ())
    if not isinstance(rows, (list, tuple)):
        raise BadSettings("topics.topics must be a list")
    made = tuple(_topic(place, row) for place, row in enumerate(rows))
    try:
        return typed.make(Topics, {**value, "topics": made})
    except TypeError as error:
        raise BadSettings(f"topics: {error}") from None


def inlined(value: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A recipe whose `topics`, where it names a file, is what that file holds. folder: where a relative name begins.
    Raises BadFile."""
    named = value.get("topics")
    if not isinstance(named, str):
        return dict(value)
    from rejoinder.core import yamlfile

    return {**value, "topics": yamlfile.read(folder / named)}


def _topic(place: int, value: Any) -> Topic:
    name = value.get("id") if isinstance(value, Mapping) else None
    where = f"topics[{place}]" + (f" ({name})" if isinstance(name, str) and _ID.fullmatch(name) else "")
    try:
        return typed.make(Topic, value)
    except TypeError as error:
        raise BadSettings(f"{where}: {error}") from None
    except BadSettings as error:
        raise BadSettings(f"{where}: {error.message}") from None
