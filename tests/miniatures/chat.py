"""A world of conversations for row 15: simulated users with hidden tastes ask a tabular policy.

It answers a kind of question in one of eight styles, with a right or a wrong fact. Under a wish it hears poles of style
with a reader of single words and word pairs, taught from the base policy's own wording, which shares no run of four
words with what the users say. What the users say next is read by the shipped extractor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rejoinder.core.rubric import RUBRIC
from rejoinder.core.types import Feedback, FollowUp, Interaction, Message, Role, Sampling, Served, Signal
from rejoinder.registry.embedded import folder_of
from rejoinder.rounds.pairs.context import Likelihood, Sampled
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Evidence as Turn
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.package import load as load_text
from rejoinder.simulate.ceilings import STYLES
from rejoinder.simulate.phrases import load as phrases
from rejoinder.simulate.reading import Topic, load_topics
from rejoinder.simulate.replies import Voice
from rejoinder.simulate.tastes import ATTRIBUTES, NORMS, Person, Poles, Reading, people
from rejoinder.training.embedded.corpus import SKEW, Speaker, draw_poles, load_wording
from rejoinder.training.embedded.facts import FACTS, Fact, Style
from rejoinder.training.embedded.facts import load as load_facts
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from tests.miniatures.paired import Floats

KINDS = tuple(NORMS)
POLES = tuple(pole for pair in ATTRIBUTES.values() for pole in pair)
ACTIONS = tuple((style, right) for style in STYLES for right in (True, False))
WRONG_AT_FIRST = 0.1
FOLLOWED = 0.9
LESSONS = 4000


class Reader:
    """Which poles, and whether a right fact, a text wishes for. owns: its fitted weights, and what it has read."""

    def __init__(self, rng: np.random.Generator) -> None:
        speaker = Speaker(load_wording(), rng)
        wished = [draw_poles(rng) for _ in range(LESSONS)]
        texts = [speaker.said(poles) for poles in wished]
        fact = RUBRIC["factual_error"].wish
        corrected = [i % 8 == 0 for i in range(LESSONS)]
        texts = [f"{fact} {text}" if hit else text for text, hit in zip(texts, corrected, strict=True)]
        self._words = CountVectorizer(ngram_range=(1, 2), binary=True, min_df=2)
        seen = self._words.fit_transform(texts)
        labels = [[pole in poles for poles in wished] for pole in POLES] + [corrected]
        models = [LogisticRegression(solver="liblinear").fit(seen, label) for label in labels]
        self._weights = np.vstack([model.coef_ for model in models]).T
        self._biases = np.concatenate([model.intercept_ for model in models])
        self._read: dict[str, tuple[tuple[str, ...], bool]] = {}

    def heard(self, text: str) -> tuple[tuple[str, ...], bool]:
        """Poles whose probability is above one half and above their opposite's; whether a fact is to be put right."""
        if text not in self._read:
            # Log-odds, which rise with the probability.
            *poles, fact = (self._words.transform([text]) @ self._weights + self._biases)[0]
            named = [p for i, p in enumerate(POLES) if poles[i] > 0.0 and poles[i] > poles[i ^ 1]]
            self._read[text] = tuple(named), bool(fact > 0.0)
        return self._read[text]


@dataclass(frozen=True)
class World:
    """What every seed shares. topics and facts: aligned, what can be asked. ports: hold the shipped extractor."""

    topics: Sequence[Topic]
    facts: Sequence[Fact]
    reader: Reader
    ports: Ports

    def find(self, question: str) -> int:
        """Which topic a question is about."""
        said = question.lower()
        return max((len(a), i) for i, t in enumerate(self.topics) for a in t.asks if a.lower() in said)[1]


def world() -> World:
    """With the shipped extractor; NotFound where it has not been built."""
    folder = folder_of("signals")
    ports = Ports(load_text(folder if folder.is_absolute() else Path.cwd() / folder))
    return World(load_topics(FACTS), load_facts(), Reader(np.random.default_rng(15)), ports)


class Policy:
    """The sampler port of a tabular policy. owns: nothing. shares (kinds, actions): what it says unasked.

    It follows each thing it hears in a system prompt with probability FOLLOWED. deaf: it hears nothing.
    """

    def __init__(self, world: World, shares: Floats, deaf: bool = False) -> None:
        self._world = world
        self._shares = shares
        self._deaf = deaf

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> Sequence[Sampled]:
        rng = np.random.default_rng(sampling.seed)
        at, shares = self._asked(messages)
        drawn = rng.choice(len(ACTIONS), size=n, p=shares)
        return [Sampled(self._worded(at, action, rng), float(np.log(shares[action])), 1) for action in drawn]

    def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str
    ) -> Sequence[Likelihood]:
        at, shares = self._asked(messages)
        actions = [action_of(self._world.topics[at].read(text)) for text in continuations]
        return [Likelihood(float(np.log(shares[action])), 1) for action in actions]

    def _asked(self, messages: Sequence[Message]) -> tuple[int, Floats]:
        """The topic asked about and the shares of actions (A,) under what the system prompt says."""
        at = self._world.find(next(m.content for m in messages if m.role is Role.USER))
        shares = self._shares[KINDS.index(self._world.topics[at].kind)]
        told = " ".join(m.content for m in messages if m.role is Role.SYSTEM)
        if told and not self._deaf:
            poles, corrected = self._world.reader.heard(told)
            for pole in poles:
                shares = _moved(shares, [ACTIONS.index((_having(style, pole), right)) for style, right in ACTIONS])
            if corrected:
                shares = _moved(shares, [ACTIONS.index((style, True)) for style, _ in ACTIONS])
        return at, shares

    def _worded(self, at: int, action: int, rng: np.random.Generator) -> str:
        fact, (style, right) = self._world.facts[at], ACTIONS[action]
        if not right:
            # Another fact's quantity, none of whose numbers this one may hold.
            numbers = self._world.topics[at].numbers
            pool = zip(self._world.facts, self._world.topics, strict=True)
            others = [f for f, t in pool if not t.quantities & numbers]
            other = others[rng.integers(len(others))]
            fact = replace(fact, metric=other.metric, imperial=other.imperial)
        return fact.answer(Style(*style), rng)


def _moved(shares: Floats, to: Sequence[int]) -> Floats:
    return (1 - FOLLOWED) * shares + FOLLOWED * np.bincount(to, weights=shares, minlength=len(shares))


def _having(style: Poles, pole: str) -> Poles:
    return tuple(pole if pole in pair else had for had, pair in zip(style, ATTRIBUTES.values(), strict=True))


def action_of(reading: Reading) -> int:
    return ACTIONS.index((reading.poles, reading.right))


def habits() -> Floats:
    """(kinds, actions) of the untrained policy: the embedded base's habits of style, one fact in ten wrong."""
    table = np.empty((len(KINDS), len(ACTIONS)))
    for i, kind in enumerate(KINDS):
        for j, (style, right) in enumerate(ACTIONS):
            told = zip(style, ATTRIBUTES.values(), SKEW[kind], strict=True)
            share = np.prod([second if pole == pair[1] else 1 - second for pole, pair, second in told])
            table[i, j] = share * (1 - WRONG_AT_FIRST if right else WRONG_AT_FIRST)
    return table


@dataclass(frozen=True)
class Said:
    """One turn and the person who alone knows what they wanted."""

    person: Person
    topic: Topic
    turn: Turn


def traffic(world: World, shares: Floats, users: int, rng: np.random.Generator) -> list[Said]:
    """One question a user and the follow-ups of those who reply."""
    voice, policy, said = Voice(phrases(), rng), Policy(world, shares), []
    for person in people(users, "u", rng):
        topic = world.topics[rng.integers(len(world.topics))]
        question = voice.question(topic.kind, topic.asks)
        [answer] = policy.sample((Message(Role.USER, question),), Sampling(seed=int(rng.integers(2**31))), 1, "")
        reading = topic.read(answer.text)
        satisfied = rng.random() < person.satisfaction(topic.kind, reading)
        reply = voice.reply(person, topic.kind, reading, satisfied)
        if reply is None or world.topics[world.find(question)] is not topic:
            continue
        messages = (Message(Role.USER, question),)
        interaction = Interaction(
            event_id=f"e-{person.id}", interaction_id=f"i-{person.id}", user_id=person.id, messages=messages,
            response=answer.text, served=Served("assist", "now"),
        )  # fmt: skip
        feedback = Feedback(event_id=f"f-{person.id}", interaction_id=f"i-{person.id}", kind=FollowUp(reply.text))
        said.append(Said(person, topic, Turn(interaction, feedback)))
    return said


def read(world: World, said: Sequence[Said]) -> Sequence[Signal]:
    row = EXTRACTORS["minilm"]
    return row.make([s.turn for s in said], row.with_params(), world.ports)
