from __future__ import annotations

import asyncio

import pytest
from rejoinder.core.errors import QueueFull
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.admission import Admission


async def test_the_call_above_the_bound_is_refused_with_the_delay_and_a_freed_slot_is_given_again() -> None:
    metrics = Metrics()
    admission = Admission(2, 0.3, metrics)
    with admission.slot(), admission.slot():
        assert metrics.value("rpc_in_flight") == 2
        with pytest.raises(QueueFull) as raised, admission.slot():
            pass
        assert raised.value.retry_after_s == 0.3
        assert admission.in_flight == 2
    with admission.slot():
        assert admission.in_flight == 1


async def test_a_slot_is_freed_by_an_error_too() -> None:
    admission = Admission(1, 0.3, Metrics())
    with pytest.raises(KeyError), admission.slot():
        raise KeyError
    assert admission.in_flight == 0


async def test_idle_comes_when_the_last_call_has_ended() -> None:
    admission = Admission(2, 0.3, Metrics())
    await admission.idle()
    with admission.slot():
        waiting = asyncio.create_task(admission.idle())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
