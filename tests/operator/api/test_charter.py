"""operator/api/charter: the API server refuses the groups that the core does not take, and no others."""

from __future__ import annotations

import re

import pytest
from rejoinder.core.charter import MOST_WORDS
from rejoinder.core.errors import BadSettings
from rejoinder.core.patterns import check
from rejoinder_operator.api.charter import NormSpec

FIELDS = NormSpec.model_json_schema()["properties"]
(GROUP,) = [
    found[1] for told in FIELDS["asked"]["x-kubernetes-validations"] if (found := re.search("r'(.+)'", told["rule"]))
]


@pytest.mark.parametrize(
    "pattern",
    [r"\(?\d{3}\)?", r"a\(?b", r"(?:a)", r"\\\(?a", "(?i)a", "a(?=b)", r"\\(?i)a", r"a\\(?i)a", "((?!a))"],
)
def test_a_group_is_refused_where_the_core_refuses_it(pattern: str) -> None:
    try:
        check(pattern)
    except BadSettings:
        assert re.search(GROUP, pattern)
    else:
        assert not re.search(GROUP, pattern)


def test_the_longest_limit_is_the_cores() -> None:
    limit = FIELDS["mostWords" if "mostWords" in FIELDS else "most_words"]
    assert limit["maximum"] == MOST_WORDS
