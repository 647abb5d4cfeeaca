import pytest
from rejoinder.core.types import FollowUp, Polarity
from rejoinder.signals.extractors.reask import Params, extract

ASKED = "How do I repair a leaking kitchen tap?"


@pytest.mark.parametrize(
    "again", [ASKED, "how can i repair my leaking kitchen tap", "Please: repair the leaking kitchen tap, how?"]
)
def test_the_question_asked_again_was_ignored(again, about, ports):
    (signal,) = extract([about(FollowUp(again), asked=ASKED)], Params(), ports)
    assert signal.polarity is Polarity.DSAT
    assert signal.reasons[0].rubric == "ignored"
    assert again[signal.reasons[0].start : signal.reasons[0].end] == again


@pytest.mark.parametrize(
    "new",
    ["How do I repair a leaking radiator?", "Thanks!", "And how long does it take?", "Who invented the tap?", "Tap?"],
)
def test_a_new_question_on_the_topic_is_not_a_repetition(new, about, ports):
    assert extract([about(FollowUp(new), asked=ASKED)], Params(), ports) == ()


def test_the_last_question_is_the_one_that_counts(about, ports):
    assert extract([about(FollowUp(ASKED), asked="What is a tap?")], Params(), ports) == ()
