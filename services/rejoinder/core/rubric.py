"""The eighteen reasons a follow-up can give, with their pole, their meaning and the sentence a summary is made of.

Classes of user satisfaction after WildFeedback (2408.15549), there taken from SPUR (2403.12388). `wish` is what a
reader of the reason would want next time; `Summariser` rows quote the user's own words behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.core.types import Polarity


@dataclass(frozen=True)
class Rubric:
    name: str
    pole: Polarity
    meaning: str
    wish: str


SAT, DSAT = Polarity.SAT, Polarity.DSAT

RUBRIC: dict[str, Rubric] = {
    r.name: r
    for r in (
        Rubric("gratitude", SAT, "thanks for the answer", "Keep answering the way the user thanked for."),
        Rubric("learning", SAT, "learnt something, found it interesting", "Keep explaining what is new to the user."),
        Rubric("compliance", SAT, "says that the instruction was followed", "Keep to the instruction as given."),
        Rubric("praise", SAT, "praises the answer or part of it", "Keep what the user praised."),
        Rubric("personal_detail", SAT, "shares something of their own life, pleased", "Take up what the user shared."),
        Rubric("humour", SAT, "laughs or jokes along", "Keep the light tone."),
        Rubric("acknowledgement", SAT, "accepts or agrees with the content", "Build on what the user accepted."),
        Rubric("positive_closure", SAT, "ends content, nothing more needed", "Answer as completely as here."),
        Rubric("getting_there", SAT, "better, but not there yet", "Keep the direction and finish what is missing."),
        Rubric("negative_feedback", DSAT, "plain dissatisfaction", "Avoid what the user disliked."),
        Rubric("revision", DSAT, "asks for the answer to be changed", "Answer in the changed form from the start."),
        Rubric("factual_error", DSAT, "disputes a fact or its consistency", "Get the disputed fact right."),
        Rubric(
            "unrealistic_expectation", DSAT, "expects what cannot be done", "Say early what can and cannot be done."
        ),
        Rubric("no_engagement", DSAT, "refuses the counter-question or offer", "Answer without asking back."),
        Rubric("ignored", DSAT, "the question was missed or repeated", "Answer the question that was asked."),
        Rubric("lower_quality", DSAT, "worse than an earlier answer", "Keep the quality of the earlier answer."),
        Rubric("insufficient_detail", DSAT, "too vague, short or cut off", "Give more detail, complete and concrete."),
        Rubric("style", DSAT, "length, tone, wording or format is off", "Change length, tone or format as wished."),
    )
}

NAMES: tuple[str, ...] = tuple(RUBRIC)

#: What stands in the place of a reason where an extractor does not know the language: it says `none` and means nothing
#: by it. Of no pole.
UNKNOWN_LANGUAGE = "unknown_language"


def names(pole: Polarity) -> tuple[str, ...]:
    """The classes of one pole, in the table's order."""
    return tuple(name for name, row in RUBRIC.items() if row.pole is pole)
