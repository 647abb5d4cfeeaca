"""A gateway process that is wrong on purpose: its spool says "on disk" at once and writes a moment later (F06)."""

from __future__ import annotations

import sys

import rejoinder.gateway.__main__ as process
from rejoinder.gateway.settings import GatewaySettings
from rejoinder.runtime.serve import run

from tests.chaos.policy.early_policy import EarlySpool

if __name__ == "__main__":
    process.Spool = EarlySpool  # type: ignore[misc]
    sys.exit(run("gateway", GatewaySettings, process.build))
