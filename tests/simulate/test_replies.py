"""How satisfaction becomes words: evidence, "The demo's world"."""

from collections import Counter

import numpy as np
import pytest
from rejoinder.simulate.phrases import load
from rejoinder.simulate.replies import Voice
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
