from rejoinder.core.types import Edit, Polarity
from rejoinder.signals.extractors.edit import Params, distance, extract

ANSWER = "The river Tiber runs through Rome and reaches the sea at Ostia after some four hundred kilometres of course."


def signal_of(text, about, ports):
    return extract([about(Edit(text), response=ANSWER)], Params(), ports)


def test_distance_is_the_share_of_words_that_were_not_kept():
    assert distance("a b c d", "a b c d", 100) == 0.0
    assert distance("a b c d", "w x y z", 100) == 1.0
    assert distance("a b c d", "a b x y", 100) == 0.5


def test_the_more_is_changed_the_stronger_the_dissatisfaction(about, ports):
    words = ANSWER.split()
    strengths = []
    for changed in (4, 8, 16):
        (signal,) = signal_of(" ".join(["new"] * changed + words[changed:]), about, ports)
        assert signal.polarity is Polarity.DSAT
        strengths.append(signal.strength)
    assert strengths == sorted(set(strengths))


def test_a_touch_up_speaks_for_the_answer_and_no_change_says_nothing(about, ports):
    long = " ".join([ANSWER] * 4)
    evidence = about(Edit(long.replace("some", "about", 1)), response=long)
    (signal,) = extract([evidence], Params(), ports)
    assert signal.polarity is Polarity.SAT
    assert extract([about(Edit(long), response=long)], Params(), ports) == ()
