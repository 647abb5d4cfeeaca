"""A server that a command asks: where it is, and why its answers are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.core.errors import BadSettings

if TYPE_CHECKING:
    from rejoinder.signals.chat import ChatEndpoint

_OPTIONS = (
    click.option("--judge-model", default="", help="The server's model."),
    click.option("--judge-key-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its key."),
    click.option(
        "--judge-wait", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds for a batch."
    ),
    click.option("--judge-parallel", default=4, show_default=True, type=click.IntRange(1), help="Questions at once."),
)


@dataclass(frozen=True)
class Server:
    """url: "" where none is named. parallel: questions at once."""

    url: str
    model: str
    key_file: Path | None
    wait_s: float
    parallel: int

    def chat(self, missed: Counter[str]) -> ChatEndpoint:
        """missed: counts why answers are missing. Raises BadSettings for an address that is none."""
        from rejoinder.core.clock import SystemClock
        from rejoinder.signals.chat import ChatEndpoint

        if not self.url.startswith(("http://", "https://")):
            raise BadSettings("--judge-url must begin with http:// or https://")
        return ChatEndpoint(
            self.url,
            self.model,
            self.key_file,
            self.wait_s,
            self.parallel,
            SystemClock(),
            lambda why: missed.update([why]),
        )


def server_options(sent: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command `server`: --judge-url and its like. sent: what a person is told of it, with what it is sent."""

    def added(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_server(*arguments: Any, **options: Any) -> None:
            url, model, key, wait, parallel = (
                options.pop(f"judge_{name}") for name in ("url", "model", "key_file", "wait", "parallel")
            )
            command(*arguments, server=Server(url or "", model, key, wait, parallel), **options)

        made: Callable[..., None] = with_server
        for option in reversed((click.option("--judge-url", help=sent), *_OPTIONS)):
            made = option(made)
        return made

    return added
