"""Which roles may call what: one row per RPC, the sentence `Role:` of its proto. A method without a row is refused."""

from __future__ import annotations

_APP = frozenset({"app", "internal"})
_INTERNAL = frozenset({"internal"})
_ADMIN = frozenset({"admin"})
_READ = frozenset({"app", "internal", "admin", "auditor"})
_AUDIT = frozenset({"auditor", "admin"})

#: Asked by load balancers and probes, who know no limits.
HEALTH = frozenset(f"/inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady", "ModelReady"))

ROLES_OF = {
    "/inference.GRPCInferenceService/ServerLive": _READ,
    "/inference.GRPCInferenceService/ServerReady": _READ,
    "/inference.GRPCInferenceService/ModelReady": _READ,
    "/inference.GRPCInferenceService/ServerMetadata": _READ,
    "/inference.GRPCInferenceService/ModelMetadata": _READ,
    "/inference.GRPCInferenceService/ModelInfer": _APP,
    "/rejoinder.v1.FeedbackService/RecordFeedback": _APP,
    "/rejoinder.v1.FeedbackService/RecordInteractions": _APP,
    "/rejoinder.v1.FeedbackService/RecordLabels": _ADMIN,
    "/rejoinder.v1.FeedbackService/CommitStep": _INTERNAL,
    "/rejoinder.v1.FeedbackService/BeginEpoch": _INTERNAL,
    "/rejoinder.v1.LedgerService/Trace": _AUDIT,
    "/rejoinder.v1.LedgerService/Erase": _ADMIN,
    "/rejoinder.v1.LedgerService/GetSatisfaction": _READ,
    "/rejoinder.v1.LedgerService/GetParity": _READ,
    "/rejoinder.v1.LedgerService/ListAnswers": _AUDIT,
    "/rejoinder.v1.LedgerService/ListLooks": _AUDIT,
    "/rejoinder.v1.LedgerService/ReadEvidence": _INTERNAL,
    "/rejoinder.v1.LedgerService/FetchEvidence": _INTERNAL,
    "/rejoinder.v1.LedgerService/ReadJudged": _INTERNAL,
    "/rejoinder.v1.LedgerService/GetCut": _INTERNAL,
    "/rejoinder.v1.LedgerService/BuildWindow": _INTERNAL,
    "/rejoinder.v1.PolicyService/Generate": _APP,
    "/rejoinder.v1.PolicyService/Sample": _INTERNAL,
    "/rejoinder.v1.PolicyService/Likelihood": _INTERNAL,
    "/rejoinder.v1.PolicyService/ListArms": _INTERNAL | _ADMIN,
    "/rejoinder.v1.PolicyService/Shadow": _INTERNAL,
    "/rejoinder.v1.RerankService/Rerank": _APP,
    "/rejoinder.v1.RewardService/Score": _APP,
    "/rejoinder.v1.RewardService/Compare": _APP,
    "/rejoinder.v1.RewardService/ListHeads": _READ,
    "/rejoinder.v1.RolloutService/GetRollout": _READ,
    "/rejoinder.v1.RolloutService/GetTrail": _READ,
    "/rejoinder.v1.RolloutService/Start": _ADMIN,
    "/rejoinder.v1.RolloutService/Promote": _ADMIN,
    "/rejoinder.v1.RolloutService/Abort": _ADMIN,
    "/rejoinder.v1.RolloutService/Freeze": _ADMIN,
}
