"""Row 106, second phase: what the mask does exactly, and that in this world it costs what it was claimed to gain."""

import pytest

from tests.miniatures import thoughts
from tests.miniatures.paired import said
from tests.miniatures.size import LONG, SHORT


@pytest.fixture(scope="module")
def found():
    return thoughts.measure(LONG)


def test_thoughts_that_are_not_counted_are_where_they_were():
    masked = thoughts.fit(thoughts.world(SHORT), thoughts.MASKED, thoughts.ANSWER)
    assert thoughts.good_thoughts(masked) == pytest.approx([thoughts.GOOD / thoughts.THOUGHTS] * len(SHORT), abs=1e-12)
    assert (thoughts.accuracy(masked) > thoughts.accuracy(thoughts.reference().expand(len(SHORT), -1)) + 0.1).all()


def test_credit_that_reaches_the_thoughts_helps_them(found):
    """The claim turned round, which is what this world shows; thoughts alone compared fall further still."""
    assert all(claim.interval.high < 0 for claim in found.claims), said(found.claims)
    for claim, control in zip(found.claims, found.control, strict=True):
        assert control.interval.high < claim.interval.low, said(found.control)
