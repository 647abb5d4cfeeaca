"""What a round is made of: builders, summariser, guards, train stage, gate. A YAML file; an unknown key is an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rejoinder.core.errors import BadFile, BadSettings
from rejoinder.evaluate.measures import MEASURES
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.pairs.guards import GuardSettings
from rejoinder.rounds.pairs.summarise import SUMMARISERS

T = TypeVar("T")


@dataclass(frozen=True)
class Chosen:
    """A row of a table by name (or `module:ROW`), with its parameters."""

    row: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Train:
    """command: another program that keeps the stage contract (training/STAGE.md), as an argument list; empty: ours.

    settings: the manifest's `train` section. min_pairs: fewer are not worth a round.
    """

    command: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    min_pairs: int = 20


@dataclass(frozen=True)
class Gate:
    """samples: gate prompts answered by both versions; temperature and max_tokens of those answers.

    prompts: a JSON Lines file of {"id", "prompt": [{role, content}]} that both versions answer besides: what a check
    needs that the users' own prompts do not give it. "" for none.
    """

    measures: tuple[Chosen, ...] = ()
    samples: int = 200
    prompts: str = ""
    temperature: float = 1.0
    max_tokens: int = 0


@dataclass(frozen=True)
class Recipe:
    """keep_earlier: train on the pairs of earlier windows too. seed: of everything that draws."""

    name: str
    builders: tuple[Chosen, ...]
    summariser: str = "embedded"
    guards: GuardSettings = field(default_factory=GuardSettings)
    train: Train = field(default_factory=Train)
    gate: Gate = field(default_factory=Gate)
    keep_earlier: bool = True
    seed: int = 0


def load(name_or_path: str) -> Recipe:
    """A shipped recipe by name, or one from a file. Raises BadFile, BadSettings, UnknownRow."""
    shipped = {p.name.removesuffix(".yaml"): p for p in resources.files("rejoinder.rounds.recipes").iterdir()}
    path = shipped.get(name_or_path) or Path(name_or_path)
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        known = ", ".join(sorted(n for n in shipped if not n.startswith("_")))
        raise BadFile(f"no recipe {name_or_path}; shipped: {known}", recipe=name_or_path) from None
    except yaml.YAMLError:
        raise BadFile(f"{name_or_path} is no YAML", recipe=name_or_path) from None
    return of(value)


def of(value: Any) -> Recipe:
    """A recipe from plain values, every row and parameter checked now and not in the middle of a round."""
    plain = _closed(Recipe, value, "recipe")
    builders = tuple(_chosen(item, "builders") for item in plain.pop("builders", ()))
    if not builders:
        raise BadSettings("recipe: builders is empty")
    for builder in builders:
        _params(BUILDERS.resolve(builder.row), builder, "builders")
    plain_gate = _closed(Gate, plain.pop("gate", {}), "gate")
    measures = tuple(_chosen(item, "gate.measures") for item in plain_gate.pop("measures", ()))
    for measure in measures:
        _params(MEASURES.resolve(measure.row), measure, "gate.measures")
    train = _closed(Train, plain.pop("train", {}), "train")
    train["command"] = tuple(train.get("command", ()))
    recipe = Recipe(
        builders=builders,
        guards=GuardSettings(**_closed(GuardSettings, plain.pop("guards", {}), "guards")),
        train=Train(**train),
        gate=Gate(measures=measures, **plain_gate),
        **plain,
    )
    SUMMARISERS.resolve(recipe.summariser)
    return recipe


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values: part of every stage's key. Infinity is written as text."""
    plain = dataclasses.asdict(recipe)
    plain["guards"]["support_floor"] = str(plain["guards"]["support_floor"])
    return plain


def _chosen(value: Any, where: str) -> Chosen:
    if isinstance(value, str):
        return Chosen(value)
    return Chosen(**_closed(Chosen, value, where))


def _params(row: Any, chosen: Chosen, where: str) -> None:
    try:
        row.with_params(chosen.params)
    except TypeError as error:
        raise BadSettings(f"{where}: {chosen.row}: {error}") from None


def _closed(cls: type[Any], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSettings(f"{where} must be a mapping")
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(map(str, set(value) - known))
    if unknown:
        raise BadSettings(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return dict(value)
