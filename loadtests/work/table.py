"""The works that a scenario may name. `needs`: services whose addresses a work asks for."""

from __future__ import annotations

from rejoinder.core.table import Row, Table

from loadtests.work import chat, conversation, feedback, golden, policy, rerank, reward
from loadtests.work.reach import Reach

WORKS = Table(
    "work",
    Row("reward", reward.Score, reward.Params, traits={"needs": ("reward",)}),
    Row("rerank", rerank.Rerank, rerank.Params, traits={"needs": ("rerank",)}),
    Row("policy", policy.Generate, policy.Params, traits={"needs": ("policy",)}),
    Row("feedback", feedback.Record, feedback.Params, traits={"needs": ("feedback",)}),
    Row("conversation", conversation.Converse, conversation.Params, traits={"needs": ("policy", "feedback")}),
    Row("chat", chat.Complete, chat.Params, traits={"needs": ("gateway",)}),
    Row("golden", golden.Ask, golden.Params, traits={"needs": ("golden",)}),
)

__all__ = ["WORKS", "Reach"]
