"""Answers with what users said next, the evidence marked; one answer in its conversation; a person's label where an
extractor was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from rejoinder.clients.ledger import AnswersWanted, HeardFeedback, ListedAnswer
from rejoinder.console.desk import ACT, Visit
from rejoinder.console.pages.part import part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Sources
from rejoinder.console.words import Piece, did, pieces, place_of, said
from rejoinder.core.errors import PASSING, FailedPrecondition, InvalidArgument, NotFound
from rejoinder.core.human import EXTRACTOR
from rejoinder.core.ids import uuid7
from rejoinder.core.rubric import RUBRIC, Rubric
from rejoinder.core.types import Comment, FollowUp, Interaction, Label, Polarity, Reason, Role, Signal
from rejoinder.runtime.looks import Looks, Seen

#: What may be asked for, by the word in the address.
POLARITIES = {"dsat": Polarity.DSAT, "sat": Polarity.SAT, "none": Polarity.NONE, "all": Polarity.UNSPECIFIED}
PAGE = 20
#: Turns of a conversation around one answer.
TURNS = 50
#: A label is waited for until the ledger has it, seconds, and looked for so often.
SEEN_S, LOOK_S = 3.0, 0.1


@dataclass(frozen=True)
class HeardView:
    """One reaction. text: cut at the evidence. speaking: the signals in force; others: those that do not speak (any
    more). readable: whether an extractor reads it, and so a person may say otherwise."""

    id: str
    did: str
    at: float | None
    text: Sequence[Piece]
    speaking: Sequence[Signal]
    others: Sequence[Signal]
    readable: bool
    labelled_by: str


@dataclass(frozen=True)
class AnswerView:
    """An answer as it is shown. question: the user's turn before it. unheard: reactions that are not shown."""

    answer: Interaction
    question: str
    heard: Sequence[HeardView]
    unheard: int


class Answers:
    """owns: nothing."""

    def __init__(self, sources: Sources, looks: Looks) -> None:
        self._sources = sources
        self._looks = looks

    async def many(self, visit: Visit) -> Shown:
        chosen = visit.query.get("says", "dsat")
        chosen = chosen if chosen in POLARITIES else "dsat"
        version = visit.query.get("version", "")
        wanted = AnswersWanted(
            visit.tenant, POLARITIES[chosen], version=version, before=visit.query.get("before", ""), limit=PAGE
        )
        found = await part(self._sources.ledger.answers(wanted), PASSING)
        views: list[AnswerView] = []
        onward = ""
        if found.value is not None:
            views = [_view(each) for each in found.value.answers]
            await self._looked(visit, "answers", found.value.answers)
            onward = urlencode({"says": chosen, "version": version, "before": found.value.next})
            onward = onward if found.value.next else ""
        values = {"found": found, "views": views, "says": chosen, "version": version, "onward": onward}
        return Shown("answers.html", {**values, "polarities": POLARITIES}, 503 if found.value is None else 200)

    async def one(self, visit: Visit) -> Shown:
        """Raises NotFound."""
        found = await part(self._asked(visit.tenant, visit.call.path["interaction"]), PASSING)
        views: list[AnswerView] = []
        if found.value is not None:
            views = [_view(each) for each in found.value]
            await self._looked(visit, "answer", found.value)
        return Shown(
            "answer.html",
            {
                "found": found,
                "views": views,
                "asked": visit.call.path["interaction"],
                "rubric": _by_pole(),
                "may_label": visit.may(ACT),
                "form_name": uuid7(),
                "done": visit.query.get("done", ""),
            },
            503 if found.value is None else 200,
        )

    async def label(self, visit: Visit) -> Shown:
        """A person's word about one reaction, recorded and, where it comes in time, seen. Raises what recording raises,
        NotFound, InvalidArgument."""
        form = visit.form
        polarity = POLARITIES.get(form.get("polarity", ""))
        if polarity is None or polarity is Polarity.UNSPECIFIED:
            raise InvalidArgument("choose one of dissatisfied, satisfied, says nothing", field="polarity")
        about, heard = await self._about(visit.tenant, form.get("interaction", ""), form.get("source", ""))
        assert heard.feedback is not None
        start, end = place_of(form.get("words", ""), said(heard.feedback))
        names = [name for name in visit.every.get("reason", []) if name]
        strange = [name for name in names if name not in RUBRIC or RUBRIC[name].pole is not polarity]
        if strange:
            raise InvalidArgument("the reasons must fit what was chosen", field="reason")
        if end and not names:
            raise InvalidArgument("the words show a reason: say which", field="reason")
        label = Label(
            tenant=visit.tenant,
            event_id=form.get("name", "") or uuid7(),
            source_event_id=heard.feedback.event_id,
            interaction_id=about.interaction_id,
            attempt_id=heard.feedback.attempt_id or about.attempt_id,
            user_id=heard.feedback.user_id or about.user_id,
            polarity=polarity,
            reasons=tuple(Reason(name, start=start, end=end) for name in dict.fromkeys(names)),
        )
        (result,) = await self._sources.feedback.record_labels([label])
        if not result.recorded:
            raise FailedPrecondition(f"the label was not recorded ({result.reason})", field=result.field)
        seen = await self._seen(visit.tenant, about.interaction_id, heard.feedback.event_id, result.event_id)
        done = "label" if seen else "label-soon"
        return visit.onward(f"/answers/{quote(about.interaction_id, safe='')}", {"done": done})

    async def _about(self, tenant: str, interaction: str, source: str) -> tuple[Interaction, HeardFeedback]:
        for each in await self._listed(tenant, interaction):
            for heard in each.feedback:
                if heard.feedback is not None and heard.feedback.event_id == source and each.interaction is not None:
                    if not isinstance(heard.feedback.kind, FollowUp | Comment):
                        raise InvalidArgument("only what was said in words can be labelled", field="source")
                    return each.interaction, heard
        raise NotFound("no such reaction is known about this answer")

    async def _seen(self, tenant: str, interaction: str, source: str, signal: str) -> bool:
        for _ in range(round(SEEN_S / LOOK_S)):
            _, heard = await self._about(tenant, interaction, source)
            if signal in heard.in_force:
                return True
            await asyncio.sleep(LOOK_S)
        return False

    async def _asked(self, tenant: str, interaction: str) -> Sequence[ListedAnswer]:
        """The answer, and the others of its conversation, oldest first. Raises NotFound."""
        own = await self._listed(tenant, interaction)
        talk = own[0].interaction.conversation_id if own[0].interaction is not None else ""
        if not talk:
            return own
        wanted = AnswersWanted(tenant, conversation_id=talk, limit=TURNS)
        around = (await self._sources.ledger.answers(wanted)).answers
        known = [each.interaction.interaction_id for each in around if each.interaction is not None]
        return around[::-1] if interaction in known else own

    async def _listed(self, tenant: str, interaction: str) -> Sequence[ListedAnswer]:
        if not interaction:
            raise NotFound("no answer is named")
        found = await self._sources.ledger.answers(AnswersWanted(tenant, interaction_id=interaction, limit=TURNS))
        if not found.answers:
            raise NotFound("no such answer is known to this tenant")
        return found.answers

    async def _looked(self, visit: Visit, what: str, listed: Sequence[ListedAnswer]) -> None:
        if listed:
            ids = [each.interaction.interaction_id for each in listed if each.interaction is not None]
            said = [
                part for each in listed for part in (each.interaction, *(h.feedback for h in each.feedback)) if part
            ]
            users = {(visit.tenant, part.user_id) for part in said}
            await self._looks.record(visit.caller.name, Seen(what, visit.tenant, ids, users))


def _view(listed: ListedAnswer) -> AnswerView:
    answer = listed.interaction or Interaction()
    asked = next((m.content for m in reversed(answer.messages) if m.role is Role.USER), "")
    if answer.ranking is not None:
        asked = answer.ranking.query
    return AnswerView(answer, asked, [_heard(each) for each in listed.feedback], listed.unheard)


def _heard(heard: HeardFeedback) -> HeardView:
    feedback = heard.feedback
    assert feedback is not None
    speaking = [signal for signal in heard.signals if signal.event_id in heard.in_force]
    label = next((signal for signal in speaking if signal.extractor == EXTRACTOR), None)
    reasons = [reason for signal in speaking for reason in signal.reasons]
    return HeardView(
        feedback.event_id,
        did(feedback),
        feedback.occurred_at or feedback.accepted_at,
        pieces(said(feedback), reasons),
        speaking,
        [signal for signal in heard.signals if signal.event_id not in heard.in_force],
        isinstance(feedback.kind, FollowUp | Comment),
        label.extractor_version.rpartition("/")[0] if label is not None else "",
    )


def _by_pole() -> dict[str, list[Rubric]]:
    return {
        pole.value.lower(): [row for row in RUBRIC.values() if row.pole is pole]
        for pole in (Polarity.DSAT, Polarity.SAT)
    }
