"""rollouts/service: what the RPCs answer, how errors look, and a loop that waits for what is away."""

from __future__ import annotations

import asyncio
import json

import pytest
from rejoinder.clients.rollouts import Rollout
from rejoinder.core.codec import from_proto
from rejoinder.core.errors import Aborted, BadSettings, EmptyField, NotFound
from rejoinder.core.metrics import Metrics
from rejoinder.rollouts.service import RolloutService, follow
from rejoinder.runtime.call import Call
from rejoinder.v1 import rollouts_pb2 as pb

from tests.rollouts.world import Taste, silent

CALL = Call.local()


def service(world) -> tuple[RolloutService, object]:
    engine = world.engine()
    return RolloutService(engine, "assist"), engine


async def test_without_a_rollout_it_says_who_is_stable(world) -> None:
    rollouts, _ = service(world)
    found = from_proto(await rollouts.GetRollout(pb.GetRolloutRequest(policy="assist"), CALL), Rollout)
    assert (found.phase, found.stable_version, found.canary_version, found.step) == ("idle", "r41", "", -1)
    assert (found.verdict, found.expected_at, found.stable) == ("UNSPECIFIED", None, None)
    assert (found.e_worse, found.e_needed, found.assigned, found.matured) == (0.0, 0.0, None, None)


async def test_a_rollout_is_shown_with_its_figures_and_its_outlook(world) -> None:
    rollouts, engine = service(world)
    plan = json.dumps({"margin": 0.1, "steps": [{"weight": 0.5, "duration_s": 60.0, "deadline_s": 900.0}]})
    begun = await rollouts.Start(pb.StartRequest(policy="assist", version="r42", plan=plan), CALL)
    assert (begun.canary_version, begun.phase) == ("r42", "idle")
    assert begun.judged_needed > 100
    assert not begun.HasField("expected_at")
    world.live(engine, 20, people=5)
    shown = await rollouts.GetRollout(pb.GetRolloutRequest(policy="assist"), CALL)
    assert (shown.phase, shown.weight, shown.term) == ("canary", 0.5, 1)
    assert shown.verdict in (pb.VERDICT_INCONCLUSIVE, pb.VERDICT_UNMEASURED)
    assert shown.judged_canary == shown.canary.judged > 0
    assert 0 < shown.judged_needed < begun.judged_needed
    assert shown.expected_at.ToSeconds() > world.clock.now()
    assert shown.canary.low <= shown.canary.mean <= shown.canary.high
    assert shown.low <= shown.difference <= shown.high
    assert shown.e_needed == pytest.approx(20.0)
    assert 0 < shown.e_better < shown.e_needed
    assert shown.assigned.units >= shown.matured.units == shown.stable.units + shown.canary.units
    assert shown.matured.expected_canary == shown.matured.units / 2


async def test_a_persons_decisions_pass_through(world) -> None:
    rollouts, engine = service(world)
    await rollouts.Start(pb.StartRequest(policy="assist", version="r42"), CALL)
    world.live(engine, 3, people=1)
    generation = world.table.generation
    frozen = await rollouts.Freeze(pb.FreezeRequest(policy="assist", generation=generation, frozen=True), CALL)
    assert frozen.phase == "frozen"
    with pytest.raises(Aborted):
        await rollouts.Promote(pb.PromoteRequest(policy="assist", generation=generation), CALL)
    await rollouts.Freeze(pb.FreezeRequest(policy="assist", generation=frozen.generation), CALL)
    done = await rollouts.Promote(pb.PromoteRequest(policy="assist", generation=world.table.generation), CALL)
    assert (done.phase, done.stable_version) == ("promoted", "r42")
    back = await rollouts.Abort(pb.AbortRequest(policy="assist", generation=done.generation), CALL)
    assert (back.phase, back.stable_version) == ("aborted", "r41")


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.StartRequest(policy="assist"), EmptyField),
        (pb.StartRequest(policy="assist", version="r42", plan="{"), BadSettings),
        (pb.StartRequest(policy="assist", version="r42", plan="[]"), BadSettings),
        (pb.StartRequest(policy="assist", version="r42", plan='{"alpha": 7}'), BadSettings),
        (pb.StartRequest(policy="assist", version="r42", plan='{"steps": 5}'), BadSettings),
        (pb.StartRequest(policy="assist", version="r42", plan='{"steps": [5]}'), BadSettings),
        (pb.StartRequest(policy="assist", version="r42", plan="[" * 5000), BadSettings),
        (pb.StartRequest(policy="assist", version="r42", plan='{"lease_ttl_s": 1}'), BadSettings),
        (pb.StartRequest(policy="assist", version="r42", plan='{"maturity_s": 1e300}'), BadSettings),
        (pb.StartRequest(policy="assist", version="x" * 300), NotFound),
        (pb.StartRequest(policy="assist", version="\x00"), NotFound),
        (pb.StartRequest(policy="assist", version="../../served/assist/1"), NotFound),
        (pb.StartRequest(policy="other", version="r42"), NotFound),
        (pb.StartRequest(policy="assist", version="r99"), NotFound),
    ],
)
async def test_what_cannot_be_started_has_its_reason(world, request_, error) -> None:
    rollouts, _ = service(world)
    with pytest.raises(error):
        await rollouts.Start(request_, CALL)
    found = await rollouts.GetRollout(pb.GetRolloutRequest(policy="assist"), CALL)
    assert (found.phase, found.canary_version) == ("idle", "")


async def test_another_policy_is_not_known_here(world) -> None:
    rollouts, _ = service(world)
    with pytest.raises(NotFound):
        await rollouts.GetRollout(pb.GetRolloutRequest(policy="other"), CALL)


async def test_the_loop_waits_for_what_is_away_and_says_it_once(world) -> None:
    world.tastes["r42"] = Taste()
    rollouts, engine = service(world)
    await rollouts.Start(pb.StartRequest(policy="assist", version="r42"), CALL)
    world.live(engine, 2)
    metrics, stop, said = Metrics(), asyncio.Event(), []

    class Says:
        def warning(self, event, **facts):
            said.append((event, facts["reason"]))

    world.people.away = True
    running = asyncio.create_task(follow(engine, 0.001, metrics, Says(), stop))
    while metrics.value("rollout_skipped_total", reason="UNAVAILABLE") < 3:
        await asyncio.sleep(0.001)
    world.people.away = False
    while metrics.value("rollout_looks_total", row="hold") < 2:
        await asyncio.sleep(0.001)
    stop.set()
    await running
    assert said == [("rollout_not_decided", "UNAVAILABLE")]


async def test_what_is_no_passing_trouble_ends_the_loop(world) -> None:
    _, engine = service(world)

    def broken(*asked):
        raise ValueError("a bug")

    engine.tick = broken
    with pytest.raises(ValueError, match="a bug"):
        await follow(engine, 0.001, Metrics(), silent(), asyncio.Event())
