"""The audit sample: a seeded share of what the first judges read, both arms alike, and no judge sees the arm."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rejoinder.clients.ledger import Evidence as Numbered
from rejoinder.core.audit import is_second, sampled, sees
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import ArmKind, Feedback, FollowUp, Interaction, Polarity, Rating, Served, Signal
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Evidence, Ports
from rejoinder.signals.second import Auditor
from rejoinder.signals.settings import AuditTheme, JudgeEndpoint, ReadTheme, SignalsSettings
from rejoinder.signals.worker import Extractor, signals_of

LEXICON = Extractor(EXTRACTORS["audit-lexicon"], EXTRACTORS["audit-lexicon"].with_params(), Ports())
RATINGS = Extractor(EXTRACTORS["ratings"], EXTRACTORS["ratings"].with_params(), Ports())


def piece(n: int, kind: object = FollowUp("thanks"), arm: ArmKind = ArmKind.STABLE) -> Numbered:
    about = Interaction(tenant="t", interaction_id=f"i{n}", attempt_id="a", response="68 F", served=Served(arm=arm))
    return Numbered(n, about, Feedback(tenant="t", event_id=f"f{n}", kind=kind))  # type: ignore[arg-type]


def test_the_share_is_what_is_asked_and_the_draw_the_same_again():
    ids = [f"i{n}" for n in range(20_000)]
    drawn = {name for name in ids if sampled("s", 0.05, "t", name)}
    assert len(drawn) / len(ids) == pytest.approx(0.05, abs=0.005)
    assert drawn == {name for name in ids if sampled("s", 0.05, "t", name)}
    assert drawn <= {name for name in ids if sampled("s", 0.2, "t", name)}
    assert len(drawn & {name for name in ids if sampled("other", 0.05, "t", name)}) < 0.2 * len(drawn)
    assert all(sampled("s", 1.0, "t", name) for name in ids)


def test_the_sample_goes_to_the_second_judge_beside_the_first_ones_signals():
    pieces = [piece(n) for n in range(400)]
    auditor = Auditor(LEXICON, 0.2, "s")
    found = signals_of([], pieces, auditor)
    assert {s.interaction_id for s in found} == {f"i{n}" for n in range(400) if sampled("s", 0.2, "t", f"i{n}")}
    assert {(s.extractor, s.polarity) for s in found} == {("audit-lexicon", Polarity.SAT)}
    assert (auditor.asked, auditor.unread) == (len(found), 0)


def test_both_arms_are_sampled_alike():
    stable, canary = (
        [s.interaction_id for s in signals_of([], [piece(n, arm=arm) for n in range(200)], Auditor(LEXICON, 0.3, "s"))]
        for arm in (ArmKind.STABLE, ArmKind.CANARY)
    )
    assert stable == canary != []


class Watching:
    """A judge that remembers what it was shown. owns: it."""

    def __init__(self) -> None:
        self.seen: list[Evidence] = []

    def read(self, evidence: Sequence[Evidence]) -> Sequence[Signal]:
        self.seen += evidence
        return [Signal(polarity=Polarity.UNSPECIFIED) for _ in evidence]


def test_no_judge_is_shown_which_version_answered():
    first, second = Watching(), Watching()
    signals_of([first], [piece(1, arm=ArmKind.CANARY)], Auditor(second, 1.0, "s"))  # type: ignore[list-item]
    assert [e.interaction.served for e in (*first.seen, *second.seen)] == [None, None]


def test_what_the_second_judge_does_not_read_is_counted():
    auditor = Auditor(Watching(), 1.0, "s")
    signals_of([], [piece(1), piece(2)], auditor)
    assert (auditor.asked, auditor.unread) == (2, 2)


def test_kinds_that_are_no_words_are_in_no_sample():
    stars = piece(1, Rating(number=5.0, scale_min=1.0, scale_max=5.0))
    assert [s.extractor for s in signals_of([RATINGS], [stars], Auditor(LEXICON, 1.0, "s"))] == ["ratings"]


def test_second_judges_are_known_by_their_names_alone():
    assert {name for name, row in EXTRACTORS.items() if row.traits.get("second")} == {
        name for name in EXTRACTORS if is_second(name)
    }
    assert (sees("audit-lexicon"), sees("audit-endpoint")) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SignalsSettings(read=ReadTheme(extractors=("minilm", "audit-lexicon"))), "audit-lexicon judges the audit"),
        (SignalsSettings(audit=AuditTheme(judge="audit-endpoint")), "needs a url and a model"),
        (
            SignalsSettings(
                audit=AuditTheme(judge="audit-endpoint", endpoint=JudgeEndpoint(url="http://127.0.0.1:1/v1"))
            ),
            "a model",
        ),
    ],
    ids=["a second judge among the first", "nowhere to ask", "no model"],
)
def test_a_judge_in_the_wrong_place_or_asked_nowhere_is_refused(settings, words):
    with pytest.raises(BadSettings, match=words):
        settings.check()


def test_by_default_nobody_is_asked():
    settings = SignalsSettings()
    settings.check()
    assert (settings.audit.judge, settings.audit.share) == ("", 0.05)
