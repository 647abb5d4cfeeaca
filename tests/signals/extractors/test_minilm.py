from dataclasses import replace

import pytest
from rejoinder.core.errors import NoSuchHead
from rejoinder.core.types import FollowUp, Polarity
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.extractors.minilm import Params, extract, row_of
from rejoinder.signals.recalibration import Recalibration


def test_polarity_reasons_and_their_words_come_from_the_follow_up(about, ports):
    text = "Thanks, but the year is wrong, wrong."
    (signal,) = extract([about(FollowUp(text))], Params(), ports)
    assert signal.polarity is Polarity.DSAT
    assert {r.rubric: text[r.start : r.end] for r in signal.reasons} == {
        "gratitude": "Thanks",
        "factual_error": "wrong, wrong",
    }


def test_words_of_the_answer_are_never_evidence(about, ports):
    (signal,) = extract([about(FollowUp("And Paris?"), response="Thanks, perfect, wrong.")], Params(), ports)
    assert signal.polarity is Polarity.NONE
    assert signal.reasons == ()


def test_only_what_clears_the_threshold_is_a_reason(about, ports):
    assert extract([about(FollowUp("thanks"))], Params(min_reason=0.999), ports)[0].reasons == ()


def test_a_blank_follow_up_says_nothing(about, ports):
    """F08."""
    (signal,) = extract([about(FollowUp("  \n"))], Params(), ports)
    assert (signal.polarity, signal.strength, signal.level) == (Polarity.NONE, 0.0, 3.0)


def test_an_unknown_language_is_none_and_hardly_sure_and_marked(about, ports, scorer):
    text = "Nein, das ist falsch. wrong wrong wrong"
    (signal,) = extract([about(FollowUp(text))], Params(), ports)
    assert (signal.polarity, signal.confidence, signal.strength) == (Polarity.NONE, 0.34, 0.0)
    assert [(r.rubric, r.start, r.end) for r in signal.reasons] == [("unknown_language", 0, len(text))]
    assert scorer.sizes == [0]


def test_a_deployments_own_calibration_changes_what_is_said_and_the_version(about, ports):
    own = Recalibration(model="words-v1@0", temperature=2.0, least_dsat=0.95)
    mine = Ports(replace(ports.text, own=own))
    (shipped,), (found,) = (extract([about(FollowUp("that is wrong"))], Params(), p) for p in (ports, mine))
    assert (shipped.polarity, found.polarity) == (Polarity.DSAT, Polarity.NONE)
    assert found.confidence < 0.5
    assert found.extractor_version == "words-v1@0" + own.version
    assert found.event_id != shipped.event_id


def test_a_batch_is_one_call_and_equals_one_at_a_time(about, ports, scorer):
    evidence = [about(FollowUp(t)) for t in ("thanks", "that is wrong", "and Lyon?", "shorter please")]
    together = extract(evidence, Params(), ports)
    assert scorer.sizes == [4]
    assert together == tuple(extract([e], Params(), ports)[0] for e in evidence)


def test_the_middle_of_a_long_follow_up_is_cut_and_offsets_still_point_into_it(about, ports):
    text = "perfect " + "word " * 200 + "thanks"
    (signal,) = extract([about(FollowUp(text))], Params(), ports)
    assert {text[r.start : r.end] for r in signal.reasons} == {"perfect", "thanks"}
    row, _ = row_of("", text, ports.text)
    assert len(row.ids) == 56 + 24 + 3


def test_without_a_text_model_the_row_says_what_is_missing(about):
    with pytest.raises(NoSuchHead):
        extract([about(FollowUp("thanks"))], Params(), Ports())
