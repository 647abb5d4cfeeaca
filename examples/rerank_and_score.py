"""A search page: passages in the order to show, the click as evidence; and which of two answers people would prefer.

python examples/rerank_and_score.py
"""

from __future__ import annotations

import argparse

from rejoinder.clients import (
    Click,
    Connection,
    Feedback,
    FeedbackClient,
    Message,
    RerankAsk,
    RerankClient,
    RewardClient,
    Role,
)

QUERY = "How do I bake bread at home?"
PASSAGES = {
    "market": "The stock market fell two percent on Monday.",
    "bread": "Mix flour, water, salt and yeast, let the dough rise and bake the loaf for forty minutes.",
    "cat": "My cat sleeps on the warm laptop.",
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rerank", default="127.0.0.1:50054")
    options.add_argument("--reward", default="127.0.0.1:50053")
    options.add_argument("--feedback", default="127.0.0.1:50051")
    given = options.parse_args()
    with RerankClient(Connection(given.rerank, deadline_s=60)) as rerank:
        shown = rerank.rerank(RerankAsk(QUERY, tuple(PASSAGES.items()), user_id="me"))
    for place, candidate in enumerate(shown.ranked, 1):
        print(f"{place}. {candidate.id} {candidate.score:.2f}")
    with FeedbackClient(Connection(given.feedback)) as feedback:
        click = Click(shown.ranked[0].id, position=1)
        (result,) = feedback.record_feedback([Feedback(interaction_id=shown.interaction_id, user_id="me", kind=click)])
        print(f"click: {result.outcome}")
    asked = (Message(Role.USER, QUERY),)
    with RewardClient(Connection(given.reward, deadline_s=60)) as reward:
        scores = reward.score(asked, [PASSAGES["bread"], PASSAGES["cat"]]).scores
        # Only differences of scores mean anything: this is the same as a probability.
        better = reward.compare(asked, PASSAGES["bread"], PASSAGES["cat"]).probability_a
    print(f"bread over cat: {scores[0] - scores[1]:+.2f}, probability {better:.3f}")


if __name__ == "__main__":
    main()
