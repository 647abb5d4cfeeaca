"""decide/loop: every row of the table in its docstring."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.core.arms import Version
from rejoinder.registry.claims import Claim
from rejoinder.rollout.state import Pointer
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.decide import loop as loops
from rejoinder_operator.decide.actions import ClaimNumber, CloseNumber, CreateChild, Decision, DeleteChild
from rejoinder_operator.decide.loop import LoopSeen, RolloutSeen, RoundSeen, decide_loop, holder
from rejoinder_operator.decide.trigger import Evidence

from tests.operator.world import LOOP, ROLLOUT

NOW = 1_700_000_000.0
META: dict[str, Any] = {
    "name": "assist",
    "namespace": "team",
    "uid": "u0",
    "creationTimestamp": "2023-11-14T20:00:00Z",
    "annotations": {},
}
OURS, FOREIGN = holder("team", "u0"), "assist@/home/ann"
OPEN = Claim("assist", 3, OURS, NOW - 60)
CALM = LoopSeen(
    served=Pointer(1, Version("base", "4" * 64)),
    template=ROLLOUT,
    evidence=Evidence(5),
    asked=True,
    living=frozenset({OURS}),
    image="i@sha256:" + "1" * 64,
)
ENDED = RoundSeen("assist-r0002", "r2", 2, "published", "Published", "assist-r0002", "2" * 64)
REFUSED = replace(ENDED, outcome="refused", version="", digest="")


def decided(seen: LoopSeen = CALM, meta: Any = (), status: Any = (), **spec: Any) -> Decision:
    return decide_loop(LoopSpec.model_validate(LOOP | spec), META | dict(meta), dict(status), seen, NOW)


def with_(**fields: Any) -> LoopSeen:
    return replace(CALM, **fields)


CLOSED = Claim("assist", 2, OURS, NOW - 7200, "published")
ROWS: dict[str, Decision] = {
    "deleting": decided(with_(claims=(OPEN,)), {"deletionTimestamp": "2023-11-14T20:00:00Z"}),
    "unserved": decided(with_(served=None, claims=(OPEN,))),
    "follow": decided(with_(claims=(CLOSED, OPEN))),
    "running": decided(with_(claims=(OPEN,), rounds=(RoundSeen("assist-r0003", "r3", 3, phase="Training"),))),
    "rollout": decided(with_(claims=(CLOSED,), rounds=(ENDED,))),
    "no_template": decided(with_(claims=(CLOSED,), rounds=(ENDED,), template=None)),
    "rolling": decided(with_(rollouts=(RolloutSeen("assist-r0002", "p2", "assist-r0002", False),), rounds=(ENDED,))),
    "tidy": decided(
        with_(
            rounds=(replace(REFUSED, name="assist-r0001", number=1, uid="r1"), REFUSED),
            rollouts=(RolloutSeen("assist-r0001", "p1", "assist-r0001", True),),
        ),
        history={"rounds": 1},
    ),
    "suspended": decided(with_(evidence=Evidence(999)), suspend=True),
    "orphan": decided(with_(claims=(replace(OPEN, loop_uid=holder("team", "gone")),))),
    "busy": decided(with_(claims=(replace(OPEN, loop_uid=FOREIGN),), evidence=Evidence(999))),
    "asked": decided(with_(claims=(replace(CLOSED, at=NOW),)), status={"asked": True}),
    "retrigger": decided(with_(claims=(replace(CLOSED, at=NOW),)), {"annotations": {loops.RETRIGGER: "now"}}),
    "trigger": decided(with_(evidence=Evidence(100))),
    "blind": decided(with_(evidence=None)),
    "waiting": decided(),
}


def test_the_table_its_docstring_and_these_rows_are_one() -> None:
    told = re.findall(r"^\| (\w+) *\|", loops.__doc__ or "", re.M)[1:]
    assert tuple(told) == loops.ROW_NAMES == tuple(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_applies_where_its_line_says(row: str) -> None:
    assert ROWS[row].row == row


def test_what_each_row_does() -> None:
    done = {name: tuple(type(action) for action in found.actions) for name, found in ROWS.items() if found.actions}
    assert done == {
        "follow": (CreateChild,),
        "rollout": (CreateChild,),
        "tidy": (DeleteChild, DeleteChild),
        "orphan": (CloseNumber,),
        "asked": (ClaimNumber,),
        "trigger": (ClaimNumber,),
    }


def test_a_round_is_named_after_its_number_and_has_all_that_it_is_made_of() -> None:
    made = ROWS["follow"].actions[0].manifest
    assert made["metadata"]["name"] == "assist-r0003"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u0"
    assert made["spec"]["stable"] == {"version": "base", "digest": "4" * 64}
    assert made["spec"]["recipe"]["builders"] == [{"row": "edits", "params": {}}]


def test_a_rollout_is_the_template_with_both_versions() -> None:
    made = ROWS["rollout"].actions[0].manifest["spec"]
    assert (made["stable"]["version"], made["canary"]["version"]) == ("base", "assist-r0002")
    assert made["steps"] == ROLLOUT["steps"]


def test_a_rollout_that_a_person_deleted_does_not_come_back() -> None:
    assert decided(with_(claims=(CLOSED,), rounds=(ENDED,)), status={"rollout": "assist-r0002"}).row == "waiting"


def test_a_retrigger_is_followed_once() -> None:
    asked = {"annotations": {loops.RETRIGGER: "now"}}
    assert ROWS["retrigger"].status["retriggered"] == "now"
    assert decided(meta=asked, status=ROWS["retrigger"].status).row == "asked"
    assert decided(meta=asked, status={"retriggered": "now", "asked": False}).row == "waiting"
    for row in ("follow", "running"):
        assert ROWS[row].status["asked"] is False


def test_a_claim_of_a_laptop_is_never_abandoned() -> None:
    assert ROWS["busy"].actions == ()


def test_a_suspended_loop_begins_neither_a_claimed_round_nor_a_rollout() -> None:
    assert decided(with_(claims=(OPEN,)), suspend=True).actions == ()
    assert decided(with_(claims=(CLOSED,), rounds=(ENDED,)), suspend=True).actions == ()
