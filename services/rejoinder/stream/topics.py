"""The topics: one place for their names, what lies on them and how they are kept.

The port, coordinates and everything stored speak of `feedback`; only a broker sees `<prefix>.feedback.v1`.
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.core import arms, types


@dataclass(frozen=True)
class Topic:
    """value: the dataclass of its records. compacted: the latest record of a key is kept."""

    name: str
    value: type
    compacted: bool = False


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("interactions", types.Interaction),
        Topic("feedback", types.Feedback),
        Topic("signals", types.Signal),
        Topic("rounds", types.RoundEvent),
        Topic("arms", arms.ArmsTable, compacted=True),
        Topic("erasures", types.Erasure, compacted=True),
        Topic("deadletters", types.DeadLetter),
    )
}


def full_name(prefix: str, name: str) -> str:
    """The topic's name on a broker: `<prefix>.<name>.v1`."""
    return f"{prefix}.{name}.v1"
