"""Day partitions of the event tables in PostgreSQL: made ahead and on demand, dropped whole.

A partition is named `<table>_d<YYYYMMDD>` after the day (UTC) of `accepted_at`. What no day was made for lies in
`<table>_other`: records from elsewhere whose stamp is no plausible time must neither stop the projector nor make a
partition each. When their day comes they move into its partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, text

from rejoinder.ledger.stores.schema import DAY, UNSAMPLED

#: Rows that move from `…_other` into a day's own partition: a moment's work.
MOVED = 10_000
#: How long a statement waits that readers would have to wait behind, milliseconds.
MOMENT_MS = 1000
_DURING = "accepted_at >= :start AND accepted_at < :end"


def partition_of(table: str, day: int) -> str:
    return f"{table}_d{datetime.fromtimestamp(day * 86_400, UTC):%Y%m%d}"


def made(connection: Connection, table: str) -> set[str]:
    """The names of a table's partitions."""
    query = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:t)"
    )
    return set(connection.execute(text(query), {"t": table}).scalars())


def make(connection: Connection, table: Table, day: int) -> None:
    """Makes the partition of a day, with what lies in `…_other` of it, unless that is more than MOVED rows.

    Attached, not created in place, so that the other days' readers go on; `…_other` is locked until the commit.
    """
    name, other = partition_of(table.name, day), f"{table.name}_other"
    bounds = {"start": day * DAY, "end": (day + 1) * DAY}
    connection.execute(text(f"SET LOCAL lock_timeout = {MOMENT_MS}"))
    there = f"SELECT count(*) FROM (SELECT 1 FROM {other} WHERE {_DURING} LIMIT {MOVED + 1}) AS lying"
    if connection.execute(text(there), bounds).scalar_one() > MOVED:
        return
    connection.execute(text(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)"))
    off = ", ".join(f"ALTER COLUMN {c.name} SET STATISTICS 0" for c in table.c if c.name in UNSAMPLED)
    connection.execute(text(f"ALTER TABLE {name} {off}"))
    moved = f"WITH moved AS (DELETE FROM {other} WHERE {_DURING} RETURNING *)"
    connection.execute(text(f"{moved} INSERT INTO {name} SELECT * FROM moved"), bounds)
    range_ = "FROM ({start}) TO ({end})".format_map(bounds)
    connection.execute(text(f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES {range_}"))


def lying_in(connection: Connection, days: Mapping[Table, set[int]]) -> set[str]:
    """The tables in which events of these days may lie."""
    names: set[str] = set()
    for table, wanted in days.items():
        there = made(connection, table.name)
        names |= {partition_of(table.name, day) for day in wanted} & there
        names.add(f"{table.name}_other" if there else table.name)
    return names


def drop(connection: Connection, table: Table, floor: int) -> None:
    """Drops the partitions that end at or before `floor` (microseconds, the start of a day), and earlier rows of
    `_other`."""
    last = partition_of(table.name, floor // DAY)
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    for name in sorted(made(connection, table.name) - {f"{table.name}_other"}):
        if name < last:
            connection.execute(text(f"DROP TABLE {name}"))
    connection.execute(text(f"DELETE FROM {table.name}_other WHERE accepted_at < :floor"), {"floor": floor})
