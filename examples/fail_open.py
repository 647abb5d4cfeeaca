"""An answer for every question, whatever of Rejoinder is away: its policy if it answers in time, else your own model.

What your own model answers is recorded too, from a bounded buffer that never holds an answer up: while the log is away
it waits, and what finds no room is counted.

    python examples/fail_open.py "How warm is it in Rome?" "And in Oslo?"
"""

from __future__ import annotations

import argparse

from rejoinder.clients import (
    PASSING,
    AttemptStatus,
    Connection,
    FeedbackClient,
    GenerateAsk,
    Interaction,
    InteractionBuffer,
    Message,
    PolicyClient,
    Role,
    Served,
    Start,
    uuid7,
)


def own_model(question: str) -> str:
    """Whatever your application answered with before."""
    return f"I cannot say much about {question!r} now."


def from_policy(policy: PolicyClient, question: str) -> tuple[str, str]:
    """(interaction id, answer). Raises one of PASSING where nobody answers in time."""
    interaction, parts = "", []
    for part in policy.generate(GenerateAsk((Message(Role.USER, question),))):
        if isinstance(part, Start):
            interaction = part.interaction_id
        elif isinstance(part, str):
            parts.append(part)
    return interaction, "".join(parts)


def answer(policy: PolicyClient, buffer: InteractionBuffer, question: str) -> tuple[str, str, str]:
    """(interaction id, answer, who gave it)."""
    try:
        return *from_policy(policy, question), "policy"
    except PASSING as error:
        interaction, text = uuid7(), own_model(question)
        buffer.offer(
            Interaction(
                interaction_id=interaction,
                messages=(Message(Role.USER, question),),
                response=text,
                served=Served(policy="own", version="own-1"),
                status=AttemptStatus.COMPLETED,
            )
        )
        return interaction, text, f"own model ({error.reason})"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("questions", nargs="+")
    options.add_argument("--policy", default="127.0.0.1:50052")
    options.add_argument("--feedback", default="127.0.0.1:50051")
    options.add_argument("--patience", type=float, default=20.0, help="seconds that a user waits for the policy")
    options.add_argument("--linger", type=float, default=5.0, help="seconds that the buffer gets at the end")
    given = options.parse_args()
    # One try: a user waits, and the way out is here.
    with PolicyClient(Connection(given.policy, deadline_s=given.patience, tries=1)) as policy:
        with FeedbackClient(Connection(given.feedback)) as feedback:
            buffer = InteractionBuffer(feedback, max_events=1_000)
            for question in given.questions:
                interaction, text, by = answer(policy, buffer, question)
                print(f"{interaction} by {by}: {text}")
            counts = buffer.close(given.linger)
    # What was on its way at the end is neither: it may have arrived.
    print(f"own answers: {counts.recorded} recorded, {counts.offered - counts.recorded} not known to be")


if __name__ == "__main__":
    main()
