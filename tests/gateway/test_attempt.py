"""gateway/attempt: what passed through is what lies in the log, a record a choice."""

from __future__ import annotations

from typing import Any

from rejoinder.core import codec
from rejoinder.core.clock import ManualClock
from rejoinder.core.types import AttemptStatus, Interaction, Message, Role, Served
from rejoinder.gateway.attempt import Attempt

ASKED = Interaction(tenant="acme", user_id="ann", messages=(Message(Role.USER, "hi"), Message(Role.USER, " ")))
SERVED = Served("assist", "v1", "d")


def chunk(index: int, delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta or {}, "finish_reason": finish, **more}]}


def test_a_stream_of_two_choices_becomes_two_completed_records() -> None:
    clock = ManualClock()
    attempt = Attempt(ASKED, SERVED, 2, clock)
    clock.advance(0.5)
    attempt.take(chunk(0, {"role": "assistant", "content": "a "}))
    attempt.take(chunk(1, {"content": "b"}))
    attempt.take(chunk(0, {"content": "river"}, logprobs={"content": [{"logprob": -0.5}, {"logprob": -1}]}))
    assert not attempt.finished
    attempt.take(chunk(0, finish="stop"))
    attempt.take(chunk(1, finish="length"))
    assert attempt.finished
    attempt.take({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 9}})
    clock.advance(0.5)
    first, second = attempt.records()
    assert [first.response, second.response] == ["a river", "b"]
    assert first.status is second.status is AttemptStatus.COMPLETED
    assert (first.interaction_id, first.event_id) == (second.interaction_id, first.attempt_id)
    assert first.attempt_id != second.attempt_id
    assert (first.prompt_tokens, first.completion_tokens, second.completion_tokens) == (4, 9, 0)
    assert (first.latency, first.time_to_first_token, first.log_prob) == (1.0, 0.5, -1.5)
    assert first.messages[1].content == "[no text]", "ingest takes no empty turn of a user's"


def test_calls_of_tools_are_put_together_by_their_index() -> None:
    attempt = Attempt(ASKED, SERVED, 1, ManualClock())
    attempt.take(chunk(0, {"tool_calls": [{"index": 1, "function": {"name": "g", "arguments": "{}"}}]}))
    attempt.take(chunk(0, {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}]}))
    attempt.take(chunk(0, {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}, "tool_calls"))
    assert attempt.records()[0].response == (
        '{"tool_calls":[{"arguments":"{\\"a\\": 1}","name":"f"},{"arguments":"{}","name":"g"}]}'
    )


def test_what_was_cut_short_is_cancelled_or_failed_and_what_was_finished_is_not() -> None:
    attempt = Attempt(ASKED, SERVED, 2, ManualClock())
    attempt.take(chunk(0, {"content": "whole"}, "stop"))
    attempt.take(chunk(1, {"content": "half"}))
    whole, half = attempt.records(cancelled=True)
    assert (whole.status, half.status, half.failure_reason) == (AttemptStatus.COMPLETED, AttemptStatus.CANCELLED, "")
    failed = attempt.records("UNAVAILABLE", cancelled=True)
    assert [(r.status, r.failure_reason) for r in failed] == [(AttemptStatus.FAILED, "UNAVAILABLE")] * 2


def test_what_is_no_chunk_changes_nothing() -> None:
    attempt = Attempt(ASKED, SERVED, 1, ManualClock())
    for said in (
        {},
        {"choices": 7, "usage": "x"},
        {"choices": [7, {"index": 9, "delta": {"content": "x"}}, {"index": "0"}, {"index": 0, "delta": [1]}]},
        chunk(0, {"content": 7, "tool_calls": [1, {"function": 2}]}, logprobs={"content": [{"logprob": "x"}]}),
        {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": "9"}},
    ):
        attempt.take(said)
    (record,) = attempt.records(cancelled=True)
    assert (record.response, record.prompt_tokens, record.completion_tokens) == ("", 0, 0)


def test_what_the_log_cannot_hold_is_mended() -> None:
    attempt = Attempt(ASKED, SERVED, 1, ManualClock())
    for half in ("\ud83d", "\ude00", "\ud83d"):
        attempt.take(chunk(0, {"content": half}, logprobs={"content": [{"logprob": float("-inf")}]}))
    (record,) = attempt.records()
    assert (record.response, record.log_prob) == ("\U0001f600\ufffd", 0.0)
    assert codec.decode(codec.encode(record), Interaction) == record
