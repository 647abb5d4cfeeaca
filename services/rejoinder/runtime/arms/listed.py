"""What a process that draws arms says about them: the answer of ListArms, which the rollout engine reads."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rejoinder.core.arms import Version
from rejoinder.core.types import ArmKind
from rejoinder.rollout.counter import Drawn
from rejoinder.rollout.lease import ArmsView
from rejoinder.v1 import common_pb2, policy_pb2


def listed(
    view: ArmsView, known: Sequence[Version], loaded: Container[str], drawn: Drawn, shadows: bool = False
) -> policy_pb2.ListArmsResponse:
    """known: every version that can be served now. loaded: their digests. drawn: whom this process drew.
    shadows: whether it can answer again in a shadow phase."""
    table = view.table
    arms = ((ArmKind.STABLE, table.stable), (ArmKind.CANARY, table.canary), (ArmKind.BASELINE, table.baseline))
    shown = [(kind, version) for kind, version in arms if version is not None]
    # What is loaded for nobody yet: a rollout waits for it before the first user sees it.
    named = [version for _, version in shown]
    shown += [(ArmKind.UNSPECIFIED, version) for version in known if version not in named]
    return policy_pb2.ListArmsResponse(
        policy=table.policy,
        term=table.term,
        generation=table.generation,
        versions=[
            policy_pb2.ServedVersion(
                version=version.version,
                digest=version.digest,
                arm=common_pb2.ArmKind.Value(f"ARM_KIND_{kind.value}"),
                ready=version.digest in loaded,
            )
            for kind, version in shown
        ],
        canary_refused=view.grant().why,
        epoch=drawn.epoch,
        salt=drawn.salt,
        shadows=shadows,
        assignments=[
            policy_pb2.AssignmentCount(arm=arm, weight=weight, units=count)
            for weight, units, canary in drawn.counts
            for arm, count in ((common_pb2.ARM_KIND_STABLE, units - canary), (common_pb2.ARM_KIND_CANARY, canary))
        ],
    )
