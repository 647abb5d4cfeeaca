"""signals/audit/ask: the sheet has the words of the drawn turns, the design what was said of them and no more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rejoinder.clients.ledger import Evidence as Numbered
from rejoinder.core.errors import NotFound
from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.core.types import Feedback, FollowUp, Interaction, Message, Polarity, Role
from rejoinder.signals.audit.ask import ask
from rejoinder.signals.calibration import Calibration
from rejoinder.signals.extractors.evidence import TextModel
from rejoinder.signals.extractors.minilm import UNREAD
from rejoinder.signals.recalibration import Recalibration

from tests.signals.audit.test_sample import One
from tests.signals.extractors.conftest import WordListScorer, WordTokenizer

TOKENIZER = WordTokenizer()
OWN = Recalibration(model="words@0", temperature=3.0)
TEXT = TextModel(WordListScorer(TOKENIZER), TOKENIZER, Calibration(), (), "words@0", own=OWN)
WORDS = {"f1": "thanks", "f2": "that is wrong", "f3": "and Lyon?", "f4": "das ist nicht richtig"}
SAID = [
    One("f1", Polarity.SAT, 0.7),
    One("f2", Polarity.DSAT, 0.6),
    One("f3", Polarity.NONE, 0.5),
    One("f4", Polarity.NONE, 0.34, (UNKNOWN_LANGUAGE,)),
]


def pieces(ids: Sequence[str]) -> list[Numbered]:
    asked = (Message(Role.USER, "Where?"), Message(Role.ASSISTANT, "Why?"), Message(Role.USER, "Where is Rome?"))
    about = Interaction(messages=asked, response="On the Tiber.")
    return [Numbered(1, about, Feedback(event_id=name, kind=FollowUp(WORDS[name]))) for name in ids if name in WORDS]


def test_the_design_has_shipped_probabilities_and_the_confidence_that_was_said() -> None:
    turns, design = ask(SAID, pieces, TEXT, 10, 0)
    assert {turn.id: (turn.asked, turn.answer, turn.followup) for turn in turns} == {
        name: ("Where is Rome?", "On the Tiber.", words) for name, words in WORDS.items()
    }
    assert (design.version, design.model) == (TEXT.version, "words@0")
    assert design.version.startswith("words@0+")
    assert {name: (read.stratum, read.confidence) for name, read in design.turns.items()} == {
        "f1": ("SAT", 0.7),
        "f2": ("DSAT", 0.6),
        "f3": ("none", 0.5),
        "f4": (UNKNOWN_LANGUAGE, 0.34),
    }
    # As the encoder has them, before the deployment's own temperature of 3.
    assert max(design.turns["f1"].p) > 0.8
    assert design.turns["f4"].p == UNREAD


def test_a_turn_that_is_gone_is_left_out_and_none_at_all_is_said() -> None:
    turns, design = ask([*SAID, One("gone", Polarity.SAT)], pieces, TEXT, 10, 0)
    assert "gone" not in design.turns
    assert design.population["SAT"] == 2
    assert len(turns) == 4
    with pytest.raises(NotFound, match="rejoinder signals run"):
        ask([], pieces, TEXT, 10, 0)
