"""Windows: the evidence between two cuts. Window(k) = Ready(cut k) − Ready(cut k−1), a pure function of the log.

Ready(cut) is what can be worked out from the records before the cut alone: links are resolved again with the answers
before the cut, not read from the joined columns, which know more. A piece of evidence is

* an explicit feedback (rating, edit, comparison, click, copy, regenerate, abandon, outcome) that is joined;
* a signal about a joined follow-up or comment, which say nothing until an extractor has read them;

and the latest of its kind where a later one replaces an earlier. One that replaces evidence of a finished window is new
evidence that names what it supersedes. Only feedback with a record behind the earlier cut can be new (its own, its
answer's or its signal's), so a window costs what came since, not what there is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, not_, select

from rejoinder.core import types
from rejoinder.core.arms import bucket, unit_id
from rejoinder.core.errors import Aborted, ClaimTaken, NotFound
from rejoinder.core.ids import digest_of
from rejoinder.ledger.intake.linker import LIGHT, touched
from rejoinder.ledger.reading.cut import Cut, check_cut
from rejoinder.ledger.reading.influence import within_caps
from rejoinder.ledger.reading.ready import Piece, ready
from rejoinder.ledger.reading.view import Ghosts, View, ghosts_at
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import rows
from rejoinder.ledger.stores.rows import compact
from rejoinder.ledger.stores.schema import (
    erased_records,
    erasures,
    feedback,
    interactions,
    set_aside,
    signals,
    window_rows,
    windows,
)
from rejoinder.ledger.stores.store import Store, chunks, pages
from rejoinder.stream.topics import of_kinds

#: Above every window's number.
_NO_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class Leaving:
    """Whose evidence stays out: the holdout by its salt and share, as the arms table has them (the user decides, the
    conversation where no user is known), and versions that were rolled back."""

    holdout_salt: str = ""
    holdout_share: float = 0.0
    rolled_back: frozenset[str] = frozenset()

    def held_out(self, tenant: str, user: str, conversation: str) -> bool:
        return bucket(unit_id(tenant, user, conversation), self.holdout_salt) < self.holdout_share


@dataclass(frozen=True)
class Evidence:
    """One piece, with everything it needs. other: the second answer of a comparison, where it is known."""

    id: str
    tenant: str
    feedback: types.Feedback
    interaction: types.Interaction
    signal: types.Signal | None = None
    other: types.Interaction | None = None
    supersedes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """Enough to verify a window. digest: over the sorted salted row digests. as_of: log time of the last record before
    the cut that is still held (seconds). counts: evidence by kind and what was left out, by cause.
    redacted: rows emptied by an erasure since; such a round is verifiable, and no longer repeatable."""

    loop: str
    number: int
    policy: str
    cut: Cut
    as_of: float
    counts: Mapping[str, int]
    digest: str
    row_digests: tuple[str, ...]
    redacted: int = 0


@dataclass(frozen=True)
class Window:
    manifest: Manifest
    evidence: Sequence[Evidence] = field(repr=False)


@dataclass(frozen=True)
class Verified:
    """digest_holds: the manifest's digest is that of its rows. altered: rows that the ledger no longer gives as they
    were, though nobody erased them."""

    digest_holds: bool
    rows: int
    redacted: int
    altered: int

    @property
    def ok(self) -> bool:
        return self.digest_holds and not self.altered


def build(
    store: Store,
    settings: LedgerSettings,
    loop: str,
    number: int,
    policy: str,
    cut: Cut,
    leaving: Leaving | None = None,
) -> Window:
    """The window of a loop that ends at a cut, recorded with its manifest; the one before it is the loop's last with a
    lower number. Asked for again, it is made again: the same, but for what was erased since.

    Raises FailedPrecondition, LogReplaced, WindowExpired (see cut.py), ClaimTaken when the number has another cut,
    Aborted when an erasure came in meanwhile (try again).
    """
    with store.reading() as connection:
        earlier = _earlier(connection, loop, number)
        recorded = _recorded(connection, loop, number)
        before = _erasures(connection)
        check_cut(connection, earlier, cut)
        as_of = _as_of(connection, cut)
        chosen = None if recorded is None else _chosen(connection, loop, number)
    if recorded is not None and recorded.cut != cut.to_json():
        raise ClaimTaken(f"window {number} of {loop} was cut elsewhere", loop=loop, number=number)
    pieces, counts = _difference(store, settings, earlier, cut, policy, leaving or Leaving(), chosen)
    evidence = [_evidence(piece) for piece in pieces]
    with store.writing() as connection:
        if _erasures(connection) != before:
            raise Aborted("somebody was erased while the window was built; build it again")
        if recorded is None:
            salted = [_salted(settings, loop, number, piece) for piece in pieces]
            digest = digest_of(sorted(row["row_digest"] for row in salted))
            head = {"loop": loop, "number": number, "policy": policy, "digest": digest, "cut": cut.to_json()}
            connection.execute(insert(windows), [head | {"counts": compact(counts), "as_of": as_of}])
            if salted:
                connection.execute(insert(window_rows), salted)
    return Window(manifest(store, loop, number), evidence)


def preview(store: Store, settings: LedgerSettings, loop: str, policy: str, cut: Cut, leaving: Leaving) -> Window:
    """The window that a round of the loop would get at this cut, recorded nowhere; its digest and rows are empty."""
    with store.reading() as connection:
        earlier, as_of = _earlier(connection, loop, _NO_NUMBER), _as_of(connection, cut)
        check_cut(connection, earlier, cut)
    pieces, counts = _difference(store, settings, earlier, cut, policy, leaving)
    return Window(
        Manifest(loop, 0, policy, cut, as_of / 1_000_000, counts, "", ()), [_evidence(piece) for piece in pieces]
    )


def manifest(store: Store, loop: str, number: int) -> Manifest:
    """The manifest of a recorded window. Raises NotFound."""
    with store.reading() as connection:
        row = _recorded(connection, loop, number)
        if row is None:
            raise NotFound(f"loop {loop} has no window {number}", loop=loop, number=number)
        query = select(window_rows.c.row_digest, window_rows.c.redacted_by).where(
            window_rows.c.loop == loop, window_rows.c.number == number
        )
        found = connection.execute(query.order_by(window_rows.c.row_digest)).all()
    return Manifest(
        loop,
        number,
        row.policy,
        Cut.from_json(row.cut),
        row.as_of / 1_000_000,
        json.loads(row.counts),
        row.digest,
        tuple(line.row_digest for line in found),
        sum(line.redacted_by is not None for line in found),
    )


def verify(store: Store, settings: LedgerSettings, loop: str, number: int) -> Verified:
    """Holds a recorded window against its manifest and against what the ledger holds now. Raises NotFound."""
    written = manifest(store, loop, number)
    with store.reading() as connection:
        earlier = _earlier(connection, loop, number)
        query = select(window_rows).where(window_rows.c.loop == loop, window_rows.c.number == number)
        lines = connection.execute(query.where(window_rows.c.redacted_by.is_(None))).mappings().all()
    pieces = _pieces(store, settings, earlier, written.cut, written.policy)
    now = {_salted(settings, loop, number, piece)["row_digest"] for piece in pieces}
    altered = sum(line["row_digest"] not in now for line in lines)
    holds = digest_of(sorted(written.row_digests)) == written.digest
    return Verified(holds, len(written.row_digests), written.redacted, altered)


def _earlier(connection: Connection, loop: str, number: int) -> Cut:
    query = select(windows.c.cut).where(windows.c.loop == loop, windows.c.number < number)
    text = connection.execute(query.order_by(windows.c.number.desc())).scalars().first()
    return Cut.from_json(text) if text else Cut()


def _recorded(connection: Connection, loop: str, number: int) -> Any:
    query = select(windows).where(windows.c.loop == loop, windows.c.number == number)
    return connection.execute(query).one_or_none()


def _chosen(connection: Connection, loop: str, number: int) -> Set[tuple[str, str]]:
    query = select(window_rows.c.tenant, window_rows.c.evidence_id).where(
        window_rows.c.loop == loop, window_rows.c.number == number, window_rows.c.redacted_by.is_(None)
    )
    return {(row.tenant, row.evidence_id) for row in connection.execute(query)}


def _erasures(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(erasures)).scalar_one()


def _as_of(connection: Connection, cut: Cut) -> int:
    moments = [
        connection.execute(select(func.max(table.c.record_at)).where(cut.before(table))).scalar()
        for table in (interactions, feedback, signals, set_aside)
    ]
    return max((moment for moment in moments if moment is not None), default=0)


def _difference(
    store: Store,
    settings: LedgerSettings,
    earlier: Cut,
    cut: Cut,
    policy: str,
    leaving: Leaving,
    chosen: Set[tuple[str, str]] | None = None,
) -> tuple[list[Piece], Mapping[str, int]]:
    """The evidence of a window, and its counts. chosen: tenant and id of what a recorded window holds: the caps have
    chosen then, and neither another setting nor what has gone since lets anything else in."""
    counts: Counter[str] = Counter()
    kept: list[Piece] = []
    for piece in _pieces(store, settings, earlier, cut, policy):
        cause = piece.cause or _left_out(piece, settings, leaving)
        if cause:
            counts[f"left_out.{cause}"] += 1
        else:
            kept.append(piece)
    if chosen is None:
        kept, went = within_caps(kept, settings)
        counts.update({f"left_out.{cause}": count for cause, count in went.items()})
    else:
        kept = [piece for piece in kept if (piece.tenant, piece.id) in chosen]
    counts.update(f"kind.{piece.ask['kind']}" for piece in kept)
    with store.reading() as connection:
        counts["left_out.erased"] = _erased(connection, earlier, cut)
    counts["evidence"] = len(kept)
    return sorted(kept, key=lambda piece: (piece.tenant, piece.id)), dict(sorted(counts.items()))


def _pieces(store: Store, settings: LedgerSettings, earlier: Cut, cut: Cut, policy: str) -> list[Piece]:
    """Ready(cut) − Ready(earlier), before anybody is left out; short transactions, as a cut's past stands still."""
    rules, key = settings.rules, settings.forgetting.key
    with store.reading() as connection:
        now, then = ghosts_at(connection, cut, key), ghosts_at(connection, earlier, key)
    out: list[Piece] = []
    for tenant, ids in _candidates(store, settings, earlier, cut, now, then).items():
        for part in chunks(sorted(ids)):
            with store.reading() as connection:
                pieces = ready(View(connection, cut, now), rules, tenant, part, policy)
                known = ready(View(connection, earlier, then), rules, tenant, part, policy) if earlier.ends else ()
            before = {piece.id: piece.cause for piece in known}
            out += [p for p in pieces if before.get(p.id) not in ("", p.cause)]
    return out


def _candidates(
    store: Store, settings: LedgerSettings, earlier: Cut, cut: Cut, *ghosts: Ghosts
) -> Mapping[str, set[str]]:
    """Feedback by tenant that may have become ready between the cuts."""
    found: dict[str, set[str]] = defaultdict(set)
    for table, column in ((feedback, feedback.c.event_id), (signals, signals.c.source_event_id)):
        query = select(table.c.tenant, table.c.event_id, column.label("about")).where(
            cut.before(table), not_(earlier.before(table))
        )
        for page in pages(store, query, [table.c.tenant, table.c.event_id]):
            for row in page:
                found[row.tenant].add(row.about)
    for topic, name in (("feedback", "event_id"), ("signals", "source_event_id")):
        for row in (row for group in ghosts for row in group[topic]):
            found[row["tenant"]].add(row[name])
    answers: dict[str, list[Any]] = defaultdict(list)
    for row in (row for group in ghosts for row in group["interactions"]):
        answers[row["tenant"]].append(row)
    query = select(*LIGHT).where(cut.before(interactions), not_(earlier.before(interactions)))
    if earlier.ends:
        for page in pages(store, query, [interactions.c.tenant, interactions.c.event_id]):
            for row in page:
                answers[row.tenant].append(row._mapping)
    for tenant, group in answers.items():
        for part in chunks(group):
            with store.reading() as connection:
                found[tenant] |= {row["event_id"] for row in touched(connection, tenant, part, set(), settings.rules)}
    return found


def _left_out(piece: Piece, settings: LedgerSettings, leaving: Leaving) -> str:
    """Why a ready piece enters no window, "" when it does."""
    for row in (piece.ask, piece.answer, piece.other):
        if row is not None:
            said = types.Consent(row["consent"])
            consent = settings.default_consent if said is types.Consent.UNSPECIFIED else said
            if consent is types.Consent.NO_TRAIN:
                return "no_train"
    user = piece.answer["user_id"] or piece.ask["user_id"]
    if piece.answer["holdout"] or leaving.held_out(piece.tenant, user, piece.answer["conversation_id"]):
        return "holdout"
    return "rolled_back" if piece.answer["version"] in leaving.rolled_back else ""


def _erased(connection: Connection, earlier: Cut, cut: Cut) -> int:
    query = select(func.count()).where(cut.before(erased_records), not_(earlier.before(erased_records)))
    about = of_kinds(cut.ends, ("feedback", "signals"))
    return connection.execute(query.where(erased_records.c.topic.in_(about))).scalar_one()


def _salted(settings: LedgerSettings, loop: str, number: int, piece: Piece) -> rows.Row:
    named = f"row\x00{loop}\x00{number}\x00{piece.tenant}\x00{piece.id}".encode()
    salt = hmac.new(settings.forgetting.key, named, hashlib.sha256).hexdigest()
    return {
        "loop": loop,
        "number": number,
        "row_digest": piece.digest(salt),
        "tenant": piece.tenant,
        "evidence_id": piece.id,
        "salt": salt,
        "supersedes": compact(list(piece.supersedes)),
        "redacted_by": None,
    }


def _evidence(piece: Piece) -> Evidence:
    return Evidence(
        piece.id,
        piece.tenant,
        rows.to_event("feedback", piece.ask),
        rows.to_event("interactions", piece.answer),
        rows.to_event("signals", piece.signal) if piece.signal is not None else None,
        rows.to_event("interactions", piece.other) if piece.other is not None else None,
        piece.supersedes,
    )
