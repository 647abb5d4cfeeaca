"""A chat request as plain values: what the body and the headers say, checked as far as both upstreams need it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.datastructures import Headers

from rejoinder.core.errors import BadEncoding
from rejoinder.core.ids import MAX_PARTS, canonical_json, check_name
from rejoinder.core.types import Consent, Interaction, Message, Role, Sampling
from rejoinder.gateway.errors import BadParameter
from rejoinder.runtime.call import Principal

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
_CONSENTS = {"": Consent.UNSPECIFIED, "train": Consent.TRAIN, "no-train": Consent.NO_TRAIN}
#: 2000-01-01, and a day ahead: a time outside is a clock that was never set.
_EARLIEST, _AHEAD_S = 946_684_800.0, 86_400.0
_SEEDS = 2**63


@dataclass(frozen=True)
class Asked:
    """body: as it came. interaction: what it says about whom it is for, what is asked and how it is sampled."""

    body: Mapping[str, Any]
    model: str
    stream: bool
    include_usage: bool
    n: int
    interaction: Interaction


def asked_of(body: Mapping[str, Any], headers: Headers, caller: Principal, now: float, max_choices: int) -> Asked:
    """now: seconds since the epoch. Raises BadParameter, ForeignTenant, and what check_name raises."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadParameter("you must provide a model parameter", "model", "missing_required_parameter")
    check_name("model", model)
    stream = _flag(body, "stream")
    options = body.get("stream_options") or {}
    if not isinstance(options, Mapping):
        raise BadParameter("stream_options must be an object", "stream_options", "invalid_type")
    if options and not stream:
        raise BadParameter("stream_options is allowed only when stream is true", "stream_options")
    n = _whole(body, "n", 1, max_choices) or 1
    said = said_of(headers, body, caller, now)
    said = replace(said, messages=messages_of(body.get("messages")), sampling=sampling_of(body))
    return Asked(body, model, stream, _flag(options, "include_usage"), n, said)


def said_of(headers: Headers, body: Mapping[str, Any], caller: Principal, now: float) -> Interaction:
    """What the `x-rejoinder-` headers say about whom it is for; the user, where they do not, as OpenAI's `user`."""
    given = {name: _header(headers, name) for name in ("tenant", "user", "conversation", "interaction", "parent")}
    user = given["user"] or body.get("user") or body.get("safety_identifier") or ""
    if not isinstance(user, str):
        raise BadParameter("user must be a string", "user", "invalid_type")
    check_name("user", user)
    tenant = given["tenant"]
    if not tenant and caller.tenants is not None and len(caller.tenants) == 1:
        tenant = next(iter(caller.tenants))
    caller.check_tenant(tenant)
    consent = _header(headers, "consent").lower()
    if consent not in _CONSENTS:
        raise BadParameter("x-rejoinder-consent must be train or no-train", "x-rejoinder-consent")
    turn = _header(headers, "turn") or "0"
    if not (turn.isascii() and turn.isdigit() and len(turn) < 8):
        raise BadParameter("x-rejoinder-turn must be a whole number", "x-rejoinder-turn")
    return Interaction(
        tenant=tenant or "default",
        user_id=user,
        conversation_id=given["conversation"],
        conversation_started_at=_began(_header(headers, "conversation-started"), now),
        interaction_id=given["interaction"],
        parent_interaction_id=given["parent"],
        turn=int(turn),
        consent=_CONSENTS[consent],
        principal=caller.name,
        source="front",
    )


def messages_of(said: Any) -> tuple[Message, ...]:
    """The conversation in text: parts that are no text stand as `[type]`, calls of tools as JSON."""
    if not isinstance(said, Sequence) or isinstance(said, str) or not said:
        raise BadParameter("messages must be a list with at least one message", "messages", "invalid_type")
    if len(said) > MAX_PARTS:
        raise BadParameter(f"at most {MAX_PARTS} messages are taken", "messages", "array_above_max_length")
    return tuple(_message(f"messages[{number}]", message) for number, message in enumerate(said))


def with_tools(text: str, calls: Sequence[tuple[str, str]]) -> str:
    """An assistant's turn in text. calls: (name, arguments) of the functions it called."""
    if not calls:
        return text
    named = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return f"{text}\n{canonical_json({'tool_calls': named})}".lstrip("\n")


def sampling_of(body: Mapping[str, Any]) -> Sampling:
    """How the answer is to be sampled, with OpenAI's defaults and ranges."""
    temperature, top_p = _number(body, "temperature", 2.0), _number(body, "top_p", 1.0)
    limit = _whole(body, "max_completion_tokens", 1) or _whole(body, "max_tokens", 1) or 0
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise BadParameter("seed must be an integer", "seed", "invalid_type")
    # 0 is nobody's seed here: it draws one. A caller's 0 is another number, always the same.
    drawn = 0 if seed is None else seed % _SEEDS or _SEEDS - 1
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(each, str) and each for each in stops):
        raise BadParameter("stop must be a string or a list of strings, none empty", "stop", "invalid_type")
    return Sampling(
        temperature=1.0 if temperature is None else temperature,
        top_p=top_p or 0.0,
        # -1 is vLLM's word for none.
        top_k=max(0, _whole(body, "top_k", -1) or 0),
        max_tokens=limit,
        seed=drawn,
        stop=tuple(stops),
    )


def _message(at: str, said: Any) -> Message:
    if not isinstance(said, Mapping):
        raise BadParameter("a message must be an object", at, "invalid_type")
    role = _ROLES.get(said["role"]) if isinstance(said.get("role"), str) else None
    if role is None:
        raise BadParameter(f"role must be one of {', '.join(_ROLES)}", f"{at}.role", "invalid_value")
    calls, given = [], said.get("tool_calls") or []
    for call in given if isinstance(given, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            calls.append((str(function.get("name", "")), str(function.get("arguments", ""))))
    return Message(role, with_tools(_text(f"{at}.content", said.get("content")), calls))


def _text(at: str, content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise BadParameter("content must be a string or a list of parts", at, "invalid_type")
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(kind, str):
            raise BadParameter("a part of a content must be an object with a type", at, "invalid_type")
        text = part.get(kind) if kind in ("text", "refusal") else None
        parts.append(text if isinstance(text, str) else f"[{kind[:32]}]")
    return "\n".join(parts)


def _header(headers: Headers, name: str) -> str:
    """Header values come as latin-1; ids beyond ASCII are sent as UTF-8. Raises BadEncoding, TooLong."""
    field = f"x-rejoinder-{name}"
    if len(headers.getlist(field)) > 1:
        raise BadEncoding(f"more than one {field} header", field=field)
    try:
        text = headers.get(field, "").strip(" \t").encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise BadEncoding(f"{field} is not UTF-8", field=field) from None
    check_name(field, text)
    return text


def _began(text: str, now: float) -> float | None:
    """Seconds since the epoch."""
    if not text:
        return None
    try:
        began = float(text)
    except ValueError:
        began = math.nan
    if not _EARLIEST <= began <= now + _AHEAD_S:
        raise BadParameter("must be seconds since 1970, after 1999 and not ahead", "x-rejoinder-conversation-started")
    return began


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadParameter(f"{name} must be a boolean", name, "invalid_type")
    return bool(value)


def _number(body: Mapping[str, Any], name: str, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadParameter(f"{name} must be a number", name, "invalid_type")
    if not 0 <= value <= most:
        raise BadParameter(f"{name} must lie in [0, {most:g}]", name, "decimal_above_max_value")
    return float(value)


def _whole(body: Mapping[str, Any], name: str, least: int, most: int = 2**31 - 1) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadParameter(f"{name} must be an integer", name, "invalid_type")
    if not least <= value <= most:
        raise BadParameter(f"{name} must lie in [{least}, {most}]", name, "integer_out_of_range")
    return value
