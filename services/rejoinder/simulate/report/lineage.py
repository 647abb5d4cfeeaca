"""The trace of one answer, from what the user got down to the evidence that the version had been trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from rejoinder.plots.markup import Safe, el, join
from rejoinder.plots.numerals import count, moment, named, number

Item = Mapping[str, Any]
#: kind of node: what its group says. The order is the tree's: each group hangs under the one before.
GROUPS = {
    "interaction": "the answer",
    "version": "versions of the policy",
    "round": "stages of rounds",
    "dataset": "data sets",
    "window": "cuts of the log",
    "feedback": "what users did",
    "signal": "what was read from it",
}
# More of a kind than this are folded away, and so are more sources of one node.
_SHOWN, _SOURCES = 6, 4


def trace(result: Item) -> Safe | None:
    """Two branches grow from the answer: what its own user did about it, and what its version was made from."""
    found = result.get("trace") or {}
    nodes: Sequence[Item] = found.get("nodes") or ()
    if not nodes:
        return None
    root = [node for node in nodes if node.get("kind") == "interaction"]
    replies = _from(nodes, "feedback", {found.get("id")})
    read = _from(nodes, "signal", {reply.get("id") for reply in replies})
    taken = {id(node) for node in (*root, *replies, *read)}
    rest = [node for node in nodes if id(node) not in taken]
    kinds = dict.fromkeys([*GROUPS, *(named(node.get("kind")) for node in rest)])
    behind = [(kind, GROUPS.get(kind, ""), [n for n in rest if named(n.get("kind")) == kind]) for kind in kinds]
    own = [("feedback", "what its user did about it", replies), ("signal", "what was read from that", read)]
    answer = _group("interaction", GROUPS["interaction"], root) if root else None
    return el(
        "div",
        el("p", "Answer ", el("code", named(found.get("id"))), f": {count(len(nodes))} facts, no user's word"),
        el("ul", el("li", answer, _chain(own), _chain(behind))),
        class_="trace",
    )


def _from(nodes: Sequence[Item], kind: str, sources: Set[Any]) -> Sequence[Item]:
    """Nodes of this kind that came from one of these."""
    return [node for node in nodes if node.get("kind") == kind and sources & set(node.get("sources") or ())]


def _chain(groups: Sequence[tuple[str, str, Sequence[Item]]]) -> Safe | None:
    """Each group that has nodes hangs under the one before."""
    tree: Safe | None = None
    for kind, note, nodes in reversed(groups):
        if nodes:
            tree = el("ul", el("li", _group(kind, note, nodes), tree))
    return tree


def _group(kind: str, note: str, nodes: Sequence[Item]) -> Safe:
    head = el(
        "p",
        el("span", kind, class_="kind"),
        f" {note} ",
        el("span", f"({count(len(nodes))})", class_="quiet"),
    )
    lines = [el("li", _node(node)) for node in nodes]
    folded = None
    if len(lines) > _SHOWN:
        more = el("summary", f"{count(len(lines) - _SHOWN)} more")
        folded = el("details", more, el("ul", lines[_SHOWN:], class_="nodes"))
    return join([head, el("ul", lines[:_SHOWN], class_="nodes"), folded])


def _node(node: Item) -> Safe:
    digest = str(node.get("digest") or "")
    told = node.get("facts") or {}
    facts = [el("span", f"{key} ", el("b", named(value))) for key, value in told.items()]
    sources = [str(source) for source in node.get("sources") or ()]
    # A trace itself lists so many ids and counts the rest.
    unlisted = str(told.get("unlisted") or "")
    more = len(sources[_SOURCES:]) + (int(unlisted) if unlisted.isdecimal() else 0)
    short = [*sources[:_SOURCES], f"and {count(more)} more"] if more else sources
    parts = [
        el("code", named(node.get("id"))),
        el("span", str(node["state"]), class_="state") if node.get("state") else None,
        el("span", moment(node["at"])) if number(node.get("at")) is not None else None,
        el("span", "digest ", el("code", f"{digest[:12]}…" if len(digest) > 13 else digest, title=digest))
        if digest
        else None,
        facts,
        el("span", "← " + ", ".join(short), title=", ".join(sources)) if sources else None,
    ]
    return join(parts)
