"""Elements of HTML and SVG as plain values: text is escaped unless this module made it.

The whole page is well-formed XML too, so that a test can read it back.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_VOID = {"meta", "br"}
# What XML 1.0 cannot carry, and lone surrogates, which UTF-8 cannot.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Safe(str):
    """Markup that needs no escaping."""

    __slots__ = ()


Child = str | Iterable["Child"] | None


def escaped(text: str) -> str:
    return html.escape(_UNWRITABLE.sub("\ufffd", text))


def el(name: str, /, *children: Child, **attributes: str | float | None) -> Safe:
    """One element. `class_` is written class, `text_anchor` text-anchor; an attribute that is None is left out, a float
    is written as a coordinate (two decimals)."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Safe(f"<{name}{written}/>")
    return Safe(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Child) -> Safe:
    """Children one after another; None is nothing."""
    if children is None:
        return Safe("")
    if isinstance(children, Safe):
        return children
    if isinstance(children, str):
        return Safe(escaped(children))
    return Safe("".join(join(child) for child in children))


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
