"""Who judges the gate's answers: a head of its own, never the one that scored the pairs' candidates (F03).

A version is trained towards what its builders' head likes, so that head would find it better whether it is or not.
"""

from __future__ import annotations

from rejoinder.rounds.pairs.context import Scorer


def judge(head: str, builders: Scorer | None) -> tuple[Scorer | None, str]:
    """The scorer of the gate's answers; or None and why there is none. head: `gate.head` of the recipe."""
    if builders is None:
        return None, "no reward service"
    if not head:
        return None, "the recipe names no head of the gate's own"
    loaded = builders.heads()
    if head not in loaded:
        return None, f"the reward service has no head called {head}"
    # By weights, not by name: the same head under two names is one judge.
    if loaded[head] == loaded[""]:
        return None, f"head {head} has the weights that scored the pairs"
    return builders.under(head), ""
