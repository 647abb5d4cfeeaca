"""reconcile/rollouts: a loop's whole life inside a cluster, whoever dies meanwhile (F11, F12, F13)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.core.arms import Version
from rejoinder.core.errors import Fenced, PermissionDenied, Unavailable
from rejoinder.registry.artefacts import Version as Made
from rejoinder.registry.claims import claims
from rejoinder.registry.served import ServedPointer, advance
from rejoinder.rollout.state import ABORTED, Status, WriteArms
from rejoinder.rollouts import rolled_back
from rejoinder_operator.ports.writes import WRITES

from tests.operator.world import EXPORT, GOOD, NEW, ROLLOUT, TRAFFIC, Process, World
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


SHADOW = {"percent": 50, "duration": "30s"}


def shadowing(world: World, **taste: Any) -> None:
    """A loop whose rollouts have a shadow phase; what the new version is like."""
    world.inner.tastes[NEW.version] = Taste(**taste)
    world.begin()
    world.cluster.edit("PolicyRollout", "team", "template", shadow=SHADOW)


@pytest.mark.parametrize(
    "killed_at", [None, *((s, w) for w in ("rolled_back", "evidence") for s in ("before", "after"))]
)
def test_harm_in_the_shadow_ends_it_before_anybody_has_met_it(world: World, killed_at: tuple[str, str] | None) -> None:
    shadowing(world, failed=0.5)
    world.live(world.process(killed_at), lambda: over(world))
    check_once(world)
    status = world.status("PolicyRollout", "assist-r0001")
    assert (status["phase"], status["reason"], status["row"]) == ("Aborted", "shadow:failures", "shadow_harm")
    assert [veto["state"] == "Fired" for veto in status["shadow"]["vetoes"]] == [True, False]
    assert not [table for table in world.inner.tables() if table.canary]
    assert world.inner.store.names("rolled_back/assist") == [f"{NEW.version}.json"]
    assert all(replica.orders[-1].share == 0.0 for replica in world.inner.replicas.values())


def test_a_new_leader_goes_on_with_the_shadows_counts_and_clock(world: World) -> None:
    shadowing(world)

    def at(row: str) -> bool:
        return any(item.get("status", {}).get("row") == row for item in world.cluster.all("PolicyRollout"))

    process = world.live(world.process(), lambda: at("shadow"))
    began = world.inner.clock.now()
    world.live(process, lambda: world.inner.clock.now() - began >= 10.0)
    world.live(world.process(), lambda: at("first_step"))
    assert world.inner.clock.now() - began < 40.0
    status = world.status("PolicyRollout", "assist-r0001")
    counted = sum(replica.pairs for replica in world.inner.replicas.values())
    assert counted - 60 <= status["shadow"]["pairs"] <= counted, "both leaders' looks, once"


def row_of(world: World, name: str) -> str:
    found = {item["metadata"]["name"]: item.get("status", {}) for item in world.cluster.all("PolicyRollout")}
    return found.get(name, {}).get("row", "")


def test_a_suspended_shadow_stops_at_once_keeps_what_was_scored_and_its_time_stands(world: World) -> None:
    shadowing(world)
    process = world.live(world.process(), lambda: row_of(world, "assist-r0001") == "shadow")
    began = world.inner.clock.now()
    world.live(process, lambda: world.inner.clock.now() - began >= 10.0)
    world.cluster.edit("PolicyRollout", "team", "assist-r0001", suspend=True)
    world.live(process, lambda: row_of(world, "assist-r0001") == "suspended")
    assert all(replica.orders[-1].share == 0.0 for replica in world.inner.replicas.values())
    scored = sum(replica.pairs for replica in world.inner.replicas.values())
    world.live(process, lambda: world.inner.clock.now() - began >= 200.0)
    assert sum(replica.pairs for replica in world.inner.replicas.values()) == scored
    world.cluster.edit("PolicyRollout", "team", "assist-r0001", suspend=False)
    thawed = world.inner.clock.now()
    world.live(process, lambda: row_of(world, "assist-r0001") == "first_step")
    assert 15.0 < world.inner.clock.now() - thawed < 30.0, "what was left of its time"
    counted = sum(replica.pairs for replica in world.inner.replicas.values())
    kept = world.status("PolicyRollout", "assist-r0001")["shadow"]["pairs"]
    assert counted - 60 <= kept <= counted


def test_a_person_exposes_an_unmeasured_version_by_the_annotation(world: World) -> None:
    shadowing(world)
    world.cluster.edit("PolicyRollout", "team", "template", shadow={**SHADOW, "minPairs": 100_000})
    process = world.live(world.process(), lambda: row_of(world, "assist-r0001") == "shadow_unmeasured")
    status = world.status("PolicyRollout", "assist-r0001")
    assert {veto["state"] for veto in status["shadow"]["vetoes"]} == {"Unmeasured"}
    world.cluster.annotate("PolicyRollout", "team", "assist-r0001", approve=str(status["generation"]))
    world.live(process, lambda: row_of(world, "assist-r0001") == "first_step")
    assert world.inner.table.weight == 0.5


def test_where_no_replica_answers_again_any_more_people_see_why_nothing_moves(world: World) -> None:
    shadowing(world)
    process = world.live(world.process(), lambda: row_of(world, "assist-r0001") == "shadow")
    for able, held in ((False, "shadow_unheard"), (True, "")):
        for replica in world.inner.replicas.values():
            replica.shadows = able
        world.live(process, lambda held=held: world.status("PolicyRollout", "assist-r0001")["held"] == held)
        told = {each["type"]: each for each in world.status("PolicyRollout", "assist-r0001")["conditions"]}
        assert told["Ready"]["reason"] == ("Shadow" if able else "ShadowUnheard")


def test_two_shadow_phases_of_a_policy_come_one_after_the_other(world: World) -> None:
    """Also where another leader, who had not heard of the one, put the other into its phase."""
    another(world, "one", GOOD, shadow=SHADOW)
    world.make("PolicyRollout", "two", ROLLOUT | {"stable": vars(GOOD), "canary": vars(NEW), "shadow": SHADOW})
    process = world.live(world.process(), lambda: row_of(world, "one") == "shadow")
    world.live(process, lambda: world.status("PolicyRollout", "two").get("held") == "busy")
    status = world.status("PolicyRollout", "two")
    forced = {**status["engine"], "phase": "shadow", "held": "", "shadow_at": world.inner.clock.now()}
    world.cluster.set_status("PolicyRollout", "team", "two", {**status, "engine": forced})
    world.live(process, lambda: row_of(world, "one") == "first_step")
    orders = [order for replica in world.inner.replicas.values() for order in replica.orders if order.share]
    assert {order.salt for order in orders} == {world.status("PolicyRollout", "one")["engine"]["salt"]}
    assert world.status("PolicyRollout", "one")["shadow"]["pairs"] > 100
    assert world.status("PolicyRollout", "two")["held"] == "busy"
    rollout = world.cluster.get("PolicyRollout", "team", "one")
    world.cluster.delete("PolicyRollout", "team", "one", rollout["metadata"]["uid"])
    world.live(process, lambda: row_of(world, "two") == "first_step")
    assert world.status("PolicyRollout", "two")["shadow"]["pairs"] > 100


def worse(world: World) -> float:
    """As Flagger's query asks."""
    return world.metrics.value("rollout_verdict", policy="assist", outcome="worse")


@pytest.mark.parametrize("by", ["deletion", "the next one"])
def test_a_harmful_version_goes_back_and_the_figures_say_so_until_it_is_over(world: World, by: str) -> None:
    world.inner.tastes[NEW.version] = Taste(pleased=0.4)
    world.begin()
    process = world.live(world.process(), lambda: over(world))
    assert worse(world) == 1.0
    assert world.metrics.value("rollout_weight", policy="assist") == 0.0
    assert process.board.answer("team", "assist-r0001")["outcome"] == "worse"
    if by == "deletion":
        rollout = world.cluster.get("PolicyRollout", "team", "assist-r0001")
        world.cluster.delete("PolicyRollout", "team", "assist-r0001", rollout["metadata"]["uid"])
        process.sync()
        process.rollouts.reconcile("team", "assist-r0001")
    else:
        another(world, "again", GOOD)
        process.look()
    assert worse(world) == 0.0
    process.look()
    assert worse(world) == 0.0, "an old end is not told anew"


OTHER = Version("other", "6" * 64)


def another(world: World, name: str, stable: Version, **spec: object) -> None:
    """One more rollout, of a version that nobody has tried."""
    made = Made("assist", OTHER.version, OTHER.digest, base_digest=EXPORT)
    path = world.inner.root / "registry" / "versions" / "assist" / f"{OTHER.version}.json"
    path.write_text(json.dumps(vars(made)))
    world.make("PolicyRollout", name, ROLLOUT | {"stable": vars(stable), "canary": vars(OTHER)} | spec)


def routed(world: World, name: str) -> tuple[str, str]:
    (found,) = [c for c in world.status("PolicyRollout", name)["conditions"] if c["type"] == "Routed"]
    return found["status"], found["reason"]


SWAPPED = TRAFFIC | {"stable": TRAFFIC["canary"], "canary": TRAFFIC["stable"]}


def test_after_a_promotion_nobody_is_sent_back_by_the_next_rollout_and_once_swapped_it_has_the_route(
    world: World,
) -> None:
    world.traffic = TRAFFIC
    world.begin()
    process = world.live(world.process(), lambda: over(world))
    another(world, "next", NEW, traffic=TRAFFIC)
    world.live(process, lambda: world.status("PolicyRollout", "next").get("phase") == "Canary")
    assert backends(world) == {"blue": 0, "green": 100}
    assert routed(world, "next") == ("False", "BackendsNotSwapped")
    world.cluster.edit("PolicyRollout", "team", "next", traffic=SWAPPED)
    process.look()
    assert backends(world) == {"green": 50, "blue": 50}
    assert routed(world, "next") == ("True", "WeightsWritten")


@pytest.mark.parametrize("row", ["busy", "moved", "tried"])
def test_a_rollout_that_exposes_nobody_leaves_anothers_route_alone(world: World, row: str) -> None:
    world.traffic = TRAFFIC
    process = begun_canary(world)
    process.look()
    assert backends(world) == {"blue": 50, "green": 50}
    if row == "tried":
        status = Status("", GOOD, OTHER, 1, 0.0, phase=ABORTED, reason="worse:satisfaction", closed=True)
        rolled_back.record(world.inner.store, "assist", status, world.inner.clock.now())
    another(world, "second", Version("older", "9" * 64) if row == "moved" else GOOD, traffic=TRAFFIC)
    process.passed.clear()
    for _ in range(3):
        world.second(5)
        process.look()
    status = world.status("PolicyRollout", "second")
    assert {"busy": status["held"], "moved": status["row"], "tried": status["row"]}[row] == row
    assert ("after", "route") not in process.passed
    assert backends(world) == {"blue": 50, "green": 50}


def test_a_promotion_that_somebody_supersedes_leaves_everybody_where_they_are(world: World) -> None:
    world.traffic = TRAFFIC
    world.begin()
    world.cluster.edit("PolicyRollout", "team", "template", watch={"duration": "1h"})
    process = world.live(world.process(), lambda: world.inner.served.version == NEW.version)
    world.live(process, lambda: backends(world) == {"blue": 0, "green": 100})
    advance(world.inner.store, ServedPointer("assist", 3, OTHER.version, OTHER.digest, 2, decided_by="somebody"))
    world.live(process, lambda: over(world))
    assert world.status("PolicyRollout", "assist-r0001")["phase"] == "Superseded"
    assert backends(world) == {"blue": 0, "green": 100}


def refusing(world: World, monkeypatch: pytest.MonkeyPatch, canary: int, times: int = 1_000) -> list[int]:
    """Routes with that many percent on the second backend cannot be written so often. Answers the refusals."""
    apply, refused = world.cluster.apply, []

    def tried(manifest: dict[str, Any]) -> object:
        weight = manifest["spec"]["rules"][0]["backendRefs"][1]["weight"]
        if weight == canary and len(refused) < times:
            refused.append(weight)
            raise Unavailable("the API server is away")
        return apply(manifest)

    monkeypatch.setattr(world.cluster, "apply", tried)
    return refused


def test_one_that_is_over_and_could_not_write_the_route_does_not_write_over_the_next_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.traffic = TRAFFIC
    refused = refusing(world, monkeypatch, canary=100)
    world.begin()
    process = world.live(world.process(), lambda: over(world))
    another(world, "next", NEW, traffic=SWAPPED)
    world.live(process, lambda: world.status("PolicyRollout", "next").get("routed") is not None)
    assert backends(world) == {"green": 50, "blue": 50}
    count = len(refused)
    process.look()
    assert process.rollouts.reconcile("team", "assist-r0001") is None
    assert count == len(refused) > 1


def test_a_route_that_could_not_be_taken_back_is_tried_again_soon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.inner.tastes[NEW.version] = Taste(pleased=0.4)
    world.traffic = TRAFFIC
    refused = refusing(world, monkeypatch, canary=0, times=2)
    world.begin()
    process = world.live(world.process(), lambda: bool(refused))
    assert over(world)
    assert backends(world) == {"blue": 50, "green": 50}
    process.sync()
    assert process.rollouts.reconcile("team", "assist-r0001") == 5.0
    process.sync()
    assert process.rollouts.reconcile("team", "assist-r0001") is None
    assert backends(world) == {"blue": 100, "green": 0}
    assert routed(world, "assist-r0001") == ("True", "WeightsWritten")


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
