import json
from dataclasses import replace

import pytest
from rejoinder.core.arms import Step, Version
from rejoinder.rollout.state import Status

FULL = Status(
    salt="s42",
    stable=Version("r41", "d41"),
    canary=Version("r42", "d42"),
    served_generation=7,
    began_at=1.0,
    phase="canary",
    step=1,
    steps=(Step(0.05, 1.0), Step(0.2, 2.0)),
    shadow_at=0.5,
    promoted_at=9.0,
    approved=("canary",),
    held="inconclusive",
    reason="r",
    by="anna",
    reverting="worse",
    closed=True,
)


def test_a_status_survives_json_with_every_part_set():
    assert Status.from_dict(json.loads(json.dumps(FULL.as_dict()))) == FULL


def test_a_field_of_another_release_is_refused_not_dropped():
    with pytest.raises(TypeError):
        Status.from_dict(FULL.as_dict() | {"speed": 3})


@pytest.mark.parametrize(
    ("phase", "held", "shown"),
    [
        ("idle", "digests", "idle"),
        ("canary", "", "canary"),
        ("canary", "inconclusive", "paused"),
        ("canary", "promoting", "canary"),
        ("canary", "frozen", "frozen"),
        ("promoted", "", "promoted"),
    ],
)
def test_people_see_one_word(phase, held, shown):
    assert replace(FULL, phase=phase, held=held).shown == shown
