"""What a command prints: a table for people, JSON for programs, progress on stderr for anything that takes long."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from rejoinder.core.errors import BadFile

#: Every command that has figures takes it.
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")


class OutFile(click.Path):
    """A file that is written when a command ends, refused before it begins where that could not be. Raises BadFile."""

    name = "file"

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            refuse_unwritable(path)
        except OSError as error:
            raise BadFile(f"cannot write {path}: {(error.strerror or '').lower()}", file=path) from None
        return path


def refuse_unwritable(path: Path) -> None:
    """Makes the folders above it and leaves the file as it is. Raises OSError where it could not be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None
    if path.is_file():
        path.open("ab").close()
    elif not path.exists():
        path.open("xb").close()
        path.unlink()


def print_json(value: Any) -> None:
    """One JSON value; what was not measured (NaN) is null, which every reader of JSON understands."""
    click.echo(json.dumps(_measured(value), ensure_ascii=False, indent=2, allow_nan=False))


def _measured(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _measured(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_measured(item) for item in value]
    return value


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; numbers are right-aligned, floats get three digits, None is a dash."""
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for number, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[number], int | float) or row[number] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    console = Console()
    # Into a file or a pipe nothing is folded: there is no edge to fold at.
    Console(width=console.width if console.is_terminal else 200).print(table)


def cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def span(figure: Mapping[str, Any]) -> str:
    """A figure {value, low, high} with its interval."""
    return f"{cell(figure['value'])} [{cell(figure['low'])}, {cell(figure['high'])}]"


@contextmanager
def progress(label: str, total: int | None, *, quiet: bool = False) -> Iterator[Any]:
    """A bar on stderr, shown only on a terminal and never where quiet: yields `advance(to, total=…)`."""
    with _bar(label, total, quiet) as (bar, task):
        yield lambda completed, **more: bar.update(task, completed=completed, **more)


@contextmanager
def stages(label: str, total: int, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """For what goes on in steps: yields `begin(line, part=False)`, which says a line on stderr and, on a terminal,
    moves a bar below the lines on, but for a part of a step. Where quiet, nothing is said."""
    with _bar(label, total, quiet) as (bar, task):
        begun = 0

        def begin(line: str, part: bool = False) -> None:
            nonlocal begun
            if bar.disable:
                None if quiet else click.echo(line, err=True)
                return
            bar.console.print(line, markup=False, highlight=False)
            if not part:
                # No step is over before the next begins.
                bar.update(task, completed=begun, total=max(total, begun + 1))
                begun += 1

        yield begin


@contextmanager
def _bar(label: str, total: int | None, quiet: bool) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        yield bar, bar.add_task(label, total=total)
