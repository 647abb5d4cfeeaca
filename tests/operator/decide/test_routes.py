"""decide/routes: which rollout may write a route that others share, and who stands on which backend."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.rollout.state import ABORTED, CANARY, IDLE, PROMOTED, SHADOW, SUPERSEDED, Status
from rejoinder_operator.api.rollouts import Traffic
from rejoinder_operator.decide.routes import Peer, followed, means_route, not_swapped

from tests.operator.decide.test_rollout import BEGUN, NOW
from tests.operator.world import TRAFFIC

UNSWAPPED = Traffic.model_validate(TRAFFIC)
SWAPPED = Traffic.model_validate(TRAFFIC | {"stable": TRAFFIC["canary"], "canary": TRAFFIC["stable"]})
LATER = replace(BEGUN, began_at=NOW + 1)
SPLIT = {"stable": 50, "canary": 50}


def phase(name: str, closed: bool = False) -> Status:
    return replace(BEGUN, phase=name, closed=closed)


@pytest.mark.parametrize(
    ("before", "after", "failed", "means"),
    [
        (None, phase(IDLE), False, False),
        (None, phase(SUPERSEDED, True), False, False),
        (None, phase(ABORTED, True), False, False),
        (phase(IDLE), phase(SHADOW), False, False),
        (phase(SHADOW), phase(ABORTED, True), True, False),
        (phase(IDLE), phase(CANARY), False, True),
        (phase(CANARY), phase(CANARY), False, True),
        (phase(CANARY), phase(PROMOTED), False, True),
        (phase(CANARY), phase(ABORTED, True), False, True),
        (phase(PROMOTED), phase(ABORTED, True), False, True),
        (phase(PROMOTED), phase(SUPERSEDED, True), False, False),
        (phase(ABORTED, True), phase(ABORTED, True), False, False),
        (phase(ABORTED, True), phase(ABORTED, True), True, True),
    ],
)
def test_who_exposes_somebody_has_a_say_and_who_ended_it_until_it_is_written(
    before: Status | None, after: Status, failed: bool, means: bool
) -> None:
    assert means_route(before, after, failed) == means


def test_a_route_that_a_later_rollout_has_written_is_the_later_ones() -> None:
    ended = phase(PROMOTED, True)
    later = Peer(replace(LATER, phase=CANARY), SWAPPED, SPLIT)
    assert followed(ended, ended, [later])
    assert not followed(ended, ended, [replace(later, routed=None)])
    assert not followed(ended, ended, [replace(later, engine=replace(later.engine, began_at=NOW - 9))])
    assert not followed(ended, ended, [replace(later, engine=replace(LATER, phase=SUPERSEDED))])
    assert not followed(phase(PROMOTED), phase(ABORTED, True), [later]), "what is taken back is the newest word"


def test_who_was_promoted_stands_on_the_backend_that_was_its_canarys() -> None:
    promoted, aborted = (Peer(phase(each, True), UNSWAPPED, SPLIT) for each in (PROMOTED, ABORTED))
    assert not_swapped(UNSWAPPED, LATER, [promoted])
    assert not not_swapped(SWAPPED, LATER, [promoted])
    assert not_swapped(SWAPPED, LATER, [aborted])
    assert not not_swapped(UNSWAPPED, LATER, [aborted])
    assert not not_swapped(UNSWAPPED, LATER, [replace(promoted, routed=None)])
    last = replace(aborted, traffic=SWAPPED, engine=replace(aborted.engine, began_at=NOW - 0.5))
    assert not not_swapped(SWAPPED, LATER, [last, promoted]), "the last one says where everybody is"
    assert not not_swapped(UNSWAPPED, LATER, [])
