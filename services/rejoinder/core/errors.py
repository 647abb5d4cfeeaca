"""Every error a caller can meet, as one tree; a class is one reason, its gRPC status is its branch.

RejoinderError
├── InvalidArgument      INVALID_ARGUMENT      the caller mends the request
│   ├── EmptyField · TooLong · UnknownEnum · BadEncoding · UnknownRow · BadFile · BadSettings
├── NotFound             NOT_FOUND             the caller mends the reference
├── FailedPrecondition   FAILED_PRECONDITION   the state must change first
│   ├── PolicyFrozen · NoSuchHead · LogReplaced · WindowExpired · PortBusy · StoreOwned
├── ResourceExhausted    RESOURCE_EXHAUSTED    the caller backs off for `retry_after_s`
│   ├── QueueFull · Quota · RateLimited · DiskFull
├── Unavailable          UNAVAILABLE           the caller retries
│   ├── Loading · Draining · LogUnavailable · StoreUnavailable
├── Aborted              ABORTED               the caller re-reads and retries
│   ├── Fenced · ClaimTaken
├── DeadlineExceeded     DEADLINE_EXCEEDED     nothing is computed for nobody
├── Unauthenticated · PermissionDenied (RoleMissing · ForeignTenant)
└── DataLoss             DATA_LOSS             an operator is alerted

Outcomes of single items in a batch (EVENT_ID_CONFLICT, EXPIRED, …) are no exceptions: they are
values of `types.Outcome`. The text of an error names fields, limits and ids, never a user's words.
`runtime/interceptors.py` is the only place that turns these into a status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class RejoinderError(Exception):
    """Base: `status` is the gRPC status name, `reason` the ErrorInfo reason, `metadata` its facts."""

    status = "INTERNAL"
    reason = "INTERNAL"

    def __init__(self, message: str, *, retry_after_s: float | None = None, **metadata: object) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.metadata: Mapping[str, str] = {k: str(v) for k, v in metadata.items()}


class InvalidArgument(RejoinderError):
    status, reason = "INVALID_ARGUMENT", "INVALID_ARGUMENT"


class EmptyField(InvalidArgument):
    reason = "EMPTY_FIELD"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} must not be empty", field=field)


class TooLong(InvalidArgument):
    reason = "TOO_LONG"

    def __init__(self, field: str, size: int, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"{field} is {size} {unit}, the limit is {limit}", field=field, size=size, limit=limit)


class UnknownEnum(InvalidArgument):
    reason = "UNKNOWN_ENUM"

    def __init__(self, field: str, value: int | str) -> None:
        super().__init__(f"{field} has an unknown value", field=field, value=value)


class BadEncoding(InvalidArgument):
    reason = "BAD_ENCODING"


class BadFile(InvalidArgument):
    """A file that a person gave cannot be read as what it was said to be."""

    reason = "BAD_FILE"


class BadSettings(InvalidArgument):
    """A setting or an environment name is unknown or out of range."""

    reason = "BAD_SETTINGS"


class UnknownRow(InvalidArgument):
    reason = "UNKNOWN_ROW"

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no {kind} is called {name!r}; known: {', '.join(known)}", kind=kind, name=name)


class NotFound(RejoinderError):
    status, reason = "NOT_FOUND", "NOT_FOUND"


class FailedPrecondition(RejoinderError):
    status, reason = "FAILED_PRECONDITION", "FAILED_PRECONDITION"


class PolicyFrozen(FailedPrecondition):
    reason = "POLICY_FROZEN"


class NoSuchHead(FailedPrecondition):
    reason = "NO_SUCH_HEAD"


class LogReplaced(FailedPrecondition):
    """The log is not the one that was read before: another topic id, or an end below the stored position."""

    reason = "LOG_REPLACED"


class WindowExpired(FailedPrecondition):
    reason = "WINDOW_EXPIRED"


class PortBusy(FailedPrecondition):
    reason = "PORT_BUSY"


class StoreOwned(FailedPrecondition):
    """Another living process owns this SQLite file, or the ledger in this database."""

    reason = "STORE_OWNED"


class ResourceExhausted(RejoinderError):
    status, reason = "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"


class QueueFull(ResourceExhausted):
    reason = "QUEUE_FULL"


class Quota(ResourceExhausted):
    reason = "QUOTA"


class RateLimited(ResourceExhausted):
    """More calls than this caller may make of this process; refused before it was read."""

    reason = "RATE_LIMIT_EXCEEDED"


class DiskFull(ResourceExhausted):
    reason = "DISK_FULL"


class Unavailable(RejoinderError):
    status, reason = "UNAVAILABLE", "UNAVAILABLE"


class Loading(Unavailable):
    reason = "LOADING"


class Draining(Unavailable):
    reason = "DRAINING"


class LogUnavailable(Unavailable):
    """The log did not take the records; nothing was acknowledged."""

    reason = "LOG_UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """The ledger's database is away; nothing was stored."""

    reason = "STORE_UNAVAILABLE"


class Aborted(RejoinderError):
    status, reason = "ABORTED", "ABORTED"


class Fenced(Aborted):
    """Another writer with a newer epoch took over this transactional id."""

    reason = "FENCED"


class ClaimTaken(Aborted):
    """An object that is created exclusively exists already."""

    reason = "CLAIM_TAKEN"


class DeadlineExceeded(RejoinderError):
    status, reason = "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"


class Unauthenticated(RejoinderError):
    status, reason = "UNAUTHENTICATED", "UNAUTHENTICATED"


class PermissionDenied(RejoinderError):
    status, reason = "PERMISSION_DENIED", "PERMISSION_DENIED"


class RoleMissing(PermissionDenied):
    reason = "ROLE_MISSING"


class ForeignTenant(PermissionDenied):
    reason = "FOREIGN_TENANT"


class DataLoss(RejoinderError):
    status, reason = "DATA_LOSS", "DATA_LOSS"


#: What passes by itself: a peer is away, busy or slow. Tried again; never a reason to give up what is in hand.
PASSING = (Unavailable, ResourceExhausted, DeadlineExceeded)
