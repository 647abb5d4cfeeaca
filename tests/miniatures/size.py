"""Short and long forms: with MINIATURES=long in the environment the tests take twenty seeds instead of eight."""

from __future__ import annotations

import os
from collections.abc import Sequence

SHORT, LONG = range(8), range(20)


def seeds() -> Sequence[int]:
    """Those of the form asked for; ValueError on a form that there is not."""
    form = os.environ.get("MINIATURES", "short")
    if form not in ("short", "long"):
        raise ValueError(f"MINIATURES must be short or long, not {form}")
    return LONG if form == "long" else SHORT
