"""`helm test`: a turn, the person's follow-up, and the wait until it was read as a signal. Nothing of it is trained on."""

import os
import sys
import time
from pathlib import Path

from rejoinder.clients import Connection, FeedbackClient, LedgerClient, PolicyClient, Tls
from rejoinder.clients.policy import End, GenerateAsk, Start
from rejoinder.core.errors import NotFound, PermissionDenied
from rejoinder.core.ids import uuid7
from rejoinder.core.types import AttemptStatus, Consent, Feedback, FollowUp, Interaction, Message, Role

QUESTION = (Message(Role.USER, "In one word: which colour has a clear sky at noon?"),)
LOOK_S = 0.5


def connection(service: str) -> Connection:
    files = {name: Path("/etc/rejoinder/tls") / file for name, file in PEM.items()}
    present = {name: file for name, file in files.items() if file.exists()}
    token = Path("/etc/rejoinder/token/token")
    return Connection(
        os.environ[f"SELFTEST_{service.upper()}"],
        tls=Tls(**present) if present else None,
        token=token.read_text().strip() if token.exists() else "",
        deadline_s=30.0,
    )


PEM = {"ca_file": "ca.crt", "cert_file": "tls.crt", "key_file": "tls.key"}


def turn(user: str) -> str:
    """The id of an answer: the policy's, or one of an application that serves by itself."""
    if "SELFTEST_POLICY" not in os.environ:
        said = Interaction(
            interaction_id=uuid7(), user_id=user, messages=QUESTION, response="Blue.", consent=Consent.NO_TRAIN
        )
        with FeedbackClient(connection("feedback")) as feedback:
            (result,) = feedback.record_interactions([said])
        assert result.recorded, f"the answer was refused: {result.reason}"
        return result.interaction_id
    with PolicyClient(connection("policy")) as policy:
        parts = list(policy.generate(GenerateAsk(QUESTION, user_id=user, consent=Consent.NO_TRAIN)))
    assert isinstance(parts[0], Start), "no start of an answer"
    assert isinstance(parts[-1], End), "no end of an answer"
    assert parts[-1].status is AttemptStatus.COMPLETED, f"the answer ended {parts[-1].status}"
    return parts[0].interaction_id


def read(ledger: LedgerClient, interaction: str, before: int, since: float) -> bool:
    """Whether the follow-up was read. An auditor sees the very signal; other callers that one more was counted."""
    try:
        return any(node.kind == "signal" for node in ledger.trace(interaction))
    except NotFound:
        return False
    except PermissionDenied:
        return judged(ledger, since) > before


def judged(ledger: LedgerClient, since: float) -> int:
    return sum(row.sat + row.dsat + row.none for row in ledger.satisfaction(since=since).rows)


def main() -> int:
    user, since = f"selftest-{uuid7()}", time.time() - 60
    ends = time.monotonic() + float(os.environ["SELFTEST_TIMEOUT_S"])
    with LedgerClient(connection("ledger")) as ledger, FeedbackClient(connection("feedback")) as feedback:
        before = judged(ledger, since)
        answer = turn(user)
        print(f"answered: {answer}", flush=True)
        said = Feedback(
            interaction_id=answer,
            user_id=user,
            consent=Consent.NO_TRAIN,
            kind=FollowUp("Thanks, that is exactly what I wanted to know."),
        )
        (result,) = feedback.record_feedback([said])
        assert result.recorded, f"the follow-up was refused: {result.reason}"
        print(f"follow-up recorded: {result.event_id}", flush=True)
        while not read(ledger, answer, before, since):
            if time.monotonic() > ends:
                print("no signal within the time", file=sys.stderr)
                return 1
            time.sleep(LOOK_S)
    print("the follow-up was read as a signal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
