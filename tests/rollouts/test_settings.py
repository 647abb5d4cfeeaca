"""rollouts/settings: a plan that cannot be kept is refused at start."""

from __future__ import annotations

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollouts.settings import DEFAULT_PLAN, EngineTheme, RolloutsSettings


def test_the_defaults_hold_and_carry_both_vetoes() -> None:
    RolloutsSettings().check()
    assert [veto.name for veto in RolloutPlan.from_mapping(DEFAULT_PLAN).vetoes] == ["failures", "length"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RolloutsSettings(plan={"alhpa": 0.05}), "alhpa"),
        (RolloutsSettings(plan={"steps": []}), "steps"),
        (RolloutsSettings(engine=EngineTheme(poll_s=5.1)), "poll_s"),
        (RolloutsSettings(plan={"lease_ttl_s": 3.0}), "poll_s"),
        (RolloutsSettings(plan={"vetoes": [{"name": "refusal"}]}), "nothing measures refusal"),
        (RolloutsSettings(plan={"vetoes": [{"name": "length", "sees": 0.5}]}), "sees is the audit's"),
        (RolloutsSettings(plan={"shadow_s": 1.0, "shadow_share": 0.0}), "shadow_share"),
        (RolloutsSettings(plan={"steps": 5}), "steps"),
    ],
)
def test_what_cannot_be_kept_is_named(settings: RolloutsSettings, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        settings.check()
