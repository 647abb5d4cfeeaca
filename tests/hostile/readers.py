"""Everything that reads a file somebody gave: each as `(path, folder) -> None`, raising what the person would be told.

A reader here does all that its command does with the file short of the models: what is read must also fit what comes
after it. `folder` is a data folder; only `import` writes to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rejoinder.cli.main import group
from rejoinder.cli.rollout import _plan, planned
from rejoinder.cli.signals import labelled_turns
from rejoinder.core.ids import digest_of
from rejoinder.feedback.settings import FeedbackSettings
from rejoinder.ledger.settings import LedgerProcess
from rejoinder.policy.settings import PolicySettings
from rejoinder.rerank.settings import RerankSettings
from rejoinder.reward import evaluation, pairfile
from rejoinder.reward.offline import _messages
from rejoinder.reward.settings import RewardSettings
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollouts.settings import DEFAULT_PLAN, RolloutsSettings
from rejoinder.rounds import recipe
from rejoinder.runtime.callers.auth import read_principals
from rejoinder.runtime.callers.jwks import read_keys
from rejoinder.runtime.settings import Theme, load
from rejoinder.simulate import phrases

from tests.observe.formats.test_contract import SAMPLES
from tests.runtime.issuer import PUBLISHED

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "services" / "rejoinder" / "rounds" / "recipes"
SETTINGS: Mapping[str, type[Theme]] = {
    "feedback": FeedbackSettings,
    "ledger": LedgerProcess,
    "policy": PolicySettings,
    "reward": RewardSettings,
    "rerank": RerankSettings,
    "rollouts": RolloutsSettings,
}
PAIR = {
    "id": "1",
    "group": "g",
    "messages": [{"role": "user", "text": "How do I boil an egg?"}],
    "a": "Seven minutes.",
    "b": "I do not know.",
    "pref": 1.0,
}
TURN = {
    "id": "1",
    "messages": [{"role": "user", "text": "How warm is it?"}, {"role": "assistant", "text": "68 F"}],
    "followup": "no, in Celsius",
    "label": "DSAT",
    "level": 2,
}
PLAN = {
    "steps": [{"weight": 0.1, "duration_s": 60.0, "deadline_s": 600.0}, {"weight": 0.5}],
    "margin": 0.1,
    "unit": "user",
    "min_units": 20,
    "vetoes": [{"name": "failures", "base_rate": 0.01}],
}


@dataclass(frozen=True)
class Reader:
    """read: see the module. seeds: valid contents as plain values. written: how they are written down."""

    read: Callable[[Path, Path], Any]
    seeds: Sequence[Any]
    written: str


def _import(path: Path, folder: Path) -> None:
    group.main(["import", str(path), "--data", str(folder), "--no-signals", "--json"], standalone_mode=False)


def _recipe(path: Path, folder: Path) -> None:
    digest_of(recipe.as_plain(recipe.load(str(path))))


def _rollout(path: Path, folder: Path) -> None:
    plan = RolloutPlan.from_mapping({**DEFAULT_PLAN, **_plan(path)})
    planned(plan, {"judged_per_day": 100.0, "satisfaction": 0.7}, 0.05, 1_700_000_000.0)


def _settings_of(service: str) -> Callable[[Path, Path], Any]:
    return lambda path, folder: load(SETTINGS[service], service, path, {})


def _pairs(path: Path, folder: Path) -> None:
    records = pairfile.read(path)
    for record in records:
        _messages(record)
    evaluation.evaluate(records, np.linspace(-1.0, 1.0, len(records)), draws=10)


def _of(service: str) -> Any:
    """The defaults of a service as its file would say them."""
    return yaml.safe_load(SETTINGS[service]().model_dump_json())


READERS: dict[str, Reader] = {
    "import": Reader(_import, list(SAMPLES.values()), "json lines"),
    "recipe": Reader(_recipe, [yaml.safe_load(p.read_text()) for p in sorted(RECIPES.glob("*.yaml"))], "yaml"),
    "rollout plan": Reader(_rollout, [PLAN, {"rollout": PLAN}], "yaml"),
    "phrases": Reader(
        lambda path, folder: phrases.load(path), [yaml.safe_load(phrases.PHRASES.read_text("utf-8"))], "json"
    ),
    "principals": Reader(
        lambda path, folder: read_principals(path),
        [[{"principal": "app", "token": "t", "roles": ["app"], "tenants": ["acme"]}]],
        "yaml",
    ),
    "key set": Reader(lambda path, folder: read_keys(path.read_bytes()), [json.loads(PUBLISHED)], "json"),
    "reward pairs": Reader(_pairs, [PAIR, {**PAIR, "pref": 0.0}], "json lines"),
    "labelled turns": Reader(lambda path, folder: labelled_turns(path), [TURN], "json lines"),
    **{f"settings of {name}": Reader(_settings_of(name), [_of(name)], "yaml") for name in SETTINGS},
}
