import pytest
from rejoinder.core.types import Abandon, Click, Copy, Polarity, Regenerate
from rejoinder.signals.extractors.actions import Params, extract


@pytest.mark.parametrize(
    ("kind", "polarity"),
    [
        (Regenerate(), Polarity.DSAT),
        (Abandon(after=2.0), Polarity.DSAT),
        (Copy(characters=400), Polarity.SAT),
        (Click("c", 1), Polarity.SAT),
    ],
)
def test_an_action_is_a_weak_signal_with_its_stated_confidence(kind, polarity, about, ports):
    (signal,) = extract([about(kind)], Params(), ports)
    assert signal.polarity is polarity
    assert signal.confidence < 0.7
    assert signal.reasons == ()


@pytest.mark.parametrize("kind", [Abandon(after=300.0), Abandon(after=None), Copy(characters=4)])
def test_leaving_late_and_copying_a_word_say_nothing(kind, about, ports):
    assert extract([about(kind)], Params(), ports) == ()
