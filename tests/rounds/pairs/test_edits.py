"""rounds/pairs/edits: what the user wrote is chosen, what was served rejected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rejoinder.core.types import Edit
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import edits
from rejoinder.rounds.pairs.context import Context, Draft, Dropped

Make = Callable[..., Evidence]


def test_an_edit_is_a_pair_whose_margin_is_the_share_changed(make_evidence: Make, context: Context) -> None:
    (draft,) = edits.build([make_evidence(1, Edit("It is 20 degrees Celsius."))], edits.Params(), context)
    assert isinstance(draft, Draft)
    assert (draft.preference.chosen, draft.preference.rejected) == (
        "It is 20 degrees Celsius.",
        "It is 68 degrees Fahrenheit.",
    )
    assert 0 < draft.preference.margin < 1


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("It is 68 degrees Fahrenheit.", "edit_too_small"),
        ("Something else altogether, my own words.", "edit_too_large"),
        (" ", "empty_response"),
    ],
)
def test_typos_other_texts_and_nothing_are_dropped(
    make_evidence: Make, context: Context, text: str, cause: str
) -> None:
    assert list(edits.build([make_evidence(1, Edit(text))], edits.Params(), context)) == [Dropped("f1", cause)]
