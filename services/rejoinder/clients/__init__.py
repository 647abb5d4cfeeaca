"""The public SDK: typed sync and async clients over the dataclasses of `rejoinder.core.types`.

Needs grpcio, grpcio-status and protobuf alone. Read connection.py (where to, with what credentials, how patient),
feedback.py, buffer.py (interactions that must never hold up an application), then one file per service; errors.py,
retry.py and channel.py are what they stand on, owner.py is for workers beside a log that the ingest process owns.

    with FeedbackClient(Connection("127.0.0.1:50051")) as feedback:
        feedback.record_feedback([Feedback(interaction_id=ID, kind=FollowUp("no, in Celsius please"))])

Every call has a deadline, is retried with backoff where that is safe, and raises classes of `rejoinder.core.errors`;
PASSING are those after which an application goes its own way. What most applications need stands here by name;
`examples/` in the repository has it at work.
"""

from rejoinder.clients.buffer import BufferCounts, InteractionBuffer
from rejoinder.clients.connection import Connection, Tls
from rejoinder.clients.feedback import AsyncFeedbackClient, FeedbackClient, RecordResult
from rejoinder.clients.ledger import AsyncLedgerClient, LedgerClient
from rejoinder.clients.policy import AsyncPolicyClient, End, GenerateAsk, Part, PolicyClient, Start
from rejoinder.clients.rerank import AsyncRerankClient, RerankAsk, RerankClient, Reranked
from rejoinder.clients.reward import AsyncRewardClient, Compared, RewardClient, Scores
from rejoinder.clients.rollouts import AsyncRolloutClient, RolloutClient
from rejoinder.core.errors import PASSING, RejoinderError
from rejoinder.core.ids import derived_id, uuid7
from rejoinder.core.types import (
    Abandon,
    AttemptStatus,
    Choice,
    Click,
    Comment,
    Comparison,
    Consent,
    Copy,
    Edit,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Outcome,
    Rating,
    RecordOutcome,
    Regenerate,
    Role,
    Sampling,
    Served,
)

__all__ = [
    "PASSING",
    "Abandon",
    "AsyncFeedbackClient",
    "AsyncLedgerClient",
    "AsyncPolicyClient",
    "AsyncRerankClient",
    "AsyncRewardClient",
    "AsyncRolloutClient",
    "AttemptStatus",
    "BufferCounts",
    "Choice",
    "Click",
    "Comment",
    "Compared",
    "Comparison",
    "Connection",
    "Consent",
    "Copy",
    "Edit",
    "End",
    "Feedback",
    "FeedbackClient",
    "FollowUp",
    "GenerateAsk",
    "Interaction",
    "InteractionBuffer",
    "LedgerClient",
    "Message",
    "Outcome",
    "Part",
    "PolicyClient",
    "Rating",
    "RecordOutcome",
    "RecordResult",
    "Regenerate",
    "RejoinderError",
    "RerankAsk",
    "RerankClient",
    "Reranked",
    "RewardClient",
    "Role",
    "RolloutClient",
    "Sampling",
    "Scores",
    "Served",
    "Start",
    "Tls",
    "derived_id",
    "uuid7",
]
