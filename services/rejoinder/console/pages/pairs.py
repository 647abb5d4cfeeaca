"""The pairs that rounds trained on, and a person's word about each: what was rejected is in no later round's training,
what was accepted is trusted more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.console.desk import ACT, Visit
from rejoinder.console.pages.part import part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Files, Sources
from rejoinder.core.clock import Clock
from rejoinder.core.errors import InvalidArgument, NotFound
from rejoinder.core.types import Preference, Role
from rejoinder.registry.datasets import read
from rejoinder.registry.reviews import VERDICTS, Review, pair_digest
from rejoinder.runtime.looks import Looks, Seen

PAGE = 10
SIDES = ("pairs", "gate", "evaluation")


@dataclass(frozen=True)
class PairView:
    """digest: what a word about it names. question: the last turn of the prompt."""

    digest: str
    pair: Preference
    question: str
    review: Review | None


@dataclass(frozen=True)
class Browsed:
    """One page of a set. rounds: those that have one, newest first. total: pairs of this tenant."""

    rounds: Sequence[int]
    number: int
    views: Sequence[PairView]
    total: int


class Pairs:
    """owns: nothing."""

    def __init__(self, sources: Sources, looks: Looks, clock: Clock) -> None:
        self._sources = sources
        self._looks = looks
        self._clock = clock

    async def show(self, visit: Visit) -> Shown:
        side = visit.query.get("side", SIDES[0])
        side = side if side in SIDES else SIDES[0]
        number, page = _number(visit.query.get("round", "")), _number(visit.query.get("page", "")) or 1
        found = await part(self._sources.look(lambda files: _browse(files, visit.tenant, number, side, page)))
        if found.value is not None and found.value.views:
            ids = [view.digest for view in found.value.views]
            users = {(visit.tenant, view.pair.user_id) for view in found.value.views}
            await self._looks.record(visit.caller.name, Seen("pairs", visit.tenant, ids, users))
        pages = -(-found.value.total // PAGE) if found.value is not None else 0
        values = {"found": found, "side": side, "sides": SIDES, "page": page, "pages": pages}
        return Shown("pairs.html", {**values, "may_review": visit.may(ACT), "done": visit.query.get("done", "")})

    async def review(self, visit: Visit) -> Shown:
        """Raises NotFound, InvalidArgument."""
        form = visit.form
        number, digest, verdict = _number(form.get("round", "")), form.get("pair", ""), form.get("verdict", "")
        side = form.get("side", SIDES[0])
        if verdict not in VERDICTS or side not in SIDES:
            raise InvalidArgument("accept it or reject it", field="verdict")
        said = Review(digest, verdict, visit.caller.name, self._clock.now())

        def work(files: Files) -> None:
            known = {pair_digest(pair) for pair in _of_tenant(files, visit.tenant, number, side)}
            if digest not in known:
                raise NotFound("no such pair is in this round")
            files.review(said)

        await self._sources.look(work)
        page = _number(form.get("page", "")) or 1
        query = {"round": number, "side": side, "page": page, "done": verdict}
        return visit.onward("/pairs", query, f"#pair-{digest[:12]}")


def _browse(files: Files, tenant: str, number: int, side: str, page: int) -> Browsed:
    """number: 0 for the newest round that has a set. Raises NotFound."""
    rounds = [claim.number for claim in files.claims() if _has(files, claim.number, side)]
    if not rounds:
        return Browsed((), 0, (), 0)
    number = number or rounds[0]
    pairs, said = _of_tenant(files, tenant, number, side), files.reviews()
    shown = pairs[(page - 1) * PAGE : page * PAGE]
    views = [PairView(pair_digest(pair), pair, _question(pair), said.get(pair_digest(pair))) for pair in shown]
    return Browsed(rounds, number, views, len(pairs))


def _of_tenant(files: Files, tenant: str, number: int, side: str) -> list[Preference]:
    pairs = (pair for folder in files.sets(number, side) for pair in read(folder))
    return [pair for pair in pairs if (pair.tenant or "default") == tenant]


def _has(files: Files, number: int, side: str) -> bool:
    try:
        return bool(files.sets(number, side))
    except NotFound:
        return False


def _question(pair: Preference) -> str:
    return next((message.content for message in reversed(pair.prompt) if message.role is Role.USER), "")


def _number(text: str) -> int:
    """A number of a page or round; 0 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
