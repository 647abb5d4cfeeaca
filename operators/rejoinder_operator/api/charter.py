"""The charter as loops and rollouts carry it: what an assistant must never do, as its stakeholders agreed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from rejoinder_operator.api.fields import Part, rule, rules

# Kubernetes reads a pattern when it is used: one that cannot be read refuses the object, whatever it would find.
_READABLE = rule("''.matches(self) in [true, false]", "is a regular expression of RE2")
# A parenthesis after an odd number of backslashes begins no group.
_PLAIN = rule(
    r"!self.matches(r'(^|[^\\])(\\\\)*[(][?][^:]')",
    "a group begins with ( or (?: alone: no flags, names or look-arounds",
)


def _pattern(default: str = "") -> Any:
    return Field(default=default, max_length=500, json_schema_extra=rules(_READABLE, _PLAIN))


class NormSpec(Part):
    """One norm and the rule that tells whether an answer breaks it: one of forbid, require and mostWords. Patterns are
    regular expressions that are searched for, letter case aside: RE2 without flags, names and unicode classes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.forbid != '' ? 1 : 0) + (self.require != '' ? 1 : 0) + (self.mostWords > 0 ? 1 : 0) == 1",
                "give one of forbid, require and mostWords, and no second one",
            )
        )
    )

    id: str = Field(max_length=63, pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """A stable word; it is told wherever the norm is broken."""
    text: str = Field(min_length=1, max_length=2000)
    """What was agreed."""
    owner: str = Field(min_length=1, max_length=256)
    """Who answers for it."""
    approvals: tuple[str, ...] = Field(default=(), max_length=16)
    """Who agreed, and when."""
    asked: str = _pattern()
    """The norm applies where this stands in the user's last message; empty: always."""
    forbid: str = _pattern()
    """Must not stand in the answer."""
    require: str = _pattern()
    """Must stand in it."""
    most_words: int = Field(default=0, ge=0, le=9_999)
    """Words of the longest answer, of the 20,000 characters that are read; 0 for any number."""
    severity: Literal["veto", "report"] = "veto"
    """veto stops what breaks it; report is counted."""


class CharterSpec(Part):
    """A versioned list of norms; its digest stands in what was decided by it."""

    version: str = Field(min_length=1, max_length=64)
    """The owners' own name of this wording."""
    norms: tuple[NormSpec, ...] = Field(
        min_length=1,
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
    )
    """What answers are held against."""


def plain_of(charter: CharterSpec | None) -> dict[str, Any] | None:
    """As `rejoinder.core.charter.of` takes it."""
    return None if charter is None else charter.model_dump(mode="json")
