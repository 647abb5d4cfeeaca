"""One record into one of kafka-python's batches, as its own `append` writes it (message format 2), byte for byte.

The library writes a varint by a call of its own for each length: sixteen for a record with seven headers, a tenth of
what an acknowledged event cost. Here short lengths lie in a table and headers' names are kept as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any


def _written(number: int) -> bytes:
    """The zigzag varint of a number from 0 on."""
    left, out = number << 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


_SHORT = tuple(_written(number) for number in range(4096))


def varint(number: int) -> bytes:
    return _SHORT[number] if number < 4096 else _written(number)


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    data = name.encode()
    return varint(len(data)) + data


def put(
    records: Any, now_ms: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
) -> tuple[int, int] | None:
    """(number in the batch, bytes), None where it finds no room. records: a MemoryRecordsBuilder. now_ms: since the
    epoch."""
    if records._closed:
        return None
    builder, number = records._builder, records._next_offset
    first = builder._first_timestamp
    if first is not None and now_ms < first:
        # The clock was set back: brokers stamp our records, so any time will do.
        now_ms = first
    parts = [b"\0", varint(0 if first is None else now_ms - first), varint(number)]
    parts += (varint(len(key)), key, varint(len(value)), value, varint(len(headers)))
    for name, data in headers:
        parts += (_name(name), varint(len(data)), data)
    body = b"".join(parts)
    size = varint(len(body))
    if first is not None and len(size) + len(body) + len(builder._buffer) > builder._batch_size:
        return None
    if first is None:
        builder._first_timestamp = builder._max_timestamp = now_ms
    builder._max_timestamp = max(builder._max_timestamp, now_ms)
    builder._num_records += 1
    builder._last_offset = number
    builder._buffer += size + body
    records._next_offset = number + 1
    return number, len(size) + len(body)
