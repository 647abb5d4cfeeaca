"""The driver against a product that behaves: it answers, remembers, and can be away."""

import asyncio
import json
from dataclasses import asdict

import numpy as np
import pytest
from rejoinder.core.errors import Unavailable
from rejoinder.simulate.driver import Answer, Driver, write_truth
from rejoinder.simulate.phrases import load
from rejoinder.simulate.reading import load_topics
from rejoinder.simulate.replies import Mixed
from rejoinder.simulate.tastes import people
from rejoinder.simulate.traffic import visits
from rejoinder.training.embedded.facts import ATTRIBUTES, FACTS, Style
from rejoinder.training.embedded.facts import load as facts

TOPICS = load_topics(FACTS)
STYLES = list(ATTRIBUTES.values())


class Product:
    """Answers rightly in one style, keeps what it was sent. owns: the two lists and the high-water mark."""

    def __init__(self, style=Style("detailed", "bullets", "imperial"), down_after=10**9, arm=""):
        self.asks, self.said, self.now, self.most = [], [], 0, 0
        self._style, self._down_after, self._arm = style, down_after, arm
        self._rng = np.random.default_rng(0)

    async def chat(self, ask):
        if len(self.asks) >= self._down_after:
            raise Unavailable("away")
        self.asks.append(ask)
        attempt = f"attempt-{len(self.asks)}"
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        question = ask.turns[0][1].lower()
        named = [f for f in facts() if any(t.lower() in question for t in f.topics)]
        fact = max(named, key=lambda f: len(f.topics[0]))
        return Answer(fact.answer(self._style, self._rng), attempt, "assist-r0001", self._arm)

    async def feedback(self, said):
        self.said.append(said)


def plan(count=120, seed=0):
    rng = np.random.default_rng(seed)
    return visits(people(40, "u", rng), TOPICS, load(), count=count, start=1.7e9, per_second=1.0, rng=rng)


async def drive(product, count=120, **options):
    return await Driver(product, load(), **options).run(plan(count))


async def test_every_reply_names_the_answer_and_the_attempt_it_is_about():
    product = Product()
    moments = await drive(product)
    attempts = {ask.interaction_id: f"attempt-{i + 1}" for i, ask in enumerate(product.asks)}
    assert {s.interaction_id for s in product.said} == {m.interaction_id for m in moments if m.reply}
    assert all(attempts[s.interaction_id] == s.attempt_id for s in product.said)


async def test_someone_who_complains_asks_on_in_the_same_conversation_with_the_complaint_as_next_turn():
    product = Product()
    moments = await drive(product)
    texts = {s.interaction_id: s for s in product.said}
    second = [a for a in product.asks if a.turn == 1]
    complained = {m.interaction_id for m in moments if m.turn == 0 and m.reply not in ("", "pleased")}
    assert {a.parent for a in second} == complained
    assert complained
    first = {a.interaction_id: a for a in product.asks}
    for ask in second:
        before = first[ask.parent]
        assert ask.conversation_id == before.conversation_id
        assert [role for role, _ in ask.turns] == ["user", "assistant", "user"]
        assert ask.turns[0] == before.turns[0]
        assert ask.turns[2][1] == texts[ask.parent].text
        assert ask.at == texts[ask.parent].at > before.at


async def test_a_conversation_ends_after_the_turns_allowed():
    product = Product()
    await drive(product, max_turns=1)
    assert {a.turn for a in product.asks} == {0}


async def test_ids_are_unique_and_a_run_repeats_what_it_sends_whatever_the_concurrency():
    one, many = Product(), Product()
    truth_one, truth_many = await drive(one, concurrency=1), await drive(many, concurrency=32)
    ids = [x.event_id for x in one.said] + [x.interaction_id for x in one.asks]
    assert len(ids) == len(set(ids))
    assert [m.interaction_id for m in truth_one] == [m.interaction_id for m in truth_many]
    assert {s.event_id for s in one.said} == {s.event_id for s in many.said}


async def test_no_more_conversations_are_under_way_than_allowed():
    product = Product()
    await drive(product, concurrency=5)
    assert 1 < product.most <= 5


async def test_who_stands_at_the_door_holds_people_back_and_sends_the_rest_home():
    product, taken = Product(), []
    opened = asyncio.Event()

    async def let_in():
        if len(taken) == 10:
            # Those inside are served to their end meanwhile.
            while len({ask.conversation_id for ask in product.asks}) < 10:
                await asyncio.sleep(0)
            opened.set()
        return len(taken) < 20

    def coming():
        for visit in plan():
            taken.append(visit)
            yield visit

    moments = await Driver(product, load()).run(coming(), let_in)
    assert opened.is_set()
    # Nobody is drawn who is not let in: who comes later comes at a later moment.
    assert len(taken) == 20 == sum(m.turn == 0 for m in moments)


async def test_the_truth_stays_apart_from_what_is_sent(tmp_path):
    product = Product()
    moments = await drive(product)
    sent = {name for value in [*product.asks, *product.said] for name in asdict(value)}
    assert not sent & {"satisfaction", "satisfied", "right", "missed", "wished", "reply", "kind"}
    assert any(m.missed for m in moments)
    write_truth(moments, tmp_path / "truth.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [r["interaction_id"] for r in rows] == [m.interaction_id for m in moments]
    assert {"satisfaction", "right", "version"} <= set(rows[0])


async def test_a_product_that_pleases_hears_fewer_complaints():
    """Control of the whole chain: the style that suits measure questions draws fewer complaints from them."""
    rates = []
    for style in (Style("brief", "prose", "metric"), Style("detailed", "bullets", "imperial")):
        moments = [m for m in await drive(Product(style), count=400) if m.kind == "measure" and m.turn == 0]
        rates.append(np.mean([m.reply not in ("", "pleased") for m in moments]))
    assert rates[0] + 0.2 < rates[1]


async def test_a_product_that_is_away_ends_the_run_with_its_own_error():
    with pytest.raises(Unavailable):
        await drive(Product(down_after=10))


async def test_the_truth_says_on_which_arm_an_answer_was_served():
    assert {m.arm for m in await drive(Product(arm="canary"))} == {"canary"}
    assert {m.arm for m in await drive(Product())} == {""}


async def test_a_silencing_version_hears_less_from_the_displeased_and_as_much_from_the_pleased():
    """Silent complaints: whoever still replies is more pleased on average, and nobody is."""
    loud, quiet, other = [
        [m for m in await drive(Product(), count=600, silencing=silencing, max_turns=1)]
        for silencing in (set(), {"assist-r0001"}, {"assist-r0002"})
    ]
    assert loud == other, "another version silences nobody"
    assert [m.satisfied for m in loud] == [m.satisfied for m in quiet]

    def heard(moments, satisfied):
        return np.mean([m.reply != "" for m in moments if m.satisfied is satisfied])

    assert heard(quiet, True) == heard(loud, True)
    assert heard(quiet, False) + 0.3 < heard(loud, False)
    among_repliers = [np.mean([m.satisfied for m in found if m.reply]) for found in (loud, quiet)]
    assert among_repliers[0] < among_repliers[1]


async def test_with_mixed_follow_ups_nobody_says_what_their_own_answer_made_them_say():
    """Control that must not learn: the wish that is sent says nothing about what this person misses."""
    suits = []
    for mixed in (None, Mixed(np.random.default_rng(3))):
        moments = [m for m in await drive(Product(), count=800, mixed=mixed) if m.turn == 0 and m.wished]
        assert len(moments) > 50
        suits.append(np.mean([set(m.wished) <= set(m.missed) for m in moments]))
    assert suits[0] == 1.0
    assert suits[1] < 0.8


async def test_the_truth_of_the_next_stretch_is_added_to_that_of_the_one_before(tmp_path):
    stretches = [await drive(Product(), count=count) for count in (5, 7)]
    for moments in stretches:
        write_truth(moments, tmp_path / "truth.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [r["interaction_id"] for r in rows] == [m.interaction_id for found in stretches for m in found]
