"""feedback/redact: placeholders in every text of an event, the same for the same event (U23)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings, UnknownRow
from rejoinder.core.finders import KINDS
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import (
    Comment,
    Edit,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    RankedCandidate,
    Ranking,
    Role,
    Sampling,
)
from rejoinder.feedback.ingest import Ingest
from rejoinder.feedback.redact import Redactor, redactor_of
from rejoinder.feedback.settings import LimitSettings, RedactTheme
from rejoinder.runtime.call import Call
from rejoinder.stream.headers import event_of
from rejoinder.stream.memory import MemoryLog

KEY = b"0123456789abcdef"
ALL = Redactor(tuple(KINDS), ("US",))
TAGGED = Redactor(tuple(KINDS), ("US",), KEY)
MAIL = "anna@example.org"


def test_every_text_of_an_event_is_read_and_no_id() -> None:
    words = f"ask {MAIL}"
    asked = Interaction(
        user_id=MAIL,
        event_id="4111111111111111",
        messages=(Message(Role.SYSTEM, words), Message(Role.USER, words)),
        response=words,
        ranking=Ranking(query=words, candidates=(RankedCandidate("c", words),)),
        sampling=Sampling(stop=("\n", words)),
    )
    redacted, counts = ALL.event(asked)
    assert counts == {"email": 6}
    assert redacted.sampling.stop == ("\n", "ask <EMAIL>")
    assert (redacted.user_id, redacted.event_id) == (asked.user_id, asked.event_id)
    texts = [*(m.content for m in redacted.messages), redacted.response, redacted.ranking.query]
    assert {*texts, redacted.ranking.candidates[0].text} == {"ask <EMAIL>"}
    for kind in (FollowUp, Comment, Edit):
        assert ALL.event(Feedback(kind=kind(words)))[0].kind == kind("ask <EMAIL>")
    plain = Feedback(kind=FollowUp("no, in Celsius please"))
    assert ALL.event(plain) == (plain, Counter())


def test_only_the_kinds_that_were_asked_for_go_and_the_first_of_two_that_overlap() -> None:
    text = f"see https://example.org/?to={MAIL} or {MAIL}, 212-736-5000"
    assert Redactor(("phone",), ("US",)).text(text) == text.replace("212-736-5000", "<PHONE>")
    assert ALL.text(text) == "see <URL> or <EMAIL>, <PHONE>"
    with pytest.raises(UnknownRow, match="phone"):
        Redactor(("telephone",))


def test_with_a_key_a_value_has_one_placeholder_in_its_conversation_and_another_elsewhere() -> None:
    def said(text: str, talk: str = "c1", tenant: str = "t") -> str:
        event = Feedback(tenant=tenant, conversation_id=talk, kind=FollowUp(text))
        return TAGGED.event(event)[0].kind.text

    first, twice = said(MAIL), said(f"{MAIL.upper()} bob@example.org {MAIL}").split()
    assert twice == [first, twice[1], first]
    assert twice[1] != first
    assert len({first, said(MAIL, "c2"), said(MAIL, "c1", "other")}) == 3
    assert said("4111 1111 1111 1111") == said("4111-1111-1111-1111")
    # Without a conversation a tag would link what a user said in several.
    assert said(MAIL, "") == "<EMAIL>"


@given(
    st.lists(
        st.sampled_from([MAIL, "219-09-9999", "+1 212-736-5000", "4111111111111111", "x", " ", "1", "<", "-", "."])
    )
)
def test_what_was_redacted_once_stays_as_it_is(parts: list[str]) -> None:
    once = TAGGED.text("".join(parts), "talk")
    assert TAGGED.text(once, "talk") == once


class Bench:
    """Ingest over a log in memory. owns: it."""

    def __init__(self) -> None:
        self.clock, self.metrics = ManualClock(), Metrics()
        self.log = MemoryLog(self.clock, partitions=1)

    async def record(self, event: Feedback, redactor: Redactor | None) -> tuple[str, str]:
        ingest = Ingest(self.log, LimitSettings(), 40 * 86_400.0, self.clock, self.metrics, redactor)
        (result,) = await ingest.record("feedback", [(event.event_id, event)], Call.local(self.clock))
        return result.outcome.value, result.reason


async def test_a_retry_is_a_duplicate_and_under_another_setting_a_conflict_only_where_something_was_found() -> None:
    bench = Bench()
    mail = Feedback(event_id="e1", interaction_id="i", conversation_id="c", kind=FollowUp(f"write to {MAIL}"))
    plain = replace(mail, event_id="e2", kind=FollowUp("no, in Celsius please"))
    assert await bench.record(mail, TAGGED) == ("RECORDED", "")
    assert await bench.record(mail, TAGGED) == ("DUPLICATE", "")
    assert await bench.record(plain, TAGGED) == ("RECORDED", "")
    assert await bench.record(plain, None) == ("DUPLICATE", "")
    assert await bench.record(mail, None) == ("REJECTED", "EVENT_ID_CONFLICT")
    stored = [event_of(record).kind.text for record in bench.log.read("feedback", 0, 0)]
    assert len(stored) == 2
    assert MAIL not in "".join(stored)
    assert bench.metrics.value("ingest_redacted_total", kind="email") == 2


async def test_f15_texts_that_take_long_keep_no_other_call_from_a_thread() -> None:
    """Control: in the loop's own threads, as many such requests as there are would hold up every worker's step."""
    bench, go = Bench(), threading.Event()

    class Slow(Redactor):
        def event(self, event: Feedback) -> tuple[Feedback, Counter[str]]:
            go.wait(60)
            return super().event(event)

    ingest = Ingest(bench.log, LimitSettings(), 40 * 86_400.0, bench.clock, bench.metrics, Slow(("email",)))
    said = [Feedback(event_id=f"e{n}", interaction_id="i", kind=FollowUp("no")) for n in range(40)]
    call = Call.local(bench.clock)
    waiting = [asyncio.create_task(ingest.record("feedback", [(e.event_id, e)], call)) for e in said]
    await asyncio.sleep(0)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(int), 30) == 0
        assert not any(task.done() for task in waiting)
    finally:
        go.set()
    assert [result.outcome.value for (result,) in await asyncio.gather(*waiting)] == ["RECORDED"] * 40


def test_the_settings_name_known_kinds_and_a_key_that_is_one(tmp_path: Path) -> None:
    assert redactor_of(RedactTheme()) is None
    with pytest.raises(ValueError, match=r"telephone; known: url, email, iban, card, ssn, ip, phone"):
        RedactTheme(kinds=("telephone",))
    # The library would find no number of theirs, and say nothing.
    for region in ("UK", "gb", ""):
        with pytest.raises(ValueError, match="ISO 3166"):
            RedactTheme(phone_regions=("US", region))
    assert RedactTheme(phone_regions=("US", "GB")).phone_regions == ("US", "GB")
    (tmp_path / "key").write_bytes(b"short")
    for file in ("key", "none"):
        with pytest.raises(BadSettings, match=r"redact\.key_file"):
            redactor_of(RedactTheme(kinds=("email",), key_file=tmp_path / file))
    (tmp_path / "key").write_bytes(KEY + b"\n")
    made = redactor_of(RedactTheme(kinds=("email",), key_file=tmp_path / "key"))
    assert made.text(MAIL, "t\x00c") == TAGGED.text(MAIL, "t\x00c")
