"""Ready(cut): the pieces of evidence that can be worked out from the records before a cut."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rejoinder.core.ids import digest_of
from rejoinder.ledger.intake import joins
from rejoinder.ledger.intake.linker import ask_of, link_columns
from rejoinder.ledger.reading.labels import in_force, label_of, recency
from rejoinder.ledger.reading.view import View
from rejoinder.ledger.settings import Rules
from rejoinder.ledger.stores import rows

#: Kinds that say nothing until an extractor has read them: their signals are the evidence.
SPOKEN = frozenset({"follow_up", "comment"})
#: Kinds whose later word replaces the earlier one.
REPLACED = frozenset({"rating", "edit", "comparison", "abandon", "outcome"})

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """One piece of evidence as rows. cause: why the cut leaves it out (ambiguous_attempt, superseded), "" if not.

    supersedes: ids of the evidence that it replaces. other: the second answer of a comparison, where it is known.
    """

    id: str
    ask: _Row
    answer: _Row
    signal: _Row | None
    other: _Row | None
    supersedes: tuple[str, ...]
    cause: str

    @property
    def tenant(self) -> str:
        return self.ask["tenant"]

    def digest(self, salt: str) -> str:
        """The salted row digest of a manifest."""
        parts = [row["body_digest"] if row else "" for row in (self.ask, self.answer, self.signal, self.other)]
        return digest_of([salt, self.tenant, self.id, *parts, list(self.supersedes)])


def ready(view: View, rules: Rules, tenant: str, ids: Iterable[str], policy: str) -> Sequence[Piece]:
    """The pieces about some feedback. policy: whose answers count; "" for all."""
    asks = {row["event_id"]: row for row in view.feedback(tenant, "event_id", ids)}
    links = _links(view, rules, tenant, list(asks.values()))
    rivals = _rivals(view, rules, tenant, asks, links)
    targets = {link["target_interaction"] for link in links.values()}
    others = {event: json.loads(asks[event]["facts"]).get("comparison", {}) for event in asks}
    named = {said.get("other_interaction_id", "") for said in others.values()}
    attempts = view.attempts(tenant, targets | named)
    spoken = view.signals(tenant, asks)
    out: list[Piece] = []
    for event, ask in asks.items():
        link = links[event]
        if link["state"] != "joined" or not attempts[link["target_interaction"]]:
            continue
        found = attempts[link["target_interaction"]]
        answer = found.get(link["target_attempt"]) or found[min(found)]
        if policy and answer["policy"] != policy:
            continue
        said = others[event]
        other = _other(attempts.get(said.get("other_interaction_id", ""), {}), said.get("other_attempt_id", ""))
        latest, replaced = rivals.get(event, (True, ()))
        ambiguous = "ambiguous_attempt" if link["cause"] else ""
        if ask["kind"] in SPOKEN:
            for signal, is_last, before in _speaking(spoken.get(event, ())):
                cause = ambiguous or ("" if is_last else "superseded")
                out.append(Piece(signal["event_id"], ask, answer, signal, None, before, cause))
        else:
            cause = ambiguous or ("" if latest else "superseded")
            latest_signal = max(in_force(spoken.get(event, ())), key=recency, default=None)
            out.append(Piece(event, ask, answer, latest_signal, other, replaced, cause))
    return out


def _links(view: View, rules: Rules, tenant: str, asks: Sequence[_Row]) -> dict[str, rows.Row]:
    answers = view.answers(tenant, asks)
    out: dict[str, rows.Row] = {}
    for row in asks:
        ask = ask_of(row)
        link = joins.resolve(ask, answers.of(ask, rules), rules)
        out[row["event_id"]] = link_columns(ask, link, json.loads(row["facts"]))
    return out


def _rivals(
    view: View, rules: Rules, tenant: str, asks: Mapping[str, _Row], links: Mapping[str, rows.Row]
) -> Mapping[str, tuple[bool, tuple[str, ...]]]:
    """Of feedback that a later one replaces: whether it is the latest, and the ids of what it replaces."""
    keys = {links[event]["repeat_key"] for event in asks} - {None}
    about = {links[event]["target_interaction"] for event in asks if links[event]["repeat_key"]}
    about |= {part for key in keys for part in json.loads(key)[1:3]}
    found = {
        row["event_id"]: row
        for column in ("interaction_id", "target_interaction")
        for row in view.feedback(tenant, column, about)
        if row["kind"] in REPLACED
    }
    found |= {event: row for event, row in asks.items() if row["kind"] in REPLACED}
    grouped: dict[str, list[_Row]] = defaultdict(list)
    for event, columns in _links(view, rules, tenant, list(found.values())).items():
        if columns["repeat_key"] in keys:
            grouped[columns["repeat_key"]].append(found[event])
    out: dict[str, tuple[bool, tuple[str, ...]]] = {}
    for group in grouped.values():
        group.sort(key=lambda row: (row["at"], row["event_id"]))
        names = [row["event_id"] for row in group]
        for place, name in enumerate(names):
            out[name] = (place == len(names) - 1, tuple(names[:place]))
    return out


def _speaking(signals: Sequence[_Row]) -> Iterable[tuple[_Row, bool, tuple[str, ...]]]:
    """Each signal about one event, whether it speaks for it (its extractor said nothing later, and nobody labelled the
    event since or before), and the ids of what it replaces."""
    label = label_of(signals)
    if label is not None:
        ordered = sorted(signals, key=recency)
        others = [signal for signal in ordered if signal["event_id"] != label["event_id"]]
        yield label, True, tuple(signal["event_id"] for signal in others)
        yield from ((signal, False, ()) for signal in others)
        return
    grouped: dict[str, list[_Row]] = defaultdict(list)
    for signal in signals:
        grouped[signal["extractor"]].append(signal)
    for said in grouped.values():
        said.sort(key=recency)
        names = [signal["event_id"] for signal in said]
        for place, signal in enumerate(said):
            yield signal, place == len(said) - 1, tuple(names[:place])


def _other(attempts: Mapping[str, _Row], attempt_id: str) -> _Row | None:
    if attempt_id:
        return attempts.get(attempt_id)
    return next(iter(attempts.values())) if len(attempts) == 1 else None
