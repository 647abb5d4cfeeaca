from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.runtime.batching.plan import Item, Limits, padded, plan

LIMITS = Limits(max_tokens=100, max_rows=8, window=16, patience_s=5.0)
NOW = 100.0


def item(key: int, tokens: int = 10, tenant: str = "a", **rest) -> Item:
    return Item(key, tokens, rest.pop("arrived", NOW - 1.0), tenant, **rest)


def queues():
    row = st.builds(
        Item,
        key=st.just(0),
        tokens=st.integers(1, 100),
        arrived=st.floats(NOW - 10, NOW),
        tenant=st.sampled_from("abc"),
        deadline=st.one_of(st.none(), st.floats(NOW - 5, NOW + 5)),
        background=st.booleans(),
    )
    return st.lists(row, max_size=60).map(
        lambda rows: [Item(key, r.tokens, r.arrived, r.tenant, r.deadline, r.background) for key, r in enumerate(rows)]
    )


@settings(max_examples=60, deadline=None)
@given(queues())
def test_no_row_is_lost_and_none_is_planned_twice(queue):
    planned = plan(queue, NOW, Limits(max_tokens=100, window=len(queue) + 1), {})
    seen = [row for batch in planned.batches for row in batch] + list(planned.expired)
    assert sorted(row.key for row in seen) == [row.key for row in queue]


@settings(max_examples=60, deadline=None)
@given(queues())
def test_no_batch_is_over_the_token_budget_or_the_row_limit(queue):
    for batch in plan(queue, NOW, LIMITS, {}).batches:
        assert padded(batch) <= LIMITS.max_tokens
        assert len(batch) <= LIMITS.max_rows


@settings(max_examples=60, deadline=None)
@given(queues())
def test_exactly_the_rows_whose_deadline_has_passed_are_expired(queue):
    planned = plan(queue, NOW, LIMITS, {})
    assert {row.key for row in planned.expired} == {
        r.key for r in queue if r.deadline is not None and r.deadline <= NOW
    }


def test_a_row_longer_than_a_batch_is_late_by_its_own_length_and_makes_no_other_late():
    """21 s of work for a caller who leaves after 5; who waits for longer, and short rows of 5 s, lose nothing by it."""
    limits = Limits(max_tokens=384, longest=8192)
    queue = [
        item(1, 8192, "a", deadline=NOW + 5.0),
        item(2, 100, "b", deadline=NOW + 5.0),
        item(3, 8192, "c", deadline=NOW + 60.0),
    ]
    planned = plan(queue, NOW, limits, {}, lambda tokens: tokens / 384)
    assert [row.key for row in planned.expired] == [1]
    assert {tuple(row.key for row in batch) for batch in planned.batches} == {(2,), (3,)}


@settings(max_examples=60, deadline=None)
@given(queues())
def test_the_first_batch_is_never_empty_while_anybody_waits(queue):
    planned = plan(queue, NOW, LIMITS, {})
    waiting = [row for row in queue if row.deadline is None or row.deadline > NOW]
    assert bool(waiting) == bool(planned.batches)
    assert all(planned.batches)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 100)), min_size=1, max_size=80))
def test_tenants_that_all_wait_are_never_more_than_one_turn_apart_whatever_the_lengths(rows):
    """Of tenants that still wait, none is passed over twice while another is served twice."""
    queue = [item(key, tokens, tenant) for key, (tenant, tokens) in enumerate(rows)]
    last_turn: dict[str, int] = {}
    for turn in range(len(rows)):
        waiting = {row.tenant for row in queue}
        first = plan(queue, NOW, LIMITS, last_turn).batches[0]
        oldest = min(last_turn.get(tenant, -1) for tenant in waiting)
        assert any(last_turn.get(row.tenant, -1) == oldest for row in first)
        last_turn.update((row.tenant, turn) for row in first)
        queue = [row for row in queue if row not in first]
        if not queue:
            return
    raise AssertionError("rows were left over")


def test_a_flood_of_one_tenant_does_not_delay_another_tenants_row_by_more_than_one_batch():
    flood = [item(key, 50, "flood") for key in range(50)]
    late = item(99, 5, "late")
    first = plan([*flood, late], NOW, LIMITS, {}).batches[0]
    second = plan([row for row in [*flood, late] if row not in first], NOW, LIMITS, {"flood": 0}).batches[0]
    assert late in first + second
    # Control: in order of arrival the late row would be the 51st.
    assert late not in plan([*flood, item(99, 5, "flood")], NOW, LIMITS, {"flood": 0}).batches[0]


def test_rows_of_one_tenant_keep_their_order_when_they_are_of_equal_length():
    planned = plan([item(key) for key in range(12)], NOW, LIMITS, {})
    assert [row.key for batch in planned.batches for row in batch] == list(range(12))


def test_interactive_rows_come_before_batch_rows_until_those_have_waited_long_enough():
    queue = [item(0, background=True), item(1)]
    assert plan(queue, NOW, LIMITS, {}).batches == ((queue[1],), (queue[0],))
    old = item(0, background=True, arrived=NOW - 6.0)
    assert plan([old, queue[1]], NOW, LIMITS, {}).batches == ((old, queue[1]),)


def test_sorting_by_length_saves_padding_against_order_of_arrival():
    queue = [item(key, 5 if key % 2 else 50) for key in range(16)]
    planned = plan(queue, NOW, LIMITS, {})
    in_arrival_order = sum(padded(queue[at : at + 2]) for at in range(0, 16, 2))
    assert sum(map(padded, planned.batches)) < 0.6 * in_arrival_order


@pytest.mark.parametrize("tokens", [100, 51])
def test_rows_that_fit_only_alone_run_alone(tokens):
    assert [len(b) for b in plan([item(k, tokens) for k in range(3)], NOW, LIMITS, {}).batches] == [1, 1, 1]


def test_a_row_that_would_be_done_too_late_is_expired_while_others_wait_and_tried_when_none_does():
    hurried, patient = item(0, 30, deadline=NOW + 1.0), item(1, 10, deadline=NOW + 9.0)
    planned = plan([hurried, patient], NOW, LIMITS, {}, lambda padded_tokens: padded_tokens / 10)
    assert (planned.expired, planned.batches) == ((hurried,), ((patient,),))
    alone = plan([hurried], NOW, LIMITS, {}, lambda padded_tokens: padded_tokens / 10)
    assert (alone.expired, alone.batches) == ((), ((hurried,),))


@settings(max_examples=60, deadline=None)
@given(queues(), st.floats(0, 0.2))
def test_however_slow_the_model_is_thought_to_be_no_row_is_lost_and_somebody_is_computed(queue, token_s):
    limits = Limits(max_tokens=100, window=len(queue) + 1)
    planned = plan(queue, NOW, limits, {}, lambda padded_tokens: token_s * padded_tokens)
    seen = [row for batch in planned.batches for row in batch] + list(planned.expired)
    assert sorted(row.key for row in seen) == [row.key for row in queue]
    assert bool(planned.batches) == any(row.deadline is None or row.deadline > NOW for row in queue)
