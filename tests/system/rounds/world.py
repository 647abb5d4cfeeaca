"""A loop on a machine of one: a tiny base, its export, and conversations in which people prefer one word to another."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.commands import rejoinder
from tests.tinypolicy import tiny_policy

RECIPE = """
name: short
builders: [comparisons]
train:
  min_pairs: 20
  settings: {objective: dpo, params: {beta: 0.5}, anchor_weight: 0.2, lr: 0.01, epochs: 8, pairs_per_step: 16,
             max_tokens: 400, probe_pairs: 4, probe_tokens: 4, lora: {r: 4, alpha: 8.0}}
gate:
  samples: 0
  measures:
    - {row: pair_accuracy, params: {min_n: 10, min_gain: 0.0}}
    - {row: kl, params: {max_kl: 50.0}}
    - parity
"""


@dataclass(frozen=True)
class World:
    """folder: where everything lies. base: Hugging Face folder; export: the same for the server."""

    folder: Path
    base: Path
    export: Path

    def rejoinder(self, *arguments: str) -> Any:
        """What a command says with --json; what it starts has one thread."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("OMP_NUM_THREADS", "1")
            return rejoinder(*arguments)

    def round_command(self, data: Path) -> list[str]:
        named = {
            "--data": data,
            "--recipe": self.folder / "short.yaml",
            "--base": self.base,
            "--base-export": self.export,
        }
        return ["round", "run", *(str(word) for pair in named.items() for word in pair)]


def world(folder: Path) -> World:
    """Builds the base; its export is the one that all tests share, which is verified to be of this base."""
    from rejoinder.training.export import export_base

    from tests.training.conftest import build_base

    base = folder / "base"
    base.mkdir(parents=True)
    build_base(base)
    shutil.copytree(tiny_policy() / "export", folder / "export")
    export_base(base, folder / "export")
    (folder / "short.yaml").write_text(RECIPE)
    conversations(folder / "trees.jsonl", 150)
    return World(folder, base, folder / "export")


def conversations(path: Path, count: int) -> None:
    """Message trees of `count` people; each prefers the answer that says "gladly"."""

    def answer(name: str, text: str, rank: int) -> dict[str, Any]:
        return {"message_id": name, "role": "assistant", "text": text, "rank": rank, "replies": []}

    with path.open("w") as file:
        for i in range(count):
            replies = [answer("a", f"gladly {i}", 0), answer("b", f"never {i}", 1)]
            prompt = {
                "message_id": "q",
                "role": "prompter",
                "user_id": f"person-{i}",
                "text": f"will you help {i}",
                "replies": replies,
            }
            file.write(json.dumps({"message_tree_id": f"t{i}", "prompt": prompt}) + "\n")
