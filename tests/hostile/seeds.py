"""Valid requests of every method: what mutation begins with."""

from __future__ import annotations

import json

from google.protobuf.message import Message
from rejoinder.v1 import common_pb2, events_pb2, feedback_pb2, ledger_pb2, policy_pb2, rerank_pb2, reward_pb2
from rejoinder.v1 import rollouts_pb2 as ro

from tests.hostile.readers import PLAN
from tests.hostile.services import POLICY

_ASKED = [common_pb2.Message(role="ROLE_USER", content="How warm is it?")]
_CANDIDATES = [rerank_pb2.Candidate(id=id_, text=f"text {id_}") for id_ in "abc"]
_SAMPLING = common_pb2.Sampling(temperature=1.0, top_p=0.9, top_k=5, max_tokens=4, seed=7, stop=["."])
_RATING = events_pb2.Rating(name="overall", number=4, scale_min=1, scale_max=5)
_CUT = '{"topic_ids": {"feedback": "x"}, "ends": {"feedback": {"0": 0}}}'
#: Refused at the last look (a lease below six of the engine's): a rollout once begun asks no later plan anything.
_PLAN = json.dumps({**PLAN, "approval": "canary", "shadow_s": 1.0, "lease_ttl_s": 0.5})
_SERVED = common_pb2.Served(policy=POLICY, version="assist-r0001", propensity=0.5)
#: It lasts for a moment only, and no answer of the others is drawn by it.
_SHADOW = policy_pb2.ShadowRequest(
    policy=POLICY,
    salt="salt",
    share=1e-9,
    unit="user",
    stable="assist-r0001",
    candidate="assist-r0002",
    candidate_digest="d42",
    refusals=True,
    norms=[ledger_pb2.NormRule(forbid="umbrella"), ledger_pb2.NormRule(asked="warm", most_words=9)],
    lasts={"nanos": 1_000_000},
)


def _now(message: Message, name: str) -> Message:
    getattr(message, name).GetCurrentTime()
    return message


#: `<process>.<method>`, request.
SEEDS: tuple[tuple[str, Message], ...] = (
    (
        "feedback.RecordFeedback",
        feedback_pb2.RecordFeedbackRequest(
            events=[
                _now(events_pb2.Feedback(interaction_id="i", follow_up=events_pb2.FollowUp(text="no")), "occurred_at"),
                events_pb2.Feedback(interaction_id="i", user_id="u", rating=_RATING),
                events_pb2.Feedback(
                    interaction_id="i", comparison=events_pb2.Comparison(other_interaction_id="j", choice=1)
                ),
            ]
        ),
    ),
    (
        "feedback.RecordInteractions",
        feedback_pb2.RecordInteractionsRequest(
            events=[
                _now(
                    events_pb2.Interaction(
                        interaction_id="i",
                        conversation_id="c",
                        user_id="u",
                        turn=1,
                        messages=_ASKED,
                        response="68 F",
                        served=_SERVED,
                        sampling=_SAMPLING,
                        status=1,
                    ),
                    "occurred_at",
                ),
                events_pb2.Interaction(
                    ranking=events_pb2.Ranking(
                        query="q", candidates=[events_pb2.RankedCandidate(id="a", text="t", score=1, position=1)]
                    )
                ),
            ]
        ),
    ),
    ("feedback.BeginEpoch", feedback_pb2.BeginEpochRequest(transactional_id="fuzz")),
    (
        "feedback.CommitStep",
        feedback_pb2.CommitStepRequest(
            transactional_id="fuzz",
            epoch=1,
            records=[feedback_pb2.LogRecord(topic="deadletters", key=b"k", value=b"v")],
        ),
    ),
    (
        "rerank.Rerank",
        _now(
            rerank_pb2.RerankRequest(
                query="warm",
                candidates=_CANDIDATES,
                user_context=_ASKED,
                ranker="identity",
                interaction_id="i",
                conversation_id="c",
                user_id="u",
                temperature=0.5,
                seed=3,
                top_n=2,
            ),
            "conversation_started_at",
        ),
    ),
    ("reward.Score", reward_pb2.ScoreRequest(messages=_ASKED, responses=["68 F", "20 C"])),
    ("reward.Compare", reward_pb2.CompareRequest(messages=_ASKED, a="68 F", b="20 C")),
    ("ledger.Trace", ledger_pb2.TraceRequest(tenant="default", id="i")),
    ("ledger.Erase", ledger_pb2.EraseRequest(tenant="default", user_id="nobody")),
    (
        "ledger.GetSatisfaction",
        _now(_now(ledger_pb2.GetSatisfactionRequest(group_by="day"), "since"), "until"),
    ),
    ("ledger.GetParity", ledger_pb2.GetParityRequest()),
    ("ledger.ListAnswers", ledger_pb2.ListAnswersRequest(polarity="POLARITY_DSAT", before="1/e", limit=10)),
    (
        "feedback.RecordLabels",
        feedback_pb2.RecordLabelsRequest(
            events=[
                {
                    "event_id": "label",
                    "source_event_id": "f",
                    "interaction_id": "i",
                    "attempt_id": "a",
                    "user_id": "u",
                    "polarity": "POLARITY_DSAT",
                    "reasons": [{"rubric": "style", "start": 0, "end": 3}],
                }
            ]
        ),
    ),
    ("ledger.ReadEvidence", ledger_pb2.ReadEvidenceRequest(reader="fuzz", acknowledged=0, limit=5)),
    (
        "ledger.FetchEvidence",
        ledger_pb2.FetchEvidenceRequest(
            reader="fuzz", references=[events_pb2.EvidenceReference(tenant="default", number=1)]
        ),
    ),
    (
        "ledger.ReadJudged",
        _now(
            ledger_pb2.ReadJudgedRequest(
                policy=POLICY,
                maturity_s=60.0,
                unit="user",
                limit=10,
                judges=[ledger_pb2.Judge(extractor="minilm", version="1")],
            ),
            "after",
        ),
    ),
    ("ledger.GetCut", ledger_pb2.GetCutRequest()),
    (
        "ledger.BuildWindow",
        ledger_pb2.BuildWindowRequest(
            loop="fuzz",
            policy=POLICY,
            leaving=ledger_pb2.Leaving(holdout_salt="salt", holdout_share=0.1, rolled_back=["assist-r0001"]),
        ),
    ),
    ("ledger.BuildWindow", ledger_pb2.BuildWindowRequest(loop="fuzz", number=1, cut=_CUT)),
    (
        "policy.Generate",
        _now(
            policy_pb2.GenerateRequest(
                policy=POLICY,
                interaction_id="i",
                conversation_id="c",
                user_id="u",
                turn=1,
                messages=_ASKED,
                sampling=_SAMPLING,
                served=_SERVED,
            ),
            "conversation_started_at",
        ),
    ),
    ("policy.Sample", policy_pb2.SampleRequest(messages=_ASKED, sampling=_SAMPLING, n=2, version="assist-r0001")),
    ("policy.Likelihood", policy_pb2.LikelihoodRequest(messages=_ASKED, continuations=["68 F", "20 C"])),
    ("policy.ListArms", policy_pb2.ListArmsRequest(policy=POLICY)),
    ("policy.Shadow", _SHADOW),
    ("rollouts.GetRollout", ro.GetRolloutRequest(policy=POLICY)),
    ("rollouts.GetTrail", ro.GetTrailRequest(policy=POLICY)),
    ("rollouts.Start", ro.StartRequest(policy=POLICY, version="assist-r0001", plan=_PLAN)),
    ("rollouts.Promote", ro.PromoteRequest(policy=POLICY, generation=1)),
    ("rollouts.Abort", ro.AbortRequest(policy=POLICY, generation=1)),
    ("rollouts.Freeze", ro.FreezeRequest(policy=POLICY, generation=99, frozen=True)),
)
