"""How satisfaction becomes words: evidence, "The demo's world"."""

from collections import Counter

import numpy as np
import pytest
from rejoinder.simulate.phrases import load
from rejoinder.simulate.replies import Mixed, Reply, Voice
from rejoinder.simulate.tastes import NORMS, Person, Reading, opposite

PERSON = Person("u", NORMS, (0.6, 0.6, 0.6))
GOOD = Reading(NORMS["howto"], True)
LONG_WAY_OFF = Reading(tuple(opposite(p) for p in NORMS["howto"]), True)
FALSE = Reading(NORMS["howto"], False)


def replies(reading, satisfied, count=6000, seed=0):
    voice = Voice(load(), np.random.default_rng(seed))
    return [voice.reply(PERSON, "howto", reading, satisfied) for _ in range(count)]


def share(found, **wanted):
    return np.mean([all(getattr(r, k) == v for k, v in wanted.items()) for r in found])


def test_forty_percent_of_the_pleased_and_seventy_of_the_displeased_reply():
    assert np.mean([r is not None for r in replies(GOOD, True)]) == pytest.approx(0.40, abs=0.02)
    assert np.mean([r is not None for r in replies(LONG_WAY_OFF, False)]) == pytest.approx(0.70, abs=0.02)


def test_complaints_are_blurred_in_the_stated_shares():
    said = [r for r in replies(LONG_WAY_OFF, False) if r]
    assert share(said, kind="vague") == pytest.approx(0.15, abs=0.02)
    assert share(said, kind="sarcasm") + share(said, kind="quotation") == pytest.approx(0.05, abs=0.012)
    assert share(said, kind="elsewhere") == pytest.approx(0.05, abs=0.012)
    assert share(said, kind="wish") == pytest.approx(0.75, abs=0.02)


def test_a_wish_names_what_is_missed_and_nothing_else():
    wishes = [r for r in replies(LONG_WAY_OFF, False) if r and r.kind == "wish"]
    counts = Counter(pole for r in wishes for pole in r.wished)
    assert set(counts) == set(NORMS["howto"])
    assert {len(r.wished) for r in wishes} == {1, 3}
    bank = load()
    for reply in wishes[:200]:
        assert all(any(p in reply.text for p in bank.wishes[pole]) for pole in reply.wished)


def test_elsewhere_is_about_the_shop_or_against_a_taste_that_was_met():
    half_off = Reading((opposite(NORMS["howto"][0]), *NORMS["howto"][1:]), True)
    bank = load()
    texts = [r.text for r in replies(half_off, False, 20000) if r and r.kind == "elsewhere"]
    met = [opposite(pole) for pole in NORMS["howto"][1:]]
    against = [t for t in texts if any(p in t for pole in met for p in bank.wishes[pole])]
    shop = [t for t in texts if t in bank.elsewhere]
    assert len(against) + len(shop) == len(texts)
    assert len(against) / len(texts) == pytest.approx(0.5, abs=0.07)


def test_wrong_facts_are_complained_about():
    kinds = Counter(r.kind for r in replies(FALSE, False) if r)
    assert kinds["wrong_fact"] > 0.6 * sum(kinds.values())
    assert "wish" not in kinds


def test_someone_who_misses_nothing_and_is_displeased_all_the_same_says_nothing_specific():
    assert {r.kind for r in replies(GOOD, False) if r} == {"vague"}


def test_the_same_seed_says_the_same_words():
    first, again, other = (replies(LONG_WAY_OFF, False, 50, seed) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_version_that_silences_leaves_three_of_four_displeased_people_without_a_word():
    voice = Voice(load(), np.random.default_rng(0))
    displeased = [voice.reply(PERSON, "howto", LONG_WAY_OFF, False, silent=True) for _ in range(6000)]
    assert np.mean([r is not None for r in displeased]) == pytest.approx(0.25, abs=0.02)


def test_a_version_that_silences_changes_nothing_for_the_pleased():
    """Else more than the silence of the displeased would tell the versions apart."""
    voice, silenced = (Voice(load(), np.random.default_rng(0)) for _ in range(2))
    plain = [voice.reply(PERSON, "howto", GOOD, True) for _ in range(500)]
    assert plain == [silenced.reply(PERSON, "howto", GOOD, True, silent=True) for _ in range(500)]


KINDS = tuple(NORMS)


def mixed(count=4000, seed=0, within_kind=False):
    """(the kind asked about, what was to be said, what was said instead): pleased about one kind alone."""
    hands = Mixed(np.random.default_rng(seed), within_kind=within_kind)
    out = []
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        meant = Reply(f"{kind} {i}", "pleased" if kind == "measure" else "wish")
        out.append((kind, meant, hands.instead(kind, meant)))
    return out


def test_a_mixed_follow_up_was_said_before_about_another_kind_of_question():
    said = {}
    for i, (kind, meant, instead) in enumerate(mixed()):
        if instead is not None:
            assert instead.text.split()[0] != kind
            assert said[instead.text] < i
        said[meant.text] = i


def test_people_stay_silent_until_others_have_said_enough_about_another_kind():
    hands = Mixed(np.random.default_rng(0), least=3)
    own = [hands.instead("howto", Reply(f"h{i}", "wish")) for i in range(10)]
    assert own == [None] * 10, "nothing was said about another kind yet"
    assert hands.instead("measure", Reply("m", "wish")).text.startswith("h")
    assert hands.instead("howto", Reply("h", "wish")) is None, "one is not enough"


def test_mixed_follow_ups_say_nothing_about_the_answer():
    """Control of the control: unmixed, the kind gives away who is pleased; mixed, it must not (its own kind apart)."""
    found = [row for row in mixed() if row[2] is not None]
    for kind in KINDS:
        meant = [m.kind == "pleased" for k, m, _ in found if k == kind]
        assert np.mean(meant) == (1.0 if kind == "measure" else 0.0)
    pleased = {kind: np.mean([i.kind == "pleased" for k, _, i in found if k == kind]) for kind in KINDS}
    assert pleased.pop("measure") == 0
    assert all(share == pytest.approx(1 / 3, abs=0.05) for share in pleased.values())


def test_the_same_seed_hands_on_the_same_follow_ups():
    assert mixed(400) == mixed(400)
    assert mixed(400) != mixed(400, seed=1)


def test_within_a_kind_a_follow_up_goes_to_somebody_else_who_asked_the_same_and_still_tells_the_kind():
    said = {}
    for i, (kind, meant, instead) in enumerate(mixed(within_kind=True)):
        if instead is not None:
            assert instead.text.split()[0] == kind
            assert said[instead.text] < i, "somebody else's, said before"
            assert (instead.kind == "pleased") == (kind == "measure")
        said[meant.text] = i
    assert sum(instead is not None for *_, instead in mixed(within_kind=True)) > 3800
