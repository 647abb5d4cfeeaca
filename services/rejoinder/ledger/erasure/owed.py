"""What is owed to the erased: days whose files may still hold words that no row holds any more.

Noted in the erasing transaction, as rows of `meta`, and struck out when the files were written anew: whatever ends the
process in between, the next one goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Table, delete, select

from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.schema import DAY, EVENTS, meta, metadata

#: Days of a table that are written anew at a time.
AT_ONCE = 4
_PREFIX = "owed "
#: Of days that lie in a table too large to be written anew: looked at again once a day.
_LEFT = "left "


def note(connection: Connection, gone: Iterable[tuple[str, int]]) -> None:
    """Notes that events of a kind, accepted at a moment (microseconds), were erased."""
    days = {(EVENTS[kind].name, accepted_at // DAY) for kind, accepted_at in gone}
    if days:
        _write(connection, [f"{_PREFIX}{table} {day}" for table, day in sorted(days)])


def some(connection: Connection, most: int | None) -> Mapping[str, int]:
    """The oldest notes, each with the moment of its writing. most: None for all."""
    query = select(meta.c.name, meta.c.value).where(dialect.begins(meta.c.name, _PREFIX))
    found = connection.execute(query.order_by(meta.c.value, meta.c.name).limit(most))
    return {name: value for name, value in found}


def days_of(notes: Mapping[str, int]) -> Mapping[Table, set[int]]:
    out: dict[Table, set[int]] = {}
    for name in notes:
        table, day = name.removeprefix(_PREFIX).split(" ")
        out.setdefault(metadata.tables[table], set()).add(int(day))
    return out


def strike(connection: Connection, notes: Mapping[str, int]) -> None:
    """Strikes notes out that nobody has written again since."""
    for name, value in notes.items():
        connection.execute(delete(meta).where(meta.c.name == name, meta.c.value == value))


def put_back(connection: Connection, notes: Mapping[str, int]) -> None:
    """Puts notes behind the others: their days could not be written anew."""
    _write(connection, list(notes))


def leave(connection: Connection, days: Mapping[Table, set[int]]) -> None:
    """Notes days that may go on holding words, until somebody makes room for writing them anew, or they are dropped."""
    names = [f"{_LEFT}{table.name} {day}" for table, some_ in days.items() for day in sorted(some_)]
    if names:
        _write(connection, names)


def left(connection: Connection) -> Sequence[tuple[str, int]]:
    """Table and day (since the epoch) of each such note."""
    query = select(meta.c.name).where(dialect.begins(meta.c.name, _LEFT)).order_by(meta.c.name)
    found = (name.removeprefix(_LEFT).split(" ") for name in connection.execute(query).scalars())
    return [(table, int(day)) for table, day in found]


def look_again(connection: Connection, floor: int) -> None:
    """Owes the days that were left anew; those before `floor` (microseconds) are dropped, and owed no more."""
    again = [(table, day) for table, day in left(connection) if day >= floor // DAY]
    connection.execute(delete(meta).where(dialect.begins(meta.c.name, _LEFT)))
    if again:
        _write(connection, [f"{_PREFIX}{table} {day}" for table, day in again])


def _write(connection: Connection, names: Sequence[str]) -> None:
    now = connection.execute(select(meta.c.value).where(meta.c.name == "commits")).scalar_one()
    replace = dialect.insert_or_replace(connection, meta)
    connection.execute(replace, [{"name": name, "value": now} for name in names])
