"""What a log holds, read beside whoever writes it."""

from __future__ import annotations

from rejoinder.stream.port import Log, Record


def everything(log: Log, topic: str = "feedback") -> list[Record]:
    """All committed records, partition by partition."""
    out: list[Record] = []
    for partition, end in log.end_offsets(topic).items():
        at = 0
        while at < end and (records := log.read(topic, partition, at)):
            out.extend(records)
            at = records[-1].offset + 1
    return out
