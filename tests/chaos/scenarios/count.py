"""The counting: ids that callers were told of against ids that the ledger stored, and the ledger's own counters."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from rejoinder.core.codec import decode
from rejoinder.core.types import Signal
from rejoinder.ledger.stores.dialect import Postgres, address
from rejoinder.stream.headers import DEFAULT_TENANT
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.port import Record
from rejoinder.stream.topics import kind_of, of_kinds, owner_of

from tests.chaos.harness import wait_until
from tests.system.logs import everything

KINDS = ("interactions", "feedback", "signals", "deadletters")
#: Every table of events and the id under which it counts.
EVENTS = ("interactions", "feedback", "signals")


@dataclass(frozen=True)
class Count:
    """As Outcome has it. copies: records on the log beyond the first of each id that the ledger counts. tenants: what
    was acknowledged, lost and duplicated of each that callers spoke for."""

    acknowledged: int
    stored: int
    lost: int
    duplicated: int
    unacked_stored: int
    copies: int
    tenants: Mapping[str, Mapping[str, int]]


def session(where: Postgres) -> psycopg.Connection[Any]:
    """A session of the counting's own."""
    url = address(where.url)
    password = None if where.password_file is None else where.password_file.read_text().strip()
    return psycopg.connect(
        host=url.host, port=url.port, user=url.username, password=password, dbname=url.database, autocommit=True
    )


def counted(
    log: KafkaLog, where: Postgres, acknowledged: Sequence[str], signals: bool, within_s: float = 120.0
) -> Count:
    """Counts once the ledger has read what lies on the log. Raises AssertionError where its own counters disagree.

    acknowledged: names, tenant/event id. signals: every stored feedback event must also have one signal, in the log and
    the ledger.
    """
    with session(where) as database:
        lying = _read_to_the_end(log, database, within_s)
        held = {topic: len(records) for topic, records in lying.items() if records}
        _check_counters(database, held)
        rows = {table: _ids(database, table) for table in EVENTS}
    told = set(acknowledged)
    stored = rows["interactions"] + rows["feedback"]
    lost = {("event", name) for name in told - stored.keys()}
    twice = {("event", name) for name, count in stored.items() if count > 1}
    if signals:
        sources = _sources(where)
        # Of the log itself too: its steps are transactional, so each record that a worker read made one signal.
        said, made = _said(_of(lying, "feedback")), _made(_of(lying, "signals"))
        lost |= {("signal", name) for name in (rows["feedback"].keys() - sources.keys()) | (said - made).keys()}
        twice |= {("signal", name) for name, count in sources.items() if count > 1}
        twice |= {("signal", name) for name in made - said}
    return Count(
        acknowledged=len(told),
        stored=sum(stored.values()),
        lost=len(lost),
        duplicated=len(twice),
        unacked_stored=len(stored.keys() - told),
        copies=len(_of(lying, "interactions")) + len(_of(lying, "feedback")) - sum(stored.values()),
        tenants={tenant: _of_tenant(tenant, told, lost, twice) for tenant in sorted({*map(_tenant_of, told)})},
    )


def _of_tenant(
    tenant: str, told: set[str], lost: set[tuple[str, str]], twice: set[tuple[str, str]]
) -> Mapping[str, int]:
    return {
        "acknowledged": sum(_tenant_of(name) == tenant for name in told),
        "lost": sum(_tenant_of(name) == tenant for _, name in lost),
        "duplicated": sum(_tenant_of(name) == tenant for _, name in twice),
    }


def _tenant_of(name: str) -> str:
    return name.partition("/")[0]


def _of(lying: Mapping[str, Sequence[Record]], kind: str) -> list[Record]:
    """Of all tenants."""
    return [record for topic, records in lying.items() if kind_of(topic) == kind for record in records]


def unsignalled(log: KafkaLog) -> int:
    """Feedback records of the log that have no signal there yet."""
    lying = {topic: everything(log, topic) for topic in of_kinds(log.topics, ("feedback", "signals"))}
    return sum((_said(_of(lying, "feedback")) - _made(_of(lying, "signals"))).values())


def _said(records: Sequence[Record]) -> Counter[str]:
    """By name; on a shared topic the callers here are all of one tenant."""
    ids = [dict(record.headers)["ce_id"].decode() for record in records]
    return Counter(f"{owner_of(r.topic) or DEFAULT_TENANT}/{name}" for r, name in zip(records, ids, strict=True))


def _made(records: Sequence[Record]) -> Counter[str]:
    signals = [decode(record.value, Signal) for record in records]
    return Counter(f"{signal.tenant or DEFAULT_TENANT}/{signal.source_event_id}" for signal in signals)


def read_by_ledger(database: psycopg.Connection[Any]) -> dict[str, int]:
    """Records read so far, by topic."""
    return dict(database.execute("SELECT topic, sum(read)::bigint FROM parity GROUP BY topic").fetchall())


def _read_to_the_end(
    log: KafkaLog, database: psycopg.Connection[Any], within_s: float
) -> Mapping[str, Sequence[Record]]:
    """All that lies on the log, once the ledger has read exactly that: calls that nobody waited for may still be on
    their way to the log for a moment."""
    deadline = time.monotonic() + within_s
    while True:
        lying = {topic: everything(log, topic) for topic in of_kinds(log.topics, KINDS)}
        held = {topic: len(records) for topic, records in lying.items() if records}
        read = read_by_ledger(database)
        if read == held:
            return lying
        assert time.monotonic() < deadline, f"the ledger read {read} of {held} in {within_s} s"
        behind = partial(_behind, database, held)
        wait_until(lambda wait=behind: not wait() or time.monotonic() > deadline, "the ledger's end", 600.0)


def _behind(database: psycopg.Connection[Any], held: Mapping[str, int]) -> bool:
    found = read_by_ledger(database)
    return any(found.get(topic, 0) < count for topic, count in held.items())


def _check_counters(database: psycopg.Connection[Any], held: dict[str, int]) -> None:
    """read = stored + duplicate + conflict + dead_lettered + erased + expired, in every partition; read is what lies
    there, stored is what the tables hold."""
    parts = "stored + duplicate + conflict + dead_lettered + erased + expired"
    uneven = database.execute(f"SELECT topic, part FROM parity WHERE read <> {parts}").fetchall()
    assert not uneven, f"the ledger's counters do not add up in {uneven}"
    for topic, count in held.items():
        read, kept = database.execute(
            "SELECT sum(read)::bigint, sum(stored)::bigint FROM parity WHERE topic = %s", [topic]
        ).fetchone() or (0, 0)
        assert read == count, f"the ledger read {read} records of {topic}, the log holds {count}"
        if (kind := kind_of(topic)) in EVENTS:
            query = f"SELECT count(*) FROM {kind} WHERE topic = %s"
            (rows,) = database.execute(query, [topic]).fetchone() or (0,)
            assert rows == kept, f"the ledger counts {kept} {topic} stored and holds {rows}"


def _ids(database: psycopg.Connection[Any], table: str) -> Counter[str]:
    query = f"SELECT tenant || '/' || event_id AS name, count(*) FROM {table} GROUP BY name"
    return Counter(dict(database.execute(query).fetchall()))


def _sources(where: Postgres) -> Counter[str]:
    """Feedback → how many signals the ledger holds of it."""
    with session(where) as database:
        query = "SELECT tenant || '/' || source_event_id AS name, count(*) FROM signals GROUP BY name"
        return Counter(dict(database.execute(query).fetchall()))
