"""The public SDK: typed sync and async clients over the dataclasses of `rejoinder.core.types`.

Needs grpcio, grpcio-status and protobuf alone. Read connection.py (where to, with what credentials, how patient),
feedback.py, buffer.py (interactions that must never hold up an application), then one file per service; errors.py,
retry.py and channel.py are what they stand on, owner.py is for workers beside a log that the ingest process owns.

    with FeedbackClient(Connection("127.0.0.1:50051")) as feedback:
        feedback.record_feedback([Feedback(interaction_id=ID, kind=FollowUp("no, in Celsius please"))])

Every call has a deadline, is retried with backoff where that is safe, and raises classes of `rejoinder.core.errors`.
"""

from rejoinder.clients.buffer import BufferCounts, InteractionBuffer
from rejoinder.clients.connection import Connection, Tls
from rejoinder.clients.feedback import AsyncFeedbackClient, FeedbackClient, RecordResult
from rejoinder.clients.ledger import AsyncLedgerClient, LedgerClient
from rejoinder.clients.policy import AsyncPolicyClient, PolicyClient
from rejoinder.clients.rerank import AsyncRerankClient, RerankClient
from rejoinder.clients.reward import AsyncRewardClient, RewardClient
from rejoinder.clients.rollouts import AsyncRolloutClient, RolloutClient

__all__ = [
    "AsyncFeedbackClient",
    "AsyncLedgerClient",
    "AsyncPolicyClient",
    "AsyncRerankClient",
    "AsyncRewardClient",
    "AsyncRolloutClient",
    "BufferCounts",
    "Connection",
    "FeedbackClient",
    "InteractionBuffer",
    "LedgerClient",
    "PolicyClient",
    "RecordResult",
    "RerankClient",
    "RewardClient",
    "RolloutClient",
    "Tls",
]
