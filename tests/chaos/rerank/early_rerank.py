"""A rerank process that is wrong on purpose: slates are shown a moment before they are on disk (F06)."""

from __future__ import annotations

import sys

import rejoinder.rerank.__main__ as process
from rejoinder.rerank.settings import RerankSettings
from rejoinder.runtime.serve import run

from tests.chaos.policy.early_policy import EarlySpool

if __name__ == "__main__":
    process.Spool = EarlySpool  # type: ignore[misc]
    sys.exit(run("rerank", RerankSettings, process.build))
