"""The `Summariser` port's rows: from a user's feedback to one line that a system prompt can carry.

`embedded` needs no language model and is honest about it: the rubric's sentence, then the user's words quoted. `policy`
asks the policy itself; `endpoint` asks any OpenAI-compatible server (its call is injected, so no client stands here).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from rejoinder.core.rubric import RUBRIC
from rejoinder.core.table import Row, Table
from rejoinder.core.types import Comment, FollowUp, Message, Role, Sampling
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.context import Sampler, Wish

#: Longer feedback is quoted up to here, in characters, at a word's end: a system prompt is no place for an essay.
QUOTE_CHARS = 300

ASK = (
    "A user reacted to the assistant's last answer. In one short sentence that starts with a verb, say how the answer "
    "should have been. Do not quote the user, do not answer the question."
)


def said(evidence: Evidence) -> str:
    """The user's words in this feedback."""
    kind = evidence.feedback.kind
    return kind.text.strip() if isinstance(kind, FollowUp | Comment) else ""


class Embedded:
    """The rubric's sentence and the user's words. owns: nothing."""

    def summarise(self, evidence: Evidence) -> Wish | None:
        words = said(evidence)
        if not words:
            return None
        reasons = evidence.signal.reasons if evidence.signal else ()
        sentence = RUBRIC[reasons[0].rubric].wish if reasons and reasons[0].rubric in RUBRIC else ""
        quoted = words if len(words) <= QUOTE_CHARS else words[:QUOTE_CHARS].rsplit(" ", 1)[0]
        # JSON, because no text in it can end its own quotation and go on as the system's words.
        quotation = json.dumps(" ".join(quoted.split()), ensure_ascii=False)
        return Wish(f"{sentence} The user said: {quotation}".strip(), "embedded")


class Asked:
    """A model is asked. owns: nothing. ask: messages → one line; "" means it had nothing to say."""

    def __init__(self, ask: Callable[[Sequence[Message]], str], rule: str) -> None:
        self._ask = ask
        self._rule = rule

    def summarise(self, evidence: Evidence) -> Wish | None:
        words = said(evidence)
        if not words:
            return None
        talk = (
            Message(Role.SYSTEM, ASK),
            *(m for m in evidence.interaction.messages if m.role is not Role.SYSTEM),
            Message(Role.ASSISTANT, evidence.interaction.response),
            Message(Role.USER, words),
        )
        line = " ".join(self._ask(talk).split())
        return Wish(line, self._rule) if line else None


def embedded() -> Embedded:
    return Embedded()


def by_policy(sampler: Sampler, version: str = "") -> Asked:
    """Asks the policy, greedily."""
    return Asked(lambda talk: sampler.sample(talk, Sampling(max_tokens=48), 1, version)[0].text, "policy")


def by_endpoint(chat: Callable[[Sequence[Message]], str]) -> Asked:
    """Asks an OpenAI-compatible server through `chat`."""
    return Asked(chat, "endpoint")


SUMMARISERS = Table(
    "summariser",
    Row("embedded", embedded, claim="the rubric's sentence and the user's own words, quoted"),
    Row("policy", by_policy, paper="2408.15549", claim="the policy's own summary"),
    Row("endpoint", by_endpoint, paper="2408.15549", claim="a configured server's summary"),
)
