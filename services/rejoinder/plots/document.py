"""The page around the plots: one file that asks nobody for anything, with sections, and tables that scroll alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from itertools import zip_longest

from rejoinder.plots.markup import Child, Safe, el
from rejoinder.plots.style import CSS

#: What a browser lets the page do: show its own style, by its digest, and nothing else.
POLICY = (
    "default-src 'none'; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()}'; base-uri 'none'; form-action 'none'"
)


def document(title: str, main: Child) -> str:
    """The whole page, well-formed XML too."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", Safe(CSS)),
    )
    return "<!DOCTYPE html>\n" + el("html", head, el("body", el("main", main)), lang="en") + "\n"


def section(title: str, content: Child, note: Child = "") -> Safe | None:
    """Nothing where there is no content."""
    if not content:
        return None
    return el("section", el("h2", title), el("p", note, class_="quiet") if note else None, content)


def table(name: str, columns: Sequence[str], rows: Sequence[Sequence[Child]], below: Sequence[Child] = ()) -> Safe:
    """With a caption and a header in every row; it scrolls by itself where the screen is narrow. below: for each row
    what stands under it in the full width, or None."""
    head = el("tr", [el("th", column, scope="col") for column in columns])
    lines = [el("tr", el("th", row[0], scope="row"), [el("td", cell) for cell in row[1:]]) for row in rows]
    under = [el("tr", el("td", more, colspan=str(len(columns))), class_="below") if more else None for more in below]
    body = [part for pair in zip_longest(lines, under) for part in pair]
    whole = el("table", el("caption", name), el("thead", head), el("tbody", body))
    return el("div", whole, class_="scroll", role="region", aria_label=name, tabindex="0")
