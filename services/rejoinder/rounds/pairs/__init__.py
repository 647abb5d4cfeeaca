"""The pair builders: `build(evidence, params, context) → Draft* | Dropped*`, then guards.py says which drafts may stay.

A builder proposes and orders; whatever it must ask a model goes through the context's ports. Each row says which ports
it needs: where one is missing the row is left out and counted, never replaced by something that looks like it; and what
it makes where that is not a pair (training/feeds.py).
"""

from rejoinder.core.table import Row, Table
from rejoinder.rounds.pairs import best_worst, comparisons, edits, ranked, wildfeedback

BUILDERS = Table(
    "pair builder",
    Row(
        "wildfeedback",
        wildfeedback.build,
        wildfeedback.Params,
        paper="2408.15549",
        claim="the answer users disliked against a regeneration under what they said they wanted",
        traits={"needs": ("sampler", "summariser")},
    ),
    Row(
        "best_worst",
        best_worst.build,
        best_worst.Params,
        paper="2405.07863",
        claim="best and worst of n sampled answers under the reward service",
        traits={"needs": ("sampler", "scorer")},
    ),
    Row(
        "ranked",
        ranked.build,
        ranked.Params,
        paper="2410.12854",
        claim="all of n sampled answers in the order of the reward service",
        traits={"needs": ("sampler", "scorer"), "makes": "list"},
    ),
    Row(
        "edits",
        edits.build,
        edits.Params,
        paper="2404.15269",
        claim="the answer as the user rewrote it against the answer as it was",
        traits={"needs": ()},
    ),
    Row(
        "comparisons",
        comparisons.build,
        comparisons.Params,
        claim="the answer a person preferred against the one they passed over",
        traits={"needs": ()},
    ),
)
