"""What is known: where an answer came from, how satisfied people are, whether anything was lost; and forgetting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rejoinder.clients.base import AsyncClient, SyncClient
from rejoinder.clients.channel import Rpc
from rejoinder.core import codec
from rejoinder.core.charter import Rule, Told
from rejoinder.core.types import ArmKind, EvidenceReference, Feedback, Interaction, Polarity, Signal
from rejoinder.v1 import ledger_pb2

_TRACE = Rpc("/rejoinder.v1.LedgerService/Trace", ledger_pb2.TraceResponse)
_ERASE = Rpc("/rejoinder.v1.LedgerService/Erase", ledger_pb2.EraseResponse)
_SATISFACTION = Rpc("/rejoinder.v1.LedgerService/GetSatisfaction", ledger_pb2.GetSatisfactionResponse)
_ANSWERS = Rpc("/rejoinder.v1.LedgerService/ListAnswers", ledger_pb2.ListAnswersResponse)
_EVIDENCE = Rpc("/rejoinder.v1.LedgerService/ReadEvidence", ledger_pb2.ReadEvidenceResponse)
_FETCHED = Rpc("/rejoinder.v1.LedgerService/FetchEvidence", ledger_pb2.FetchEvidenceResponse)
_JUDGED = Rpc("/rejoinder.v1.LedgerService/ReadJudged", ledger_pb2.ReadJudgedResponse)
_CUT = Rpc("/rejoinder.v1.LedgerService/GetCut", ledger_pb2.GetCutResponse)
_WINDOW = Rpc("/rejoinder.v1.LedgerService/BuildWindow", ledger_pb2.BuildWindowResponse)
_LOOKS = Rpc("/rejoinder.v1.LedgerService/ListLooks", ledger_pb2.ListLooksResponse)
_PARITY = Rpc("/rejoinder.v1.LedgerService/GetParity", ledger_pb2.GetParityResponse)


#: Names that a look comes with, of what was shown and of users each.
LOOK_NAMES = 20


@dataclass(frozen=True)
class Evidence:
    """Joined feedback and the answer it is about; number rises in the order of joining."""

    number: int
    interaction: Interaction
    feedback: Feedback


@dataclass(frozen=True)
class Judge:
    """An extractor whose signals count; a version of "" asks which one is present."""

    extractor: str = ""
    version: str = ""


@dataclass(frozen=True)
class JudgedTurn:
    """One answer as a verdict needs it, as ledger.proto has it. Times are seconds since the epoch."""

    tenant: str = ""
    user_id: str = ""
    conversation_id: str = ""
    interaction_id: str = ""
    accepted_at: float | None = None
    arm: ArmKind = ArmKind.UNSPECIFIED
    version: str = ""
    propensity: float = 0.0
    holdout: bool = False
    forced: bool = False
    crossed: bool = False
    completed: bool = False
    response_chars: int = 0
    followed_at: float | None = None
    polarity: Polarity = Polarity.UNSPECIFIED
    sampled: bool = False
    second: Polarity = Polarity.UNSPECIFIED
    refused: bool | None = None
    norms: Told | None = None
    conversation_weight: float | None = None


@dataclass(frozen=True)
class Judged:
    """What has matured since the call before. matured_to: the next call's `after`. foreign: replies that only another
    version of a judge has read. behind_s: the slowest reader's distance from the log. second: whose readings of the
    audit sample these are, None where none was asked for or none has read anything."""

    turns: tuple[JudgedTurn, ...] = ()
    matured_to: float | None = None
    judges: tuple[Judge, ...] = ()
    foreign: int = 0
    behind_s: float = 0.0
    second: Judge | None = None


@dataclass(frozen=True)
class WindowEvidence:
    """One piece of a window with everything it needs, as ledger.proto has it."""

    id: str = ""
    tenant: str = ""
    feedback: Feedback | None = None
    interaction: Interaction | None = None
    signal: Signal | None = None
    other: Interaction | None = None
    supersedes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """A window's head and its evidence. as_of: log time of the last record before the cut, seconds."""

    digest: str
    as_of: float
    counts: Mapping[str, int]
    redacted: int
    evidence: tuple[WindowEvidence, ...]


@dataclass(frozen=True)
class TraceNode:
    """One fact of a trace; `sources` are the ids it came from. at: seconds since the epoch."""

    kind: str
    id: str
    digest: str
    state: str
    at: float | None
    facts: Mapping[str, str]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Erased:
    """The answer to an erasure. Times are seconds since the epoch."""

    ticket: str = ""
    erased_at: float | None = None
    raw_copy_ends_at: float | None = None


@dataclass(frozen=True)
class SatisfactionRow:
    """One group; satisfaction is a mean over users in [0, 1] with its 95 % interval."""

    group: str = ""
    interactions: int = 0
    replied: int = 0
    sat: int = 0
    dsat: int = 0
    none: int = 0
    satisfaction: float = 0.0
    low: float = 0.0
    high: float = 0.0
    users: int = 0


@dataclass(frozen=True)
class Satisfaction:
    """join_rate: share of feedback joined to an answer. unlinked: the rest, by cause."""

    rows: tuple[SatisfactionRow, ...] = ()
    join_rate: float = 0.0
    unlinked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ParityRow:
    """read = stored + duplicate + conflict + dead_lettered + erased + expired, of one partition."""

    topic: str = ""
    partition: int = 0
    read: int = 0
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    dead_lettered: int = 0
    erased: int = 0
    expired: int = 0
    position: int = 0
    end: int = 0


@dataclass(frozen=True)
class Parity:
    """parked and orphaned are states of stored. digest: the ledger's content."""

    rows: tuple[ParityRow, ...] = ()
    parked: int = 0
    orphaned: int = 0
    digest: str = ""


@dataclass(frozen=True)
class HeardFeedback:
    """Feedback with the signals about it. in_force: ids of those that speak for it."""

    feedback: Feedback | None = None
    signals: tuple[Signal, ...] = ()
    in_force: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListedAnswer:
    """unheard: how much more feedback there is."""

    interaction: Interaction | None = None
    feedback: tuple[HeardFeedback, ...] = ()
    unheard: int = 0


@dataclass(frozen=True)
class ListedAnswers:
    """A page, newest first. next: `before` of the next one, "" after the oldest."""

    answers: tuple[ListedAnswer, ...] = ()
    next: str = ""


@dataclass(frozen=True)
class AnswersWanted:
    """Which answers, as ListAnswersRequest has them."""

    tenant: str = ""
    polarity: Polarity = Polarity.UNSPECIFIED
    conversation_id: str = ""
    interaction_id: str = ""
    version: str = ""
    before: str = ""
    limit: int = 20


@dataclass(frozen=True)
class LooksWanted:
    """Which looks, as ListLooksRequest has them: id, user_id "" for all."""

    tenant: str = ""
    id: str = ""
    user_id: str = ""
    limit: int = 200


@dataclass(frozen=True)
class Look:
    """Somebody was shown users' words, as ledger.proto has it. at: seconds since the epoch."""

    at: float | None = None
    principal: str = ""
    tenant: str = ""
    what: str = ""
    by: str = ""
    count: int | None = None
    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class LedgerClient(SyncClient):
    """Asks the ledger."""

    def trace(self, id: str, tenant: str = "") -> list[TraceNode]:
        """Everything that made an interaction, event, version or round, and all it made. Raises NotFound."""
        return _trace(self._channel.call(_TRACE, ledger_pb2.TraceRequest(tenant=tenant, id=id)))

    def erase(self, user_id: str, tenant: str = "") -> Erased:
        """Forgets a user everywhere; `trace(ticket)` says how far it has come. Role: admin."""
        request = ledger_pb2.EraseRequest(tenant=tenant, user_id=user_id)
        return codec.from_proto(self._channel.call(_ERASE, request), Erased)

    def satisfaction(
        self, group_by: str = "", tenant: str = "", since: float | None = None, until: float | None = None
    ) -> Satisfaction:
        """By version, arm, reason, extractor, day or source; "" = overall. Times are seconds since the epoch."""
        return _satisfaction(self._channel.call(_SATISFACTION, _asked(group_by, tenant, since, until)))

    def parity(self) -> Parity:
        """What was read of the log and what became of it; all tenants together."""
        return codec.from_proto(self._channel.call(_PARITY, ledger_pb2.GetParityRequest()), Parity)

    def answers(self, wanted: AnswersWanted) -> ListedAnswers:
        """Users' words: the ledger records who asked before it answers. Role: auditor or admin."""
        return codec.from_proto(
            self._channel.call(_ANSWERS, codec.to_proto(wanted, ledger_pb2.ListAnswersRequest())), ListedAnswers
        )

    def looks(self, wanted: LooksWanted) -> tuple[Look, ...]:
        """Who was given users' words, newest first. Role: auditor or admin."""
        return _looks(self._channel.call(_LOOKS, codec.to_proto(wanted, ledger_pb2.ListLooksRequest())))

    def evidence(self, reader: str, acknowledged: int, limit: int) -> list[Evidence]:
        """What comes after the greatest number this reader has acknowledged. Role: internal."""
        request = ledger_pb2.ReadEvidenceRequest(reader=reader, acknowledged=acknowledged, limit=limit)
        return [_evidence(item) for item in self._channel.call(_EVIDENCE, request).items]

    def fetch_evidence(self, reader: str, references: Sequence[EvidenceReference]) -> list[Evidence]:
        """The pieces behind references, at most 1,000; those that are gone are left out. Role: internal."""
        left, out = [codec.to_proto(reference) for reference in references], []
        while left:
            answer = self._channel.call(_FETCHED, ledger_pb2.FetchEvidenceRequest(reader=reader, references=left))
            out += [_evidence(item) for item in answer.items]
            left = list(answer.left)
        return out

    def judged(
        self,
        policy: str,
        after: float,
        maturity_s: float,
        judges: Sequence[Judge],
        unit: str = "user",
        limit: int = 2000,
        *,
        second: Judge | None = None,
        refusals: bool = False,
        norms: Sequence[Rule] = (),
    ) -> Judged:
        """Answers whose users' maturity window has closed since `after` (seconds). second: whose readings of the audit
        sample come with them; Judge() asks which one is there. refusals: whether each refuses comes with it. norms:
        what each is held against. Raises Loading. Role: internal."""
        request = ledger_pb2.ReadJudgedRequest(
            policy=policy,
            maturity_s=maturity_s,
            unit=unit,
            judges=[ledger_pb2.Judge(extractor=judge.extractor, version=judge.version) for judge in judges],
            limit=limit,
            refusals=refusals,
            norms=[codec.to_proto(rule, ledger_pb2.NormRule()) for rule in norms],
        )
        if second is not None:
            request.second.CopyFrom(ledger_pb2.Judge(extractor=second.extractor, version=second.version))
        request.after.FromMicroseconds(round(after * 1_000_000))
        return codec.from_proto(self._channel.call(_JUDGED, request), Judged)

    def cut(self) -> str:
        """The cut at what the ledger has read, as JSON; it waits for what the log holds now. Raises Loading.
        Role: internal."""
        return self._channel.call(_CUT, ledger_pb2.GetCutRequest()).cut

    def window(
        self,
        loop: str,
        number: int,
        policy: str,
        cut: str,
        holdout_salt: str,
        holdout_share: float,
        rolled_back: Sequence[str] = (),
        deadline_s: float = 120.0,
    ) -> Window:
        """The evidence of a loop's window up to a cut; number 0 and cut "" preview it. Role: internal. Raises
        FailedPrecondition, LogReplaced, WindowExpired, ClaimTaken, Aborted (ask again)."""
        leaving = ledger_pb2.Leaving(
            holdout_salt=holdout_salt, holdout_share=holdout_share, rolled_back=sorted(rolled_back)
        )
        request = ledger_pb2.BuildWindowRequest(loop=loop, number=number, policy=policy, cut=cut, leaving=leaving)
        head, evidence = ledger_pb2.WindowHead(), []
        for part in self._channel.stream(_WINDOW, request, deadline_s):
            if part.HasField("head"):
                head = part.head
            evidence += [codec.from_proto(piece, WindowEvidence) for piece in part.evidence]
        as_of = head.as_of.ToMicroseconds() / 1_000_000
        return Window(head.digest, as_of, dict(head.counts), head.redacted, tuple(evidence))

    def waiting(
        self, loop: str, policy: str, holdout_salt: str, holdout_share: float, deadline_s: float = 120.0
    ) -> int:
        """How many pieces of evidence a window cut now would have. Role: internal. Raises as `window`."""
        leaving = ledger_pb2.Leaving(holdout_salt=holdout_salt, holdout_share=holdout_share)
        request = ledger_pb2.BuildWindowRequest(loop=loop, policy=policy, leaving=leaving)
        # The head comes first; nobody's words are fetched.
        for part in self._channel.stream(_WINDOW, request, deadline_s):
            return int(part.head.counts.get("evidence", 0))
        return 0


class AsyncLedgerClient(AsyncClient):
    """As LedgerClient."""

    async def trace(self, id: str, tenant: str = "") -> list[TraceNode]:
        return _trace(await self._channel.call(_TRACE, ledger_pb2.TraceRequest(tenant=tenant, id=id)))

    async def erase(self, user_id: str, tenant: str = "") -> Erased:
        request = ledger_pb2.EraseRequest(tenant=tenant, user_id=user_id)
        return codec.from_proto(await self._channel.call(_ERASE, request), Erased)

    async def satisfaction(
        self, group_by: str = "", tenant: str = "", since: float | None = None, until: float | None = None
    ) -> Satisfaction:
        return _satisfaction(await self._channel.call(_SATISFACTION, _asked(group_by, tenant, since, until)))

    async def answers(self, wanted: AnswersWanted) -> ListedAnswers:
        return codec.from_proto(
            await self._channel.call(_ANSWERS, codec.to_proto(wanted, ledger_pb2.ListAnswersRequest())), ListedAnswers
        )

    async def looks(self, wanted: LooksWanted) -> tuple[Look, ...]:
        return _looks(await self._channel.call(_LOOKS, codec.to_proto(wanted, ledger_pb2.ListLooksRequest())))

    async def parity(self) -> Parity:
        return codec.from_proto(await self._channel.call(_PARITY, ledger_pb2.GetParityRequest()), Parity)


def _looks(answer: ledger_pb2.ListLooksResponse) -> tuple[Look, ...]:
    return tuple(codec.from_proto(look, Look) for look in answer.looks)


def _evidence(item: ledger_pb2.EvidenceItem) -> Evidence:
    return Evidence(
        item.number, codec.from_proto(item.interaction, Interaction), codec.from_proto(item.feedback, Feedback)
    )


def _asked(group_by: str, tenant: str, since: float | None, until: float | None) -> ledger_pb2.GetSatisfactionRequest:
    request = ledger_pb2.GetSatisfactionRequest(tenant=tenant, group_by=group_by)
    if since is not None:
        request.since.FromMicroseconds(round(since * 1_000_000))
    if until is not None:
        request.until.FromMicroseconds(round(until * 1_000_000))
    return request


def _trace(response: ledger_pb2.TraceResponse) -> list[TraceNode]:
    return [
        TraceNode(
            n.kind,
            n.id,
            n.digest,
            n.state,
            n.at.ToMicroseconds() / 1_000_000 if n.HasField("at") else None,
            dict(n.facts),
            tuple(n.sources),
        )
        for n in response.nodes
    ]


def _satisfaction(response: ledger_pb2.GetSatisfactionResponse) -> Satisfaction:
    rows = tuple(codec.from_proto(row, SatisfactionRow) for row in response.rows)
    return Satisfaction(rows, response.join_rate, dict(response.unlinked))
