import pytest
from rejoinder.core.types import Polarity, Rating
from rejoinder.signals.extractors.ratings import Params, extract, score_of


def stars(number, low=1.0, high=5.0):
    return Rating(name="stars", number=number, scale_min=low, scale_max=high)


@pytest.mark.parametrize(
    ("rating", "polarity", "level"),
    [
        (stars(5), Polarity.SAT, 5.0),
        (stars(4), Polarity.SAT, 4.0),
        (stars(3), Polarity.NONE, 3.0),
        (stars(1), Polarity.DSAT, 1.0),
        (stars(1, -1, 1), Polarity.SAT, 5.0),
        (stars(-1, -1, 1), Polarity.DSAT, 1.0),
        (Rating(category="down", categories=("down", "up")), Polarity.DSAT, 1.0),
        (Rating(category="Good", categories=("Poor", "Not Good", "Passable", "Good", "Excellent")), Polarity.SAT, 4.0),
    ],
)
def test_a_rating_is_read_on_its_own_scale(rating, polarity, level, about, ports):
    (signal,) = extract([about(rating)], Params(), ports)
    assert signal.polarity is polarity
    assert signal.level == pytest.approx(level)


def test_the_same_number_means_different_things_on_different_scales():
    assert score_of(stars(4, 1, 5)) > 0 > score_of(stars(4, 0, 10))


@pytest.mark.parametrize(
    "rating",
    [stars(6), stars(3, 5, 1), stars(None), Rating(number=4), Rating(category="ok", categories=("bad", "good"))],
)
def test_a_rating_off_its_scale_or_without_one_is_no_signal(rating, about, ports):
    """F08."""
    assert extract([about(rating)], Params(), ports) == ()
