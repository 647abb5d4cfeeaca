"""reconcile/rollouts: a loop's whole life inside a cluster, whoever dies meanwhile (F11, F12, F13)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core.errors import Fenced, PermissionDenied
from rejoinder.registry.claims import claims
from rejoinder.rollout.state import WriteArms
from rejoinder_operator.ports.writes import WRITES

from tests.operator.world import GOOD, NEW, TRAFFIC, Process, World
from tests.rollouts.world import Taste


def over(world: World) -> bool:
    return any(
        item.get("status", {}).get("engine", {}).get("closed")
        for item in world.cluster.all("PolicyRollout")
        if item["metadata"]["name"] != "template"
    )


def check_once(world: World) -> None:
    """No second Job, no second number, no second promotion."""
    jobs = sorted(name for kind, name in world.cluster.created if kind == "Job")
    assert jobs == [f"assist-r0001-{stage}-1" for stage in ("finish", "prepare", "train")]
    assert [claim.outcome for claim in claims(world.inner.store, "assist")] == ["published"]
    assert [name for kind, name in world.cluster.created if kind == "PolicyRound"] == ["assist-r0001"]
    assert [name for kind, name in world.cluster.created if kind == "PolicyRollout"] == ["template", "assist-r0001"]


def test_evidence_becomes_a_round_a_version_and_a_promotion(world: World) -> None:
    world.begin()
    process = world.live(world.process(), lambda: over(world))
    check_once(world)
    assert world.inner.served.version == NEW.version
    assert world.inner.served.generation == 2
    status = world.status("PolicyRollout", "assist-r0001")
    assert status["phase"] == "Promoted"
    assert status["verdict"]["promotable"]
    assert process.board.answer("team", "assist-r0001")["phase"] == "Successful"
    assert world.status("PolicyRound", "assist-r0001")["outcome"] == "published"


def backends(world: World, kind: str = "HTTPRoute") -> dict[str, int]:
    (route,) = world.cluster.all(kind)
    (rule,) = route["spec"]["rules"]
    return {each["name"]: each["weight"] for each in rule["backendRefs"]}


def test_a_route_follows_the_arms_and_after_a_promotion_everybody_is_on_the_canary(world: World) -> None:
    world.traffic = TRAFFIC
    world.begin()
    process = world.live(world.process(), lambda: bool(world.cluster.all("HTTPRoute")) and backends(world)["green"] > 0)
    assert backends(world) == {"blue": 50, "green": 50}
    world.live(process, lambda: over(world))
    assert backends(world) == {"blue": 0, "green": 100}
    status = world.status("PolicyRollout", "assist-r0001")
    assert status["routed"] == {"stable": 0, "canary": 100}
    process.passed.clear()
    process.look()
    assert ("after", "route") not in process.passed


def test_a_route_that_cannot_be_written_holds_up_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(manifest: object) -> None:
        raise PermissionDenied("no such right")

    world.traffic = TRAFFIC
    monkeypatch.setattr(world.cluster, "apply", refused)
    world.begin()
    world.live(world.process(), lambda: over(world))
    assert world.inner.served.version == NEW.version
    told = {each["type"]: each for each in world.status("PolicyRollout", "assist-r0001")["conditions"]}
    assert (told["Routed"]["status"], told["Routed"]["reason"]) == ("False", "PermissionDenied")


def test_a_harmful_version_goes_back_and_is_not_tried_again(world: World) -> None:
    world.inner.tastes[NEW.version] = Taste(pleased=0.4)
    world.begin()
    world.live(world.process(), lambda: over(world))
    assert world.inner.served.version == GOOD.version
    assert world.inner.table.canary is None
    status = world.status("PolicyRollout", "assist-r0001")
    assert status["phase"] == "Aborted"
    told = {each["type"]: each for each in status["conditions"]}
    assert told["RolledBack"]["status"] == "True"
    assert "stable 0." in told["RolledBack"]["message"]
    assert any(event["reason"] == "Aborted" and event["type"] == "Warning" for event in world.cluster.all("Event"))


def test_every_write_is_passed_in_these_lives(world: World) -> None:
    """A new write that no life passes would be killed nowhere: it fails here."""
    world.inner.tastes[NEW.version] = Taste(pleased=0.4)
    world.traffic = TRAFFIC
    world.begin()
    process = world.process()
    world.live(process, lambda: over(world))
    more = {name for _, name in process.passed}
    assert more >= set(WRITES) - {"promote", "close", "delete"}


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("name", [name for name in WRITES if name not in ("rolled_back", "close", "delete")])
def test_killed_at_a_write_on_the_way_to_a_promotion_it_goes_on_and_ends_once(
    world: World, name: str, side: str
) -> None:
    world.traffic = TRAFFIC
    world.begin()
    process = world.process((side, name))
    world.live(process, lambda: over(world))
    assert process.killed_at is None, "the failpoint was never passed"
    check_once(world)
    assert (world.inner.served.version, world.inner.served.generation) == (NEW.version, 2)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("name", ["rolled_back", "evidence", "status", "arms"])
def test_killed_at_a_write_on_the_way_back_stable_is_served(world: World, name: str, side: str) -> None:
    world.inner.tastes[NEW.version] = Taste(pleased=0.4)
    world.begin()
    process = world.process((side, name))
    world.live(process, lambda: over(world))
    assert process.killed_at is None, "the failpoint was never passed"
    check_once(world)
    assert (world.inner.served.version, world.inner.served.generation) == (GOOD.version, 1)
    assert world.inner.table.canary is None
    assert world.inner.store.names("rolled_back/assist") == [f"{NEW.version}.json"]


def begun_canary(world: World) -> Process:
    """Somebody meets the version, and nothing will be decided soon."""
    world.begin()
    steps = [{"weight": 50, "duration": "1h", "deadline": "4h"}]
    world.cluster.edit("PolicyRollout", "team", "template", steps=steps)
    return world.live(world.process(), lambda: bool(world.inner.table and world.inner.table.canary), people=5)


def test_a_rollout_that_is_deleted_in_a_canary_lapses_and_the_next_one_may_begin(world: World) -> None:
    process = begun_canary(world)
    world.live(process, lambda: world.metrics.value("rollout_weight", policy="assist") == 0.5, people=5)
    rollout = world.cluster.get("PolicyRollout", "team", "assist-r0001")
    world.cluster.delete("PolicyRollout", "team", "assist-r0001", rollout["metadata"]["uid"])
    process.sync()
    assert process.rollouts.reconcile("team", "assist-r0001") is None
    expires = world.inner.table.lease.expires_at
    for _ in range(60):
        world.second(5)
        process.look()
    assert world.inner.table.lease.expires_at == expires < world.inner.clock.now(), "nobody renews it"
    assert world.metrics.value("rollout_weight", policy="assist") == 0.0
    assert process.board.answer("team", "assist-r0001") is None
    assert world.inner.served.version == GOOD.version
    assert "assist-r0001" not in {item["metadata"]["name"] for item in world.cluster.all("PolicyRollout")}
    world.make("PolicyRollout", "again", rollout["spec"])
    world.live(process, lambda: world.status("PolicyRollout", "again").get("phase") == "Canary", people=5)


def test_a_canary_that_nobody_can_judge_is_not_renewed_and_status_says_so(world: World) -> None:
    process = begun_canary(world)
    expires = world.inner.table.lease.expires_at
    world.inner.people.away = True
    process.passed.clear()
    for _ in range(60):
        world.second(5)
        assert process.look() == {"assist-r0001": "UNAVAILABLE"}
    assert world.inner.table.lease.expires_at == expires < world.inner.clock.now()
    ready = {c["type"]: c for c in world.status("PolicyRollout", "assist-r0001")["conditions"]}["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "Unavailable")
    assert process.passed.count(("after", "status")) <= 2, "said once"
    world.inner.people.away = False
    world.second(5)
    process.look()
    assert world.inner.table.lease.expires_at > expires
    told = {c["type"]: c for c in world.status("PolicyRollout", "assist-r0001")["conditions"]}
    assert told["Ready"]["status"] == "True"


@pytest.mark.parametrize("field", ["suspend", "freeze"])
def test_what_a_person_holds_in_a_canary_is_held_and_let_go(world: World, field: str) -> None:
    process = begun_canary(world)
    world.cluster.edit("PolicyRollout", "team", "assist-r0001", **{field: True})
    world.second(5)
    process.look()
    assert (world.inner.table.canary is None) == (field == "suspend")
    assert world.status("PolicyRollout", "assist-r0001")["held"] == {"suspend": "suspended", "freeze": "frozen"}[field]
    world.cluster.edit("PolicyRollout", "team", "assist-r0001", **{field: False})
    world.second(5)
    process.look()
    assert world.inner.table.canary is not None


def test_an_abort_of_an_earlier_table_is_ignored_and_one_of_this_is_followed(world: World) -> None:
    process = begun_canary(world)
    generation = world.status("PolicyRollout", "assist-r0001")["generation"]
    for said, there in ((str(generation - 1), True), ("now", True), (str(generation), False)):
        world.cluster.annotate("PolicyRollout", "team", "assist-r0001", abort=said)
        world.second(5)
        process.look()
        assert (world.inner.table.canary is not None) == there


def test_a_leader_that_slept_in_a_canary_is_fenced_by_the_tables_term(world: World) -> None:
    first, second = begun_canary(world), world.process()
    assert not second.election.try_once(second.writes)
    world.inner.clock.advance(16.0)
    second.look()
    table, count = world.inner.table, len(world.inner.tables())
    # It wakes between its guard and its write, and still thinks that it leads.
    first.writes.guard = lambda: None
    first.election.try_once = lambda writes: True  # type: ignore[method-assign]
    with pytest.raises(Fenced):
        first.writes.arms("assist", WriteArms(replace(table, generation=99)), world.inner.clock.now())
    assert first.look() == {"assist-r0001": "FENCED"}
    assert (world.inner.table, len(world.inner.tables())) == (table, count)
    assert table.term > 1
