"""What an event must be to be taken: rules on plain values, the first broken one raises its error.

Every string of an event is an id or a name (short, printable) unless it is listed as a text: a field added to the
protos is held to the stricter rule until somebody says otherwise.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any, cast

from google.protobuf.message import Message as ProtoMessage

from rejoinder.core.compiled import fields, is_part, kept, made
from rejoinder.core.errors import EmptyField, InvalidArgument, TooLong
from rejoinder.core.ids import MAX_NAME_BYTES, check_name
from rejoinder.core.types import (
    Choice,
    Click,
    Comment,
    Comparison,
    Edit,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Outcome,
    RankedCandidate,
    Rating,
    Role,
    Served,
)
from rejoinder.feedback.settings import LimitSettings

#: Users' and models' words; `stop` holds sampling's stop sequences, which may be line ends.
TEXTS = frozenset({"content", "response", "text", "query", "stop"})
TIMES = frozenset({"occurred_at", "accepted_at", "conversation_started_at"})
#: Numbers that may be below zero.
_SIGNED = frozenset({"number", "value", "scale_min", "scale_max", "log_prob", "score"})

#: A name of so many characters is no longer than MAX_NAME_BYTES whatever they are.
_SHORT = MAX_NAME_BYTES // 4

#: 2000-01-01, seconds since the epoch: a time before it is a clock that was never set.
_EARLIEST = 946_684_800.0


#: Fields of an event's message that repeat: "" or the message that they stand in, and their name.
_REPEATED = (("", "messages"), ("ranking", "candidates"), ("sampling", "stop"), ("rating", "categories"))


def check_parts(message: ProtoMessage, limits: LimitSettings) -> None:
    """Of an event as it came, before anything is made of its parts. Raises TooLong."""
    for inside, last in _repeated_of(message.DESCRIPTOR):
        if inside and not message.HasField(inside):
            continue
        count = len(getattr(getattr(message, inside) if inside else message, last))
        if count > limits.max_parts:
            raise TooLong(f"{inside}.{last}" if inside else last, count, limits.max_parts, "items")


@kept
def _repeated_of(descriptor: Any) -> Sequence[tuple[str, str]]:
    """Those of `_REPEATED` that a message has."""
    known = descriptor.fields_by_name
    return [(inside, last) for inside, last in _REPEATED if (inside or last) in known]


def check_event(event: Interaction | Feedback, limits: LimitSettings, now: float) -> None:
    """Raises a class of InvalidArgument whose metadata names the field; `now` is seconds since the epoch."""
    short = min(_SHORT, limits.max_id_chars)
    if not _plainly_good(type(event))(event, short, limits.max_text_bytes, now + limits.max_ahead_s):
        _check_values(event, "", limits, now)
    if isinstance(event, Feedback):
        _check_feedback(event)
    else:
        _check_interaction(event)


@kept
def _plainly_good(cls: type) -> Callable[[Any, int, int, float], bool]:
    """(value, characters of a short name, bytes of a text, latest time) → True when `_check_values` would find nothing
    at fault, told by one expression over all fields: what nearly every event is. False says nothing."""
    known: dict[str, Any] = {"earliest": _EARLIEST, "inf": math.inf}
    strings: list[str] = []
    tests: list[str] = []
    for name, hint in fields(cls).items():
        value, kind = f"v.{name}", typing.get_origin(hint) or hint
        if isinstance(hint, tuple):
            known[f"good_{name}"] = {type(None): _nothing, **{each: _plainly_good(each) for each in hint}}
            tests.append(f"good_{name}[type({value})]({value}, short, text, latest)")
        elif is_part(hint):
            known[f"good_{name}"] = _plainly_good(hint)
            tests.append(f"({value} is None or good_{name}({value}, short, text, latest))")
        elif kind is tuple and is_part(inner := typing.get_args(hint)[0]):
            known[f"good_{name}"] = _plainly_good(inner)
            tests.append(f"all([good_{name}(each, short, text, latest) for each in {value}])")
        elif kind is tuple:
            tests.append(f"not {value}")
        elif name in TIMES:
            tests.append(f"({value} is None or earliest <= {value} <= latest)")
        elif kind is float or kind is int:
            tests.append(f"({value} is None or {'-inf <' if name in _SIGNED else '0 <='} {value} < inf)")
        elif kind is bytes:
            tests.append(f"len({value}) <= text")
        elif name in TEXTS:
            # No character takes more than four bytes.
            tests.append(f"4 * len({value}) <= text")
        elif kind is str:
            strings.append(f"({value} or '')")
    if strings:
        tests += [f"len({string}) <= short" for string in strings] + [f"({' + '.join(strings)}).isprintable()"]
    return cast(Callable[..., bool], made("good(v, short, text, latest)", [f"return {' and '.join(tests)}"], known))


def _nothing(value: None, short: int, text: int, latest: float) -> bool:
    return True


def _check_values(value: Any, above: str, limits: LimitSettings, now: float) -> None:
    for f in dataclasses.fields(value):
        items = getattr(value, f.name)
        for item in items if isinstance(items, tuple) else (items,):
            path = f"{above}{f.name}"
            if dataclasses.is_dataclass(item):
                _check_values(item, f"{path}.", limits, now)
            elif isinstance(item, bool) or item is None:
                continue
            elif f.name in TIMES:
                _check_time(path, item, now + limits.max_ahead_s)
            elif isinstance(item, (int, float)):
                _check_number(path, f.name, item)
            elif isinstance(item, bytes):
                _check_size(path, len(item), limits.max_text_bytes)
            elif f.name in TEXTS:
                _check_size(path, len(item.encode("utf-8", "surrogatepass")), limits.max_text_bytes)
            else:
                check_name(path, item, limits.max_id_chars)


def _check_time(field: str, seconds: float, latest: float) -> None:
    if not _EARLIEST <= seconds <= latest:
        raise InvalidArgument(f"{field} is before 2000 or ahead of the clock", field=field)


def _check_number(field: str, name: str, value: float) -> None:
    if not math.isfinite(value):
        raise InvalidArgument(f"{field} is not a finite number", field=field)
    if value < 0 and name not in _SIGNED:
        raise InvalidArgument(f"{field} must not be below zero", field=field)


def _check_size(field: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLong(field, size, limit)


def _require(field: str, value: object) -> None:
    if not value:
        raise EmptyField(field)


def _check_feedback(event: Feedback) -> None:
    if event.sealed:
        return
    match event.kind:
        case None:
            raise EmptyField("kind")
        case FollowUp(text) | Comment(text) | Edit(text):
            _require(f"{event.kind_name}.text", text.strip())
        case Rating():
            _check_rating(event.kind)
        case Comparison(other, _, choice):
            _require("comparison.other_interaction_id", other)
            _require("comparison.choice", choice is not Choice.UNSPECIFIED)
        case Click(candidate, position):
            _require("click.candidate_id", candidate)
            _require("click.position", position)
        case Outcome(name, _):
            _require("outcome.name", name)


def _check_rating(rating: Rating) -> None:
    if rating.number is None and not rating.category:
        raise EmptyField("rating.value")
    scaled = (rating.scale_min, rating.scale_max) != (0.0, 0.0)
    if scaled and rating.number is not None and not rating.scale_min <= rating.number <= rating.scale_max:
        raise InvalidArgument("rating.number lies outside its scale", field="rating.number")
    if rating.category and rating.categories and rating.category not in rating.categories:
        raise InvalidArgument("rating.category is none of its categories", field="rating.category")


def _check_interaction(event: Interaction) -> None:
    if event.served is not None:
        _check_served(event.served)
    if event.ranking is not None:
        _require("ranking.candidates", event.ranking.candidates)
        for candidate in event.ranking.candidates:
            _check_candidate(candidate)
        return
    if event.sealed:
        return
    _require("messages", event.messages)
    for message in event.messages:
        _check_message(message)


def _check_message(message: Message) -> None:
    _require("messages.role", message.role is not Role.UNSPECIFIED)
    if message.role is Role.USER:
        _require("messages.content", message.content.strip())


def _check_served(served: Served) -> None:
    _check_share("served.propensity", served.propensity)
    _check_share("served.bucket", served.bucket)


def _check_candidate(candidate: RankedCandidate) -> None:
    _require("ranking.candidates.id", candidate.id)
    _check_share("ranking.candidates.propensity", candidate.propensity)


def _check_share(field: str, value: float) -> None:
    if value > 1.0:
        raise InvalidArgument(f"{field} must not be above one", field=field)
