from rejoinder.core.rubric import NAMES
from rejoinder.signals.keywords import PATTERNS, reasons


def test_every_reason_has_a_pattern():
    assert tuple(PATTERNS) == NAMES


def test_plain_words_are_found_and_quoted_ones_are_mistaken_for_evidence():
    assert reasons("ok thanks, but that is too long") == {"acknowledgement", "gratitude", "style"}
    # What the floor cannot do: the words are another's.
    assert reasons('My boss said "this is useless", what now?') == {"negative_feedback"}
