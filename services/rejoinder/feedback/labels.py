"""People's labels: what they must be, and the signals of the extractor `human` that they become.

A label's signal is named after the event, the attempt, who labelled and the caller's name for it, so that a form sent
twice is one label, and two people's labels of one event are two.
"""

from __future__ import annotations

from rejoinder.core import human
from rejoinder.core.errors import EmptyField, InvalidArgument, TooLong
from rejoinder.core.ids import check_name, digest_of, uuid7
from rejoinder.core.rubric import RUBRIC
from rejoinder.core.types import Label, Polarity, Reason, Signal

_NAMES = ("tenant", "event_id", "source_event_id", "interaction_id", "attempt_id", "user_id")


def check_label(label: Label) -> None:
    """Raises a class of InvalidArgument whose metadata names the field."""
    for name in _NAMES:
        check_name(name, getattr(label, name))
    if "/" in label.event_id:
        # Its signal's version is who labelled, a stroke, and this: what stands before the last stroke is a person.
        raise InvalidArgument("a label's event_id must hold no stroke", field="event_id")
    for name in ("source_event_id", "interaction_id"):
        if not getattr(label, name):
            raise EmptyField(name)
    if label.polarity is Polarity.UNSPECIFIED:
        raise EmptyField("polarity")
    if len(label.reasons) > len(RUBRIC):
        raise TooLong("reasons", len(label.reasons), len(RUBRIC), "items")
    for reason in label.reasons:
        row = RUBRIC.get(reason.rubric)
        if row is None or row.pole is not label.polarity:
            raise InvalidArgument("a reason must be of the rubric, and of the label's polarity", field="reasons.rubric")
        if not 0 <= reason.start <= reason.end:
            raise InvalidArgument("a span must begin before it ends", field="reasons.start")


def signal_of(label: Label, principal: str, now: float) -> Signal:
    """The signal of a label that was checked. Its version says who spoke."""
    version = f"{principal}/{label.event_id or uuid7(now)}"
    return Signal(
        tenant=label.tenant or "default",
        event_id=digest_of([label.source_event_id, label.attempt_id, human.EXTRACTOR, version]),
        source_event_id=label.source_event_id,
        interaction_id=label.interaction_id,
        attempt_id=label.attempt_id,
        user_id=label.user_id,
        polarity=label.polarity,
        confidence=human.CONFIDENCE,
        strength=human.strength(label.polarity),
        reasons=tuple(Reason(each.rubric, human.CONFIDENCE, each.start, each.end) for each in label.reasons),
        extractor=human.EXTRACTOR,
        extractor_version=version,
        accepted_at=now,
    )
