from __future__ import annotations

import pytest
from kafka import TopicPartition
from rejoinder.core.errors import LogUnavailable
from rejoinder.stream.kafka.reader import Reader
from rejoinder.stream.kafka.settings import KafkaSettings

WHERE = TopicPartition("p.feedback.v1", 0)


class StandingStill:
    """A consumer of the library whose polls find nothing, though a record lies there."""

    def __init__(self) -> None:
        self.at = 0
        self.held: list[TopicPartition] = []
        self.closed = False
        self._cluster = self._fetcher = self
        self._next_partition_records = None

    def partitions_for_topic(self, name: str) -> set[int]:
        return {0}

    def assignment(self) -> set[TopicPartition]:
        return set(self.held)

    def assign(self, held: list[TopicPartition]) -> None:
        self.held = held

    def seek(self, where: TopicPartition, offset: int) -> None:
        self.at = offset

    def position(self, where: TopicPartition) -> int:
        return self.at

    def end_offsets(self, wanted: list[TopicPartition], ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(wanted, 1)

    def poll(self, ms: int, most: int) -> dict[TopicPartition, list[object]]:
        return {}

    def pause(self, *held: TopicPartition) -> None: ...

    def resume(self, *held: TopicPartition) -> None: ...

    def close(self, **how: object) -> None:
        self.closed = True


def test_a_consumer_that_stands_still_is_let_go_and_the_next_read_has_another() -> None:
    """F06: after a broker's death the library's consumer may find nothing for ever, and the ledger with it."""
    made: list[StandingStill] = []

    def make() -> StandingStill:
        made.append(StandingStill())
        return made[-1]

    reader = Reader(make, {"feedback": WHERE.topic}, KafkaSettings(request_s=0.05))  # type: ignore[arg-type]
    for count in (1, 2):
        with pytest.raises(LogUnavailable):
            reader.read("feedback", 0, 0, 10)
        assert [each.closed for each in made] == [True] * count
    reader.close()
