"""A file of reactions into the log, as often as you like: each counts once.

Each line names an answer and what a user did:

    {"interaction_id": "…", "user": "ann", "thumb": 1}
    {"interaction_id": "…", "user": "ann", "comment": "perfect"}

    python examples/feedback_batch.py reactions.jsonl

Its status is 0 once every line is in the log. Run it again after anything else: an id is made of the line, so what was
taken before is a duplicate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from rejoinder.clients import Comment, Connection, Feedback, FeedbackClient, Rating, RejoinderError, derived_id


def reaction(line: str) -> Feedback:
    """Raises ValueError, KeyError for a line that is none."""
    said = json.loads(line)
    kind = Comment(said["comment"]) if "comment" in said else Rating(number=said["thumb"], scale_min=0, scale_max=1)
    # The same line is the same event, in this run and in the next.
    name = derived_id("reactions", said["interaction_id"], said["user"], json.dumps(said, sort_keys=True))
    return Feedback(event_id=name, interaction_id=said["interaction_id"], user_id=said["user"], kind=kind)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", type=Path)
    options.add_argument("--feedback", default="127.0.0.1:50051")
    options.add_argument("--patience", type=float, default=60.0, help="seconds for each thousand, with all tries")
    given = options.parse_args()
    events = [reaction(line) for line in given.file.read_text("utf-8").splitlines() if line.strip()]
    # Tries again while the service is away or busy, with pauses that grow; its deadline is the end of it.
    with FeedbackClient(Connection(given.feedback, deadline_s=given.patience, tries=50)) as feedback:
        try:
            results = feedback.record_feedback(events)
        except RejoinderError as error:
            print(f"not all taken ({error.reason}): run it again", file=sys.stderr)
            return 1
    outcomes = Counter(result.reason or str(result.outcome) for result in results)
    print(", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())))
    refused = [(at, result) for at, result in enumerate(results, 1) if not result.recorded]
    for at, result in refused:
        print(f"line {at}: {result.reason} {result.field}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
