"""The room's commands as a round runs them: forked from a process that has read what they need, as this module does."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from rejoinder.training import __main__ as room
from rejoinder.training.warm import read_libraries

read_libraries()


def commanded(arguments: Sequence[str], environment: Mapping[str, str], lines: Connection, held: int) -> None:
    """A process: what the command prints goes to `lines`; behind the word of the step `held` it waits for its end."""

    def said(line: str, **how: Any) -> None:
        lines.send(json.loads(line))
        if json.loads(line).get("step") == held:
            lines.recv()

    os.environ.update(environment)
    room.print = said  # type: ignore[attr-defined]
    sys.exit(room.main(list(arguments)))
