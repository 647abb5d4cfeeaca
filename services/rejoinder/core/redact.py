"""The guard between users' words and whatever is printed: log facts, stacks, settings.

A fact in a log line is a number, a flag or a token (an id, a name, a version, a path). What is no token is printed as
its length. A stack is printed as places, never with the exception's text, which may quote a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import PurePath
from types import TracebackType
from typing import Any

_TOKEN = re.compile(r"[A-Za-z0-9_.:/@+=,*\-]{1,256}", re.ASCII)
_SECRET = re.compile(r"token|secret|password|passwd|credential|(^|_)key$|dsn", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*@")

#: Places shown of one stack: the outermost, and those where it happened. An error that many rows share grows with each.
_OUTER, _INNER = 8, 24
#: Errors shown of a chain of causes.
_CAUSES = 8

#: Fact names whose value is words by definition, however short.
WORDS = frozenset({"text", "content", "response", "message", "messages", "prompt", "query", "comment", "answer"})


def fact(name: str, value: Any) -> str:
    """A fact as it may be printed: numbers and tokens as they are, anything else as its size."""
    if name in WORDS and isinstance(value, (str, bytes)):
        return f"<{len(value)}_chars>"
    if value is None or isinstance(value, (bool, int)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, (str, PurePath)):
        text = str(value)
        if not text:
            return '""'
        return text if _TOKEN.fullmatch(text) else f"<{len(text)}_chars>"
    if isinstance(value, Mapping):
        return f"<{len(value)}_entries>"
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return ",".join(fact(name, item) for item in value) or '""'
    return f"<{type(value).__name__}>"


def places(trace: TracebackType | None) -> str:
    """A stack as `file:line:function` joined by `>`, outermost first; neither source text nor values. Of a long one the
    middle is a count."""
    out = []
    while trace is not None:
        code = trace.tb_frame.f_code
        path = code.co_filename.rsplit("/site-packages/", 1)[-1].rsplit("/services/", 1)[-1]
        out.append(f"{path}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    left_out = len(out) - _OUTER - _INNER
    if left_out > 0:
        out[_OUTER:-_INNER] = [f"<{left_out}_places>"]
    return ">".join(out)


def causes(error: BaseException) -> str:
    """An exception and those it came from as `Type(places)`, outermost first, joined by `<-`."""
    out: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(out) < _CAUSES:
        seen.add(id(current))
        out.append(f"{type(current).__name__}({places(current.__traceback__)})")
        current = current.__cause__ or current.__context__
    return "<-".join(out)


def masked(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as flat `theme.field` → text, secrets and passwords of URLs masked (names of files shown)."""
    out: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out.update(masked(value, f"{name}."))
        elif _SECRET.search(key) and not key.endswith("_file") and value not in (None, "", False):
            out[name] = "****"
        else:
            out[name] = _URL_PASSWORD.sub(r"\1:****@", str(value))
    return out
