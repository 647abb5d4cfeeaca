from __future__ import annotations

from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Coordinate
from rejoinder.stream.kafka.recent import Outcome, RecentIds
from rejoinder.stream.port import Appended, Identity

FIRST = Appended("recorded", Coordinate("feedback", 0, 7))


class Heard(list[Outcome]):
    """Outcomes in the order in which they were told."""

    def __call__(self, number: int, outcome: Outcome) -> None:
        self.append(outcome)


def identity(event_id: str, digest: str = "one", tenant: str = "acme") -> Identity:
    return Identity(tenant, event_id, digest)


def test_second_copies_hear_of_the_first_whenever_they_come() -> None:
    ids, heard = RecentIds(10), Heard()
    slot = ids.first(identity("e"), heard, 0)
    assert slot is not None
    assert ids.first(identity("e"), heard, 0) is None
    assert heard == [], "nothing is known yet"
    ids.fill(identity("e"), slot, FIRST)
    ids.first(identity("e", "two"), heard, 0)
    assert heard == [Appended("duplicate", FIRST.coordinate), Appended("conflict", FIRST.coordinate)]
    assert ids.first(identity("e", tenant="other"), heard, 0) is not None, "ids are a tenant's own"


def test_a_first_copy_that_failed_fails_who_waited_and_is_forgotten() -> None:
    ids, heard = RecentIds(10), Heard()
    slot = ids.first(identity("e"), heard, 0)
    assert slot is not None
    ids.first(identity("e"), heard, 0)
    error = LogUnavailable("away")
    ids.fill(identity("e"), slot, error)
    assert heard == [error]
    assert ids.first(identity("e"), heard, 0) is not None


def test_the_oldest_ids_make_room() -> None:
    ids = RecentIds(3)
    for i in range(10):
        ids.first(identity(str(i)), Heard(), i)
    assert len(ids) == 3
    assert ids.first(identity("9"), Heard(), i) is None
    assert ids.first(identity("0"), Heard(), i) is not None
