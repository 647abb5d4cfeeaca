from __future__ import annotations

from rejoinder.runtime.batching.backlog import Backlog, Waiting
from rejoinder.runtime.batching.plan import Item


def items(tenant: str, count: int, tokens: int = 10, background: bool = False) -> list[Item]:
    return [Item(number, tokens, 0.0, tenant, None, background) for number in range(count)]


def test_of_another_tenants_flood_only_as_many_rows_go_before_as_one_has_oneself():
    backlog = Backlog()
    backlog.join(items("flood", 100, tokens=20))
    assert backlog.until_done("quiet", False, 2, 10) == Waiting(4, 10 + 2 * 20)
    assert backlog.until_done("flood", False, 1, 20) == Waiting(101, 2020)
    backlog.join(items("quiet", 3))
    assert backlog.until_done("quiet", False, 2, 10) == Waiting(10, 40 + 5 * 20)


def test_interactive_work_goes_before_batch_work_whole_and_not_the_other_way():
    backlog = Backlog()
    backlog.join(items("a", 5))
    backlog.join(items("jobs", 50, background=True))
    assert backlog.until_done("b", False, 1, 10) == Waiting(2, 20)
    assert backlog.until_done("jobs", True, 1, 10) == Waiting(56, 560)


def test_who_leaves_leaves_nothing_behind():
    backlog = Backlog()
    rows = items("a", 5)
    backlog.join(rows)
    assert (backlog.tokens, backlog.held_by("a"), backlog.held_by("b")) == (50, 50, 0)
    backlog.leave(rows)
    assert (backlog.tokens, backlog.held_by("a")) == (0, 0)
    assert backlog.until_done("a", False, 1, 10) == Waiting(1, 10)
