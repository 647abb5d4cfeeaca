"""The four parts of a recipe that can be swapped, and overlays that swap one (Unpacking DPO and PPO, arXiv 2406.09279).

Data: which pairs are made of a window, and their filters and noise. Algorithm: what is done with them. Reward: the head
that scores what a builder samples. Prompts: what a builder that samples is asked. Every field belongs to one part or is
the same in every cell; an overlay that says more than its part is refused by the field's name. What samples from the
policy under a reward is a builder (`best_worst`, `ranked`): a choice of data, because the trainer learns from pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rejoinder.core import yamlfile
from rejoinder.core.errors import BadSettings, RejoinderError
from rejoinder.core.ids import digest_of
from rejoinder.rounds import recipe as recipes
from rejoinder.rounds.gate import prompts_of
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.recipe import Chosen, Gate, Recipe, as_plain

BASE = "base"
_TRAIN = "train.settings."
_ALGORITHM = (
    "objective",
    "params",
    "anchor_weight",
    "anchor",
    "lr",
    "warmup_share",
    "weight_decay",
    "clip_norm",
    "pairs_per_step",
    "thoughts",
    "teacher",
)

#: Slot → the fields that are its own.
SLOTS: Mapping[str, tuple[str, ...]] = {
    "data": ("builders", "summariser", "guards", "consensus", "train.swap_share"),
    "algorithm": tuple(_TRAIN + name for name in _ALGORITHM),
    "reward": ("reward.head",),
    "prompts": ("prompts.file",),
}

#: Field → why every cell has the base recipe's.
SHARED: Mapping[str, str] = {
    **dict.fromkeys((_TRAIN + "init", _TRAIN + "reference"), "every cell starts from the bare base"),
    **dict.fromkeys((_TRAIN + "lora", _TRAIN + "dtype"), "every cell starts from the same weights"),
    **dict.fromkeys(
        (_TRAIN + "epochs", _TRAIN + "max_steps", _TRAIN + "token_budget"), "every cell learns from as many tokens"
    ),
    _TRAIN + "max_tokens": "every cell may learn from the same lengths",
    _TRAIN + "seed": "seeds are given for all cells",
    "seed": "seeds are given for all cells",
    "gate": "every cell is measured alike",
    "charter": "norms are no part that is swapped",
    "topics": "every cell is measured alike",
    "train.command": "every cell is trained by the same stage",
    "train.min_pairs": "it holds for every cell",
    "keep_earlier": "an ablation reads one window",
    "name": "a level is called as its file is",
}


@dataclass(frozen=True)
class Level:
    """One alternative of a slot. overlay: only fields of that slot. folder: what its files are relative to."""

    slot: str
    name: str
    overlay: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()


@dataclass(frozen=True)
class Cell:
    """A recipe with all four parts chosen. head: of the reward service, "" its default; prompts: a file, "" the
    window's own. Both are "" where no builder reads them: then they change nothing and make no other cell."""

    recipe: Recipe
    head: str = ""
    prompts: str = ""

    @property
    def needs(self) -> frozenset[str]:
        """Ports that the builders need."""
        return frozenset(port for chosen in self.recipe.builders for port in needs_of(chosen))

    def data(self) -> dict[str, Any]:
        """What decides which pairs there are, but for the evidence and the weights of the services."""
        plain = as_plain(self.recipe)
        named = ("builders", "summariser", "guards", "consensus", "charter", "seed")
        prompts = digest_of(prompts_of(Gate(prompts=self.prompts))) if self.prompts else ""
        return {name: plain.get(name) for name in named} | {"prompts": prompts}


def read(slot: str, file: Path) -> Level:
    """An overlay from a YAML file; an empty one is a copy of the base. Raises BadFile, BadSettings."""
    if slot not in SLOTS:
        raise BadSettings(f"no part is called {slot}; there are {', '.join(SLOTS)}", field=slot)
    overlay = yamlfile.read(file)
    overlay = {} if overlay is None else overlay
    if not isinstance(overlay, Mapping):
        raise BadSettings(f"{file}: an overlay must be a mapping", field=slot)
    for path in _leaves(overlay):
        if path not in SLOTS[slot]:
            raise BadSettings(f"{file}: {path} {_why_not(path, slot)}", field=path)
    return Level(slot, file.stem, recipes.beside(overlay, file.parent), file.parent)


def levels_of(varied: Sequence[str]) -> dict[str, list[Level]]:
    """Slot → its levels, the base's first, from words `slot=file,file`. Raises BadFile, BadSettings."""
    made: dict[str, list[Level]] = {}
    for word in varied:
        slot, equals, files = word.partition("=")
        if not equals or not all(files.split(",")):
            raise BadSettings(f"{word}: a part is varied by SLOT=FILE,FILE", field="vary")
        found = made.setdefault(slot, [Level(slot, BASE)])
        found += [read(slot, Path(file)) for file in files.split(",")]
    return made


def resolve(base: Mapping[str, Any], levels: Sequence[Level]) -> Cell:
    """The base's plain values under one overlay a slot, checked as any recipe is. Raises BadSettings, UnknownRow."""
    if not isinstance(base, Mapping):
        raise BadSettings("recipe must be a mapping")
    plain, head, file = dict(base), "", ""
    for level in levels:
        if level.slot == "reward":
            head = _text(level, "reward", "head")
        elif level.slot == "prompts":
            name = _text(level, "prompts", "file")
            file = str(level.folder / name) if name else ""
        else:
            plain = _merged(plain, level.overlay)
    train = plain.get("train") or {}
    if isinstance(train, Mapping) and isinstance(train.get("settings") or {}, Mapping):
        same = {"init": "original", "reference": "original"}
        plain["train"] = {**train, "settings": {**(train.get("settings") or {}), **same}}
    try:
        recipe = recipes.of(plain)
    except RejoinderError as error:
        said = ", ".join(f"{level.slot}={level.name}" for level in levels if level.overlay) or BASE
        raise BadSettings(f"{said}: {error.message}", retry_after_s=None, **error.metadata) from None
    if recipe.train.command:
        raise BadSettings("train.command: another trainer keeps no token budget; leave it out", field="train.command")
    cell = Cell(recipe, head, file)
    return cell if "scorer" in cell.needs else Cell(recipe)


def unread(slots: Mapping[str, Sequence[Level]], cells: Sequence[Cell]) -> str:
    """A slot that is varied and that no cell's builders read, "" for none: its effect would be nothing by design."""
    return next((slot for slot in slots if not any(reads(cell, slot) for cell in cells)), "")


def reads(cell: Cell, slot: str) -> bool:
    """Whether anything of a cell hangs on this slot."""
    return slot not in ("reward", "prompts") or "scorer" in cell.needs


def needs_of(chosen: Chosen) -> tuple[str, ...]:
    """Ports that a builder needs."""
    return BUILDERS.resolve(chosen.row).traits.get("needs", ())


def _text(level: Level, part: str, name: str) -> str:
    found = (level.overlay.get(part) or {}).get(name) or ""
    if not isinstance(found, str):
        raise BadSettings(f"{level.slot}={level.name}: {part}.{name} must be text", field=f"{part}.{name}")
    return found


def _leaves(overlay: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Dotted names of what an overlay sets, as deep as fields have owners."""
    for name, value in overlay.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and any(known.startswith(path + ".") for known in (*_owners(), *SHARED)):
            yield from _leaves(value, path + ".")
        else:
            yield path


def _owners() -> dict[str, str]:
    return {path: slot for slot, paths in SLOTS.items() for path in paths}


def _why_not(path: str, slot: str) -> str:
    if path in SHARED:
        return f"is the same in every cell: {SHARED[path]}"
    owner = _owners().get(path)
    if owner:
        return f"belongs to {owner}, not to {slot}: between two cells one part changes"
    return f"is no field of {slot}; its own are {', '.join(SLOTS[slot])}"


def _merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Field by field; a list is replaced, and so are `params`, which mean nothing to another row."""
    made = dict(base)
    if "objective" in overlay:
        made.pop("params", None)
    for name, value in overlay.items():
        before = made.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and name != "params":
            value = _merged(before, value)
        made[name] = value
    return made
