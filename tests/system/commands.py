"""A command of `rejoinder` in this process, for tests of what it does and not of how it is started."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from rejoinder.cli.main import main


def rejoinder(*words: str) -> Any:
    """What it says with --json. Raises AssertionError with its error where it ends with one."""
    out, err, status = io.StringIO(), io.StringIO(), None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([*words, "--json"])
        except SystemExit as ended:
            status = ended.code
    assert status == 0, err.getvalue()
    return json.loads(out.getvalue())
