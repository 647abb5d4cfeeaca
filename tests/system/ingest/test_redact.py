"""`redact` over gRPC: what was to be taken out is in no file, no log line and no answer (U23)."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.clients import AsyncFeedbackClient, Connection
from rejoinder.core.clock import SystemClock
from rejoinder.core.types import Comment, Feedback, Interaction, Message, Role
from rejoinder.feedback.settings import FeedbackSettings, RedactTheme
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

from tests.system.ingest.serving import running

pytestmark = pytest.mark.system

SECRETS = ("anna@example.org", "4111 1111 1111 1111", "+49 30 901820", "DE89370400440532013000")


def bytes_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_u23_no_file_holds_what_was_redacted_and_a_retry_counts_once(tmp_path: Path) -> None:
    kept = {}
    for kinds in (("email", "card", "phone", "iban"), ()):
        folder = tmp_path / ("redacted" if kinds else "control")
        folder.mkdir()
        log = SqliteLog(str(folder / "log.db"), LogSettings(), SystemClock())
        settings = FeedbackSettings(redact=RedactTheme(kinds=kinds))
        async with running(log, settings=settings) as server:
            async with AsyncFeedbackClient(Connection(server.target)) as client:
                asked = Interaction(
                    event_id="i1",
                    conversation_id="c",
                    messages=(Message(Role.USER, " and ".join(SECRETS)),),
                    response=f"I wrote to {SECRETS[0]}.",
                )
                said = Feedback(event_id="f1", interaction_id="i1", kind=Comment(f"no, call {SECRETS[2]}"))
                answers = [await client.record_interactions([asked]) for _ in range(2)]
                answers += [await client.record_feedback([said]) for _ in range(2)]
            assert [r.outcome.value for (r,) in answers] == ["RECORDED", "DUPLICATE"] * 2
            counted = server.metrics.value("ingest_redacted_total", kind="email")
            assert counted == (4 if kinds else 0)
            assert not any(secret in server.lines.text for secret in SECRETS)
        log.close()
        kept[kinds] = bytes_under(folder)
    redacted, control = kept.values()
    assert [secret for secret in SECRETS if secret.encode() in redacted] == []
    assert all(secret.encode() in control for secret in SECRETS)
    assert b"I wrote to <EMAIL>." in redacted
