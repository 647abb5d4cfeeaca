"""What a command prints: a table for people, JSON for programs, progress on stderr for anything that takes long."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

#: Every command that has figures takes it.
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")


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


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Any]:
    """A bar on stderr, shown only on a terminal: yields `advance(to)`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda completed: bar.update(task, completed=completed)
