import uuid

import numpy as np
import pytest
from rejoinder.core.ids import uuid7_time
from rejoinder.simulate.phrases import load
from rejoinder.simulate.reading import load_topics
from rejoinder.simulate.tastes import NORMS, people
from rejoinder.simulate.traffic import event_id, visits
from rejoinder.training.embedded.facts import FACTS

START = 1_700_000_000.0


def plan(seed=0, count=400, persons=50):
    rng = np.random.default_rng(seed)
    crowd = people(persons, "u", rng)
    return visits(crowd, load_topics(FACTS), load(), count=count, start=START, per_second=2.0, rng=rng)


def test_visits_arrive_in_order_at_the_rate_asked_for():
    moments = [v.at for v in plan(count=2000)]
    assert moments == sorted(moments)
    assert moments[0] > START
    assert (moments[-1] - START) / 2000 == pytest.approx(0.5, rel=0.1)
    gaps = np.diff(moments)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.15)


def test_everybody_comes_equally_often_and_every_kind_is_asked_equally_often():
    made = plan()
    counts = [sum(v.person.id == f"u-{i}" for v in made) for i in range(50)]
    assert set(counts) == {8}
    assert all(sum(v.topic.kind == kind for v in made) == 100 for kind in NORMS)


def test_the_same_seed_makes_the_same_plan():
    assert plan() == plan()
    assert plan() != plan(seed=1)


def test_event_ids_are_version_seven_carry_their_moment_and_repeat_with_the_seed():
    ids = [event_id(START + i, np.random.default_rng(0)) for i in range(3)]
    assert all(uuid.UUID(i).version == 7 and uuid.UUID(i).variant == uuid.RFC_4122 for i in ids)
    assert uuid7_time(ids[1]) == START + 1
    assert ids == sorted(ids)
    assert event_id(START, np.random.default_rng(0)) == ids[0]
    assert event_id(START, np.random.default_rng(1)) != ids[0]
