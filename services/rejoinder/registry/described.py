"""A round's pair sets in figures, so that two rounds can be laid side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rejoinder.core.errors import NotFound
from rejoinder.registry.datasets import MANIFEST, read


def sets_of(root: Path, policy: str, number: int, side: str = "pairs") -> list[Path]:
    """Folders of a round's sets of one side. root: of all rounds. Raises NotFound."""
    folders = [p.parent for p in sorted((root / policy / f"{number:06d}").glob(f"{side}-*/{MANIFEST}"))]
    if not folders:
        raise NotFound(f"round {number} of {policy} has no {side} here", round=number)
    return folders


def described(folders: Sequence[Path]) -> dict[str, Any]:
    """Pairs, users, words, and counts by builder and reason."""
    pairs = [pair for folder in folders for pair in read(folder)]
    counts: Counter[str] = Counter(f"builder {p.provenance.builder}" for p in pairs)
    counts.update(f"reason {reason}" for p in pairs for reason in p.reasons)
    words = [len(text.split()) for p in pairs for text in (p.chosen, p.rejected)]
    return {
        "pairs": len(pairs),
        "users": len({(p.tenant, p.user_id or p.conversation_id) for p in pairs}),
        "mean words of an answer": round(sum(words) / len(words), 1) if words else 0.0,
        **counts,
    }
