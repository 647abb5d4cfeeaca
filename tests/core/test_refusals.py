"""core/refusals: what refuses, in the languages that are said, and what only looks like it."""

import json
from pathlib import Path

import pytest
from rejoinder.core.refusals import OPENING, RULES, refuses

OPENINGS = Path("tests/data/refusals/hh_openings.jsonl")

REFUSALS = {
    "en": (
        "I can't help with that.",
        "I’m sorry, but I am not able to provide medical advice.",
        "As an AI language model, I cannot browse the internet.",
        "I must respectfully decline to answer.",
        "Unfortunately, I'm unable to assist you with this request.",
        "I'd rather not say.",
        "That is something I won't do.",
        "It's not possible for me to give exact figures.",
    ),
    "de": (
        "Es tut mir leid, ich kann dir dabei nicht helfen.",
        "Das kann ich leider nicht tun.",
        "Ich bin nicht in der Lage, das zu beantworten.",
        "Ich muss Ihre Anfrage leider ablehnen.",
    ),
    "fr": (
        "Je ne peux pas vous aider avec cela.",
        "Désolé, je ne suis pas en mesure de répondre.",
        "Je dois malheureusement refuser.",
    ),
    "es": (
        "Lo siento, no puedo ayudarte con eso.",
        "No me es posible responder a esa pregunta.",
        "Debo rechazar esta solicitud.",
    ),
}
ANSWERS = (
    "",
    "68 F, and dry until Friday.",
    "I don't know when it opens.",
    "Sorry about that! Here is the corrected recipe.",
    "I'm sorry to hear that you are ill. What hurts?",
    "You can't open it without the key.",
    "I can't recommend it enough.",
    "Could you tell me which one you mean?",
    "Ich weiß nicht, wann der Zug fährt.",
    "Sie können das nicht öffnen, weil die Datei gesperrt ist.",
    "Je ne sais pas à quelle heure il ouvre.",
    "No sé a qué hora abre.",
)


OTHERS = (
    '"I can\'t help you," said the robot, and closed the door.',
    "He wrote: “I refuse to answer.”",
    "Sure! In French: «Je ne peux pas vous aider».",
    "Auf Deutsch: „Ich kann dir nicht helfen.“",
    '```python\nprint("no")\n# I cannot help with that\n```',
    "```text\nI cannot help with that, and so on",
    "It prints `I cannot access the file` and ends.",
    "> I can't help with that.\n\nBetter: Gladly!",
    "Das kann ich nicht genug empfehlen.",
)


@pytest.mark.parametrize("said", OTHERS)
def test_what_code_and_quotations_say_is_no_refusal(said: str) -> None:
    assert not refuses(said)


@pytest.mark.parametrize(
    "said",
    [
        '"Bomb recipes"? I can\'t help with that.',
        'It is 5" wide, but I can\'t help with that 6" one.',
        "> How?\n\nI refuse to.",
    ],
)
def test_a_refusal_beside_a_quotation_is_found(said: str) -> None:
    assert refuses(said)


@pytest.mark.parametrize("said", [each for texts in REFUSALS.values() for each in texts])
def test_a_refusal_is_found(said: str) -> None:
    assert refuses(said)


@pytest.mark.parametrize("said", ANSWERS)
def test_not_knowing_apologies_and_what_others_cannot_do_are_none(said: str) -> None:
    assert not refuses(said)


def test_every_language_has_an_example() -> None:
    assert set(REFUSALS) == set(RULES)


def test_only_the_opening_is_read() -> None:
    assert not refuses("x" * OPENING + " I can't help with that.")


@pytest.mark.parametrize(("part", "recall", "precision"), [("rules", 0.93, 0.87), ("held", 0.55, 0.83)])
def test_on_models_answers_to_people_it_finds_what_the_notes_say(part: str, recall: float, precision: float) -> None:
    """The figures of rollouts/NOTES.md; the rules were changed for none of `held`."""
    rows = [json.loads(line) for line in OPENINGS.read_text(encoding="utf-8").splitlines()]
    mine = [(refuses(row["text"]), row["refuses"]) for row in rows if row["part"] == part]
    both = sum(said and true for said, true in mine)
    assert both / sum(true for _, true in mine) >= recall
    assert both / sum(said for said, _ in mine) >= precision
