"""decide/rollout: the cluster's rows before the laptop's, and the spec as its plan."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.core import charter as charters
from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Polarity
from rejoinder.rollout.decide import decide
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.shadow import Count, Scored, ShadowView
from rejoinder.rollout.state import Observed, Pointer, Replica, Status
from rejoinder.rollout.units import Audited, UnitScore
from rejoinder.rollout.verdict import Look, Outcome, Verdict, verdict
from rejoinder.rollout.vetoes import Veto
from rejoinder.rollouts.judging import MEASURED, check_kept
from rejoinder.rollouts.shadowing import shadow_views
from rejoinder_operator.api.rollouts import RolloutSpec, ShadowStatus, VerdictStatus
from rejoinder_operator.decide import rollout as rollouts
from rejoinder_operator.decide.rollout import (
    Moved,
    RolloutWorld,
    changed,
    commands_of,
    decide_rollout,
    goes_first,
    plan_of,
    salt_of,
    shadow_status,
    told,
    verdict_status,
)

from tests.operator.world import GOOD, NEW, ROLLOUT

NOW = 1_700_000_000.0
META: dict[str, Any] = {"name": "assist-r0001", "namespace": "team", "uid": "p1", "annotations": {}}
VERSIONS = {"stable": vars(GOOD), "canary": vars(NEW)}
SEEN = RolloutWorld(
    served=Pointer(1, GOOD), published=NEW.digest, term=1, replicas=(Replica("a", ((NEW.version, NEW.digest),)),)
)
NORM = {"id": "no-code", "text": "No codes.", "owner": "security", "forbid": "code 4711"}
CHARTER: dict[str, Any] = {"version": "1", "norms": [{**NORM, "approvals": ["legal"], "mostWords": 0}]}
CHARTER_HERE = {"version": "1", "norms": [{**NORM, "approvals": ["legal"]}]}
BEGUN = Status(salt_of("p1"), GOOD, NEW, 1, NOW - 1)


def spec_of(**fields: Any) -> RolloutSpec:
    return RolloutSpec.model_validate(ROLLOUT | VERSIONS | fields)


def decided(seen: RolloutWorld = SEEN, engine: Status | None = None, meta: Any = (), spec: Any = None) -> Moved:
    chosen = spec or spec_of()
    status = {"engine": engine.as_dict()} if engine else {}
    return decide_rollout(chosen, plan_of(chosen), META | dict(meta), status, seen, NOW)


ROWS = {
    "template": decided(spec=RolloutSpec.model_validate(ROLLOUT)),
    "deleting": decided(engine=BEGUN, meta={"deletionTimestamp": "now"}),
    "unserved": decided(replace(SEEN, served=None)),
    "moved": decided(replace(SEEN, served=Pointer(2, Version("other", "6" * 64)))),
    "unpublished": decided(replace(SEEN, published="7" * 64), BEGUN),
    "tried": decided(replace(SEEN, tried="worse:satisfaction")),
    "unshadowed": decided(spec=spec_of(shadow={})),
    "begin": decided(),
}


def test_the_table_its_docstring_and_these_rows_are_one() -> None:
    assert re.findall(r"^\| (\w+) *\|", rollouts.__doc__ or "", re.M)[1:] == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_applies_where_its_line_says_and_touches_nothing(row: str) -> None:
    assert ROWS[row].row == row
    assert ROWS[row].actions == ()


def test_after_them_it_is_the_laptops_decision_word_for_word() -> None:
    arms = ArmsTable("assist", term=1, generation=3, stable=GOOD, holdout_share=0.1)
    seen = replace(SEEN, arms=arms)
    plan = plan_of(spec_of())
    observed = Observed(arms, Pointer(1, GOOD), 1, SEEN.replicas)
    laptop = decide(plan, BEGUN, observed, NOW)
    ours = decided(seen, BEGUN)
    assert (ours.row, ours.engine, ours.actions) == (laptop.row, laptop.status, laptop.actions)
    assert ours.row == "first_step"
    assert ours.shown["weights"] == {"stable": 50, "canary": 50}


def test_a_beginning_that_was_lost_draws_nobody_anew() -> None:
    assert ROWS["begin"].engine is not None
    assert ROWS["begin"].engine.salt == decided().engine.salt != salt_of("p2")


SHADOW = {"percent": 20, "duration": "1h", "minPairs": 7, "onUnmeasured": "Advance"}


def test_a_shadow_phase_reaches_the_plan_and_is_none_by_default() -> None:
    plan = plan_of(spec_of(shadow=SHADOW))
    assert (plan.shadow_s, plan.shadow_share, plan.shadow_min_pairs, plan.shadow_unmeasured) == (
        3600,
        0.2,
        7,
        "advance",
    )
    plain = plan_of(spec_of(shadow={}))
    assert (plain.shadow_s, plain.shadow_share, plain.shadow_min_pairs, plain.shadow_unmeasured) == (
        1800,
        0.05,
        50,
        "hold",
    )
    assert plan_of(spec_of()).shadow_s == 0


def test_the_shadow_phase_is_the_laptops_and_its_harm_stands_in_the_reason() -> None:
    able = replace(SEEN, replicas=(replace(SEEN.replicas[0], shadows=True),))
    spec = spec_of(shadow=SHADOW)
    assert decided(able, spec=spec).row == "begin"
    begun = decided(able, BEGUN, spec=spec)
    assert (begun.row, begun.engine.phase, begun.shown["phase"]) == ("shadow", "shadow", "Shadow")
    ended = decided(replace(able, shadow=ShadowView(9, ("length",))), begun.engine, spec=spec)
    assert (ended.row, ended.shown["phase"], ended.shown["reason"]) == ("shadow_harm", "Aborted", "shadow:length")
    assert ended.decisive, "what was scored is kept before anything is done"


def test_what_was_scored_unseen_is_told_in_the_status() -> None:
    evidence = Evidence(plan_of(spec_of(shadow=SHADOW)))
    evidence.shadow.take(Scored("a", "s", 40, (Count("failures", 40, 1, 20, 2),), dropped=3))
    told = shadow_status(evidence.shadow.total, shadow_views(evidence, plan_of(spec_of(shadow=SHADOW))))
    shown = ShadowStatus.model_validate(told)
    assert (shown.pairs, shown.dropped) == (40, 3)
    assert next((veto.name, veto.harm, veto.state) for veto in shown.vetoes) == ("failures", (3, 22), "Fired")
    assert [veto.state for veto in shown.vetoes[1:]] == ["Unmeasured"]


def test_of_two_rollouts_in_their_shadow_phase_the_older_one_has_the_replicas() -> None:
    idle = Status("s", GOOD, NEW, 1, NOW)
    first, second = (replace(idle, phase="shadow", shadow_at=NOW + at) for at in (0.0, 1.0))
    assert goes_first(second, "b", idle, "a")
    assert goes_first(second, "b", None, "a")
    assert goes_first(first, "b", second, "a")
    assert not goes_first(second, "b", first, "a")
    assert goes_first(first, "a", first, "b") is not goes_first(first, "b", first, "a"), "never both"
    for over in (idle, replace(first, held="frozen"), replace(first, held="busy"), replace(first, closed=True)):
        assert not goes_first(over, "b", second, "a")


def test_a_command_carries_the_generation_that_it_was_made_on() -> None:
    arms = ArmsTable("assist", term=1, generation=3, stable=GOOD)
    for generation, row in (("3", "abort"), ("2", "first_step")):
        meta = {"annotations": {"rejoinder.dev/abort": generation}}
        assert decided(replace(SEEN, arms=arms), BEGUN, meta).row == row
    assert commands_of({"annotations": {"rejoinder.dev/promote": "soon"}}) == ()


def test_every_field_of_the_spec_reaches_the_plan() -> None:
    plan = plan_of(spec_of(approval="promotion", onDeadline="Hold", promoteOn="better", unit="conversation"))
    assert (plan.approval, plan.on_deadline, plan.promote_on, plan.unit) == (
        "promotion",
        "hold",
        "better",
        "conversation",
    )
    assert (plan.lease_ttl_s, plan.margin, plan.min_units, plan.watch_s) == (45.0, 0.2, 20, 3.0)
    assert [(step.weight, step.duration_s, step.deadline_s) for step in plan.steps] == [(0.5, 10.0, 240.0)]


def test_every_veto_of_the_plan_can_be_asked_for_in_the_spec() -> None:
    asked = [
        {"name": "audit", "twoSided": True, "minUnits": 40, "sees": "0.6"},
        {"name": "refusals", "baseRate": "0.02"},
        {"name": "failures"},
        {"name": "length"},
        {"name": "norms"},
    ]
    spec = spec_of(analysis={"vetoes": asked, "charter": CHARTER})
    plan = plan_of(spec)
    check_kept(plan, plan.lease_ttl_s / 6)
    assert {veto.name for veto in plan.vetoes} == set(MEASURED)
    assert plan.vetoes[0] == Veto("audit", two_sided=True, min_units=40, sees=0.6)
    assert plan.vetoes[1] == Veto("refusals", 0.02)


def test_a_charter_reaches_the_plan_word_for_word_and_its_counts_the_status() -> None:
    plan = plan_of(spec_of(analysis={"vetoes": [{"name": "norms"}], "charter": CHARTER}))
    assert plan.charter == charters.of(CHARTER_HERE)
    counts = {"stable": {"no-code": (7, 0)}, "canary": {"no-code": (5, 2)}}
    shown = VerdictStatus.model_validate(verdict_status(verdict(Evidence(plan), plan, Look(norms=counts)), NOW)).charter
    assert (shown.version, shown.digest) == ("1", plan.charter.digest)
    assert [(norm.id, norm.applied, norm.broken) for norm in shown.norms] == [("no-code", (7, 5), (0, 2))]


def test_a_pattern_that_could_hang_is_refused_before_anybody_meets_the_version() -> None:
    """What RE2 takes and this dialect does not comes past admission: the status says it in words."""
    norm = {**CHARTER["norms"][0], "forbid": r"\pL"}
    with pytest.raises(BadSettings, match=r"norms\[0\] \(no-code\): forbid: a backslash"):
        plan_of(spec_of(analysis={"vetoes": [{"name": "norms"}], "charter": {**CHARTER, "norms": [norm]}}))


def test_what_the_vetoes_found_is_in_the_status_and_in_the_line_of_evidence() -> None:
    plan = plan_of(spec_of(analysis={"vetoes": [{"name": "audit"}, {"name": "failures"}]}))
    evidence = Evidence(plan)
    for i in range(6):
        read = (Audited(Polarity.SAT, Polarity.DSAT if i < 5 else Polarity.UNSPECIFIED),)
        evidence.add(UnitScore(f"u{i}", i % 2 == 0, 0.5, float(i), 1, 1.0, 1.0, 1.0, 0.0, audited=read))
    found = verdict(evidence, plan)
    audit, failures = VerdictStatus.model_validate(verdict_status(found, NOW)).vetoes
    assert (audit.name, audit.state, audit.n, audit.harm, audit.unread) == (
        "audit",
        "Unmeasured",
        (2, 3),
        ("1.0000", "1.0000"),
        1,
    )
    assert (failures.state, failures.n, failures.log_needed) == ("Clear", (3, 3), "5.298")
    assert told(found).endswith("vetoes: audit unmeasured, failures clear")


def test_weights_that_fall_are_refused_here_too() -> None:
    with pytest.raises(BadSettings, match="rise"):
        plan_of(spec_of(steps=[{"weight": 50}, {"weight": 20}]))


@pytest.mark.parametrize("held", ["busy", "approval", "suspended", "frozen"])
def test_the_time_to_load_does_not_pass_while_a_rollout_waits(held: str) -> None:
    before = {"engine": replace(BEGUN, held=held, began_at=NOW - 86_400).as_dict()}
    seen = replace(SEEN, replicas=(Replica("a", ()),))
    spec = spec_of()
    found = decide_rollout(spec, plan_of(spec), META, before, seen, NOW)
    assert found.row == "loading"


def test_a_beginning_that_is_pushed_on_while_it_waits_is_not_written() -> None:
    assert not changed(BEGUN.as_dict(), replace(BEGUN, began_at=BEGUN.began_at + 7_200))
    assert changed(BEGUN.as_dict(), replace(BEGUN, held="approval"))
    assert changed(None, BEGUN)


def test_the_evidence_is_told_in_one_line() -> None:
    arms = {"stable": {"judged": 812, "mean": 0.781}, "canary": {"judged": 203, "mean": 0.774}}
    snapshot = {"arms": arms, "interval": [-0.071, 0.055], "extractor": "minilm@1"}
    said = told(Verdict(Outcome.INCONCLUSIVE, ("satisfaction",), False, snapshot))
    assert said == (
        "inconclusive (satisfaction): stable 0.7810 of 812, canary 0.7740 of 203, "
        "difference [-0.0710, 0.0550], by minilm@1"
    )
