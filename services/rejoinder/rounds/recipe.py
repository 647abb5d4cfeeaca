"""What a round is made of: builders, summariser, guards, consensus, train stage, gate. An unknown key is an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from rejoinder.core import charter as charters
from rejoinder.core import typed, yamlfile
from rejoinder.core.charter import Charter
from rejoinder.core.errors import BadFile, BadSettings, UnknownRow
from rejoinder.core.ids import digest_of
from rejoinder.core.table import Table
from rejoinder.evaluate import topics as guarded
from rejoinder.evaluate.measures import MEASURES, drift, norms
from rejoinder.evaluate.topics import Topics
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.pairs.consensus import Consensus
from rejoinder.rounds.pairs.guards import GuardSettings
from rejoinder.rounds.pairs.summarise import SUMMARISERS
from rejoinder.training.feeds import FED_BY, FEEDS, PAIR

T = TypeVar("T")


@dataclass(frozen=True)
class Chosen:
    """A row of a table by name (or `module:ROW`), with its parameters."""

    row: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Train:
    """command: another program that keeps the stage contract (training/STAGE.md), as an argument list; empty: ours.

    settings: the manifest's `train` section. min_pairs: fewer are not worth a round. swap_share: of the training pairs
    so many have their sides exchanged, [0, 1]; 0.5 is the control that must learn nothing.
    """

    command: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    min_pairs: int = 20
    swap_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.swap_share <= 1:
            raise BadSettings("train: swap_share must lie in [0, 1]", field="swap_share")


@dataclass(frozen=True)
class Gate:
    """samples: gate prompts answered by both versions; temperature and max_tokens of those answers.

    head: the reward service's head that judges win_rate, by name; none may judge by the weights that scored the pairs'
    candidates, so the service loads it beside its default one (`more` in its settings). "": nobody judges.

    prompts: a JSON Lines file of {"id", "prompt": [{role, content}]} that both versions answer besides: what a check
    needs that the users' own prompts do not give it. "" for none.
    """

    measures: tuple[Chosen, ...] = ()
    samples: int = 200
    head: str = ""
    prompts: str = ""
    temperature: float = 1.0
    max_tokens: int = 0


@dataclass(frozen=True)
class Recipe:
    """keep_earlier: train on the pairs of earlier windows too. seed: of everything that draws. charter: what the
    answers that are learnt are held against, and by the gate's `norms` those of the version. topics: on which the
    gate's `drift` lets no stance move."""

    name: str
    builders: tuple[Chosen, ...]
    summariser: str = "embedded"
    guards: GuardSettings = field(default_factory=GuardSettings)
    consensus: Consensus = field(default_factory=Consensus)
    train: Train = field(default_factory=Train)
    gate: Gate = field(default_factory=Gate)
    keep_earlier: bool = True
    seed: int = 0
    charter: Charter | None = None
    topics: Topics | None = None


def load(name_or_path: str) -> Recipe:
    """A shipped recipe by name, or one from a file, whose charter and topics may be names of others beside it. Raises
    BadFile, BadSettings, UnknownRow."""
    return of(values(name_or_path))


def values(name_or_path: str) -> Any:
    """A recipe's plain values, unchecked. Raises BadFile."""
    shipped = {p.name.removesuffix(".yaml"): p for p in resources.files("rejoinder.rounds.recipes").iterdir()}
    path = shipped.get(name_or_path) or Path(name_or_path)
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError):
        known = ", ".join(sorted(n for n in shipped if not n.startswith("_")))
        raise BadFile(f"no recipe {name_or_path}; shipped: {known}", recipe=name_or_path) from None
    value = yamlfile.parse(text, name_or_path)
    if not isinstance(value, Mapping):
        return value
    folder = Path(name_or_path).parent
    return guarded.inlined(charters.inlined(beside(value, folder), folder), folder)


def beside(value: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Plain values whose teacher's folders, where they are relative, are meant from this folder."""
    train = value.get("train")
    settings = train.get("settings") if isinstance(train, Mapping) else None
    teacher = settings.get("teacher") if isinstance(settings, Mapping) else None
    if not (isinstance(train, Mapping) and isinstance(settings, Mapping) and isinstance(teacher, Mapping)):
        return dict(value)
    named = {name: str((folder / str(path)).resolve()) for name, path in teacher.items()}
    return {**value, "train": {**train, "settings": {**settings, "teacher": named}}}


def of(value: Any) -> Recipe:
    """A recipe from plain values, every row and parameter checked now and not in the middle of a round.

    Raises BadSettings, UnknownRow.
    """
    plain = _mapping(value, "recipe")
    builders = _chosen(plain.pop("builders", ()), "builders", BUILDERS)
    if not builders:
        raise BadSettings("recipe: builders is empty")
    gate = _mapping(plain.pop("gate", {}), "gate")
    measures = _chosen(gate.pop("measures", ()), "gate.measures", MEASURES)
    made = {
        "builders": builders,
        "guards": _made(GuardSettings, plain.pop("guards", {}), "guards"),
        "consensus": _made(Consensus, plain.pop("consensus", {}), "consensus"),
        "train": _made(Train, plain.pop("train", {}), "train"),
        "gate": _made(Gate, {**gate, "measures": measures}, "gate"),
    }
    if plain.get("charter") is not None:
        made["charter"] = charters.of(plain["charter"])
    if plain.get("topics") is not None:
        made["topics"] = guarded.of(plain["topics"])
    recipe = _made(Recipe, {**plain, **made}, "recipe")
    _refuse_unfed(recipe)
    _refuse_unasked(recipe)
    _refuse_unguarded(recipe)
    SUMMARISERS.resolve(recipe.summariser)
    try:
        digest_of(as_plain(recipe))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadSettings(f"recipe: a value is none of JSON's, so no stage can be named by it ({error})") from None
    return recipe


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values: part of every stage's key. Infinity is written as text."""
    plain = dataclasses.asdict(recipe)
    plain["guards"]["support_floor"] = str(plain["guards"]["support_floor"])
    for name in ("charter", "topics"):
        # Without one a recipe is, to the digest, what it was before there were any.
        if plain[name] is None:
            del plain[name]
    return plain


def _refuse_unasked(recipe: Recipe) -> None:
    """A charter that stops something and a gate that asks for it belong together. Raises BadSettings."""
    asked = any(chosen.row == norms.NAME for chosen in recipe.gate.measures)
    stops = recipe.charter is not None and bool(recipe.charter.vetoes)
    if stops and not asked:
        raise BadSettings("recipe: charter has norms of severity veto; add norms to gate.measures", field="charter")
    if asked and not stops:
        raise BadSettings("gate.measures: norms needs a charter with a norm of severity veto", field="charter")


def _refuse_unguarded(recipe: Recipe) -> None:
    """Guarded topics that patterns read, and a gate that asks for them, belong together. Raises BadSettings."""
    asked = any(chosen.row == drift.NAME for chosen in recipe.gate.measures)
    topics = recipe.topics.topics if recipe.topics is not None else ()
    if recipe.topics is not None and not asked:
        raise BadSettings("recipe: topics are asked about by the gate; add drift to gate.measures", field="topics")
    if asked and not any(topic.guarded for topic in topics):
        raise BadSettings("gate.measures: drift needs topics, one of them guarded", field="topics")
    if without := [topic.id for topic in topics if not topic.has_rules]:
        raise BadSettings(f"topics: {without[0]} has no patterns, and no server reads for the gate", field="topics")


def _refuse_unfed(recipe: Recipe) -> None:
    """An objective of our own train stage must be there, and some builder make what it reads; a private one is asked
    when it trains. Raises UnknownRow, BadSettings."""
    name = recipe.train.settings.get("objective", "dpo")
    if recipe.train.command or ":" in str(name):
        return
    if name not in FEEDS:
        raise UnknownRow("objective", str(name), tuple(FEEDS))
    makes = {c.row: BUILDERS.resolve(c.row).traits.get("makes", PAIR) for c in recipe.builders}
    if not FED_BY[FEEDS[name]] & set(makes.values()):
        able = [row.name for row in BUILDERS.values() if row.traits.get("makes", PAIR) in FED_BY[FEEDS[name]]]
        raise BadSettings(
            f"train: {name} reads what none of {', '.join(makes)} makes ({FEEDS[name]}); {', '.join(able)} would",
            field="objective",
        )


def _chosen(value: Any, where: str, table: Table) -> tuple[Chosen, ...]:
    """Rows by name, or as {row, params}; each is there and takes its parameters."""
    if not isinstance(value, (list, tuple)):
        raise BadSettings(f"{where} must be a list")
    found = tuple(Chosen(item) if isinstance(item, str) else _made(Chosen, item, where) for item in value)
    for chosen in found:
        row = table.resolve(chosen.row)
        try:
            row.with_params(chosen.params)
        except (TypeError, ValueError) as error:
            raise BadSettings(f"{where}: {chosen.row}: {error}") from None
    return found


def _made(cls: type[T], value: Any, where: str) -> T:
    try:
        return typed.make(cls, value)
    except TypeError as error:
        raise BadSettings(f"{where}: {error}") from None


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSettings(f"{where} must be a mapping")
    return dict(value)
