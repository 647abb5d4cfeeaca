"""policy/settings: where artefacts lie follows from the registry's address, or is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.policy.settings import ModelTheme, PolicySettings
from rejoinder.runtime.settings import load


def test_artefacts_lie_in_a_registry_that_is_a_folder_unless_another_is_named() -> None:
    assert PolicySettings(model=ModelTheme(registry="r")).artefacts == Path("r/artefacts")
    assert PolicySettings(model=ModelTheme(registry="r", artefacts=Path("a"))).artefacts == Path("a")
    assert PolicySettings(model=ModelTheme(registry="s3://b/r", artefacts=Path("a"))).artefacts == Path("a")


def test_a_registry_in_an_object_store_needs_a_local_folder_too() -> None:
    with pytest.raises(BadSettings, match=r"model\.artefacts"):
        _ = PolicySettings(model=ModelTheme(registry="s3://b/r")).artefacts


def test_settings_come_from_the_environment_and_a_misspelt_one_is_named() -> None:
    found = load(PolicySettings, "policy", env={"REJOINDER_POLICY__ENGINE__MAX_BATCH": "4"})
    assert found.engine.max_batch == 4
    with pytest.raises(BadSettings, match="max_batch"):
        load(PolicySettings, "policy", env={"REJOINDER_POLICY__ENGINE__MAX_BATHC": "4"})
