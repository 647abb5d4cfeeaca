"""The table of extractors: `extract(evidence, params, ports) → signals`, pure but for the injected scorer.

Read evidence.py (what goes in and out), then one row. A row reads the kinds of feedback named in its traits and is
silent about all others; traits["weak"] marks rows whose confidence is an assumption, traits["second"] second judges:
they read the audit sample (`signals/second.py`) and nothing else, and their names begin as `core/audit.py` says.
"""

from __future__ import annotations

from rejoinder.core.table import Row, Table
from rejoinder.signals.extractors import actions, comment, edit, endpoint, lexicon, minilm, ratings, reask

EXTRACTORS = Table(
    "extractor",
    Row(
        "minilm",
        minilm.extract,
        minilm.Params,
        paper="2408.15549",
        claim="finds satisfaction, dissatisfaction and their reasons in the turn after an answer",
        traits={"kinds": ("follow_up",), "needs_text": True},
    ),
    Row(
        "comment",
        comment.extract,
        minilm.Params,
        paper="2408.15549",
        claim="reads a comment beside an answer as it reads a turn after it",
        traits={"kinds": ("comment",), "needs_text": True},
    ),
    Row(
        "ratings",
        ratings.extract,
        ratings.Params,
        claim="a rating is read on its own scale; what lies outside it is not read",
        traits={"kinds": ("rating",)},
    ),
    Row(
        "edit",
        edit.extract,
        edit.Params,
        paper="2404.15269",
        claim="dissatisfaction grows with the share of words a user changed",
        traits={"kinds": ("edit",), "weak": True},
    ),
    Row(
        "actions",
        actions.extract,
        actions.Params,
        claim="regenerate, abandon, copy and click are weak signals whose doubt is stated",
        traits={"kinds": ("regenerate", "abandon", "copy", "click"), "weak": True},
    ),
    Row(
        "reask",
        reask.extract,
        reask.Params,
        claim="a question asked again was not answered",
        traits={"kinds": ("follow_up",), "weak": True},
    ),
    Row(
        "audit-lexicon",
        lexicon.extract,
        lexicon.Params,
        claim="a second judge that counts words: what fools the encoder has no reason to fool it",
        traits={"kinds": ("follow_up", "comment"), "second": True},
    ),
    Row(
        "audit-endpoint",
        endpoint.extract,
        endpoint.Params,
        claim="a second judge at any OpenAI-compatible server, asked with the rubric",
        traits={"kinds": ("follow_up", "comment"), "second": True},
    ),
)
