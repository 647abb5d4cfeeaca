"""A chat on the terminal: answers as they are made, and what a person says next goes back as their reaction.

    rejoinder up                  # in another terminal
    python examples/chat.py

Ctrl-D ends it. `rejoinder satisfaction` then says what was made of it.
"""

from __future__ import annotations

import argparse
import sys
import time

from rejoinder.clients import (
    Connection,
    Feedback,
    FeedbackClient,
    FollowUp,
    GenerateAsk,
    Message,
    PolicyClient,
    RejoinderError,
    Role,
    Start,
    uuid7,
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--policy", default="127.0.0.1:50052")
    options.add_argument("--feedback", default="127.0.0.1:50051")
    options.add_argument("--user", default="me")
    given = options.parse_args()
    conversation, began = uuid7(), time.time()
    said: list[Message] = []
    last = ""
    with (
        PolicyClient(Connection(given.policy, deadline_s=120)) as policy,
        FeedbackClient(Connection(given.feedback)) as feedback,
    ):
        for line in sys.stdin:
            if last:
                # Before the next answer: whatever becomes of that, the reaction is on disk.
                reaction = Feedback(interaction_id=last, user_id=given.user, kind=FollowUp(line.strip()))
                try:
                    (result,) = feedback.record_feedback([reaction])
                    print(f"[reaction: {result.outcome}]", file=sys.stderr)
                except RejoinderError as error:
                    print(f"[reaction not taken: {error.reason}]", file=sys.stderr)
            said.append(Message(Role.USER, line.strip()))
            ask = GenerateAsk(
                tuple(said),
                user_id=given.user,
                conversation_id=conversation,
                conversation_started_at=began,
                turn=len(said),
                parent_interaction_id=last,
            )
            answer = ""
            for part in policy.generate(ask):
                if isinstance(part, Start):
                    last = part.interaction_id
                elif isinstance(part, str):
                    answer += part
                    print(part, end="", flush=True)
            print()
            said.append(Message(Role.ASSISTANT, answer))


if __name__ == "__main__":
    main()
