"""The table of malformed and hostile inputs: at most three of a kind, each with the status and reason that it gets.

A request's `expect` is `STATUS/REASON` of the call, or the outcome of an item (`REJECTED/REASON/field`, `RECORDED`).
A file's is `2/REASON`, the exit status and reason of the command that is given it; a path's likewise, its input what
the command is given as its output or its folder (`{file}` is a file that is there). Rows that stand elsewhere already
are taken from there by name. `found_by="fuzzer"`: fuzz.py came upon it; `was` says what happened then, "" where it was
refused from the first.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rejoinder.v1 import common_pb2, feedback_pb2, ledger_pb2, rerank_pb2, reward_pb2, rollouts_pb2

from tests.hostile.readers import PAIR, PLAN, TURN
from tests.hostile.services import MESSAGE_BYTES, POLICY
from tests.observe.formats.test_contract import SAMPLES
from tests.observe.test_reader import HOSTILE
from tests.system.ingest.test_hostile import CASES as INGEST
from tests.system.ingest.test_hostile import field
from tests.system.policy.test_refusals import CASES as POLICY_CASES


@dataclass(frozen=True)
class Row:
    """writes: records that the log gets all the same."""

    name: str
    kind: str
    target: str
    input: bytes
    expect: str
    token: str = "all-token"
    writes: int = 0
    found_by: str = "a person"
    was: str = ""


def ingest(kind: str, name: str) -> Row:
    """A row of the ingest service's own table."""
    case = next(case for case in INGEST if case.name == name)
    method = case.path.rsplit("/", 1)[1]
    return Row(name, kind, f"feedback.{method}", case.payload, case.expect, writes=int(case.expect == "RECORDED"))


def policy(kind: str, name: str) -> Row:
    """A row of the policy service's own table."""
    case = next(case for case in POLICY_CASES if case.what == name)
    raw = case.request if isinstance(case.request, bytes) else case.request.SerializeToString()
    return Row(name, kind, f"policy.{case.method}", raw, f"{case.status}/{case.reason}", case.token)


def log_file(kind: str, name: str) -> Row:
    """A row of the file reader's own table."""
    return Row(name, kind, "import", HOSTILE[name][0], "2/BAD_FILE")


def asks(name: str, kind: str, target: str, request: Message, expect: str, **more: Any) -> Row:
    return Row(name, kind, target, request.SerializeToString(), expect, **more)


def fuzzed(name: str, kind: str, target: str, request: Message | bytes, expect: str, was: str = "") -> Row:
    data = request if isinstance(request, bytes) else request.SerializeToString()
    return Row(name, kind, target, data, expect, found_by="fuzzer", was=was)


def rerank(**fields: Any) -> rerank_pb2.RerankRequest:
    candidates = [{"id": "a", "text": "warm"}, {"id": "b", "text": "cold"}]
    return rerank_pb2.RerankRequest(**{"query": "how warm", "candidates": candidates, **fields})


def score(**fields: Any) -> reward_pb2.ScoreRequest:
    return reward_pb2.ScoreRequest(**{"messages": [USER], "responses": ["68 F"], **fields})


def started(plan: str) -> rollouts_pb2.StartRequest:
    return rollouts_pb2.StartRequest(policy=POLICY, version="assist-r0001", plan=plan)


def judged(**fields: Any) -> ledger_pb2.ReadJudgedRequest:
    plain = {"policy": POLICY, "maturity_s": 60.0, "unit": "user", "limit": 10, "judges": [{"extractor": "minilm"}]}
    return ledger_pb2.ReadJudgedRequest(**{**plain, **fields})


def window(**fields: Any) -> ledger_pb2.BuildWindowRequest:
    return ledger_pb2.BuildWindowRequest(loop="hostile", **fields)


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


USER = common_pb2.Message(role="ROLE_USER", content="How warm is it?")
BAD, EMPTY, LONG = "INVALID_ARGUMENT/BAD_ENCODING", "INVALID_ARGUMENT/EMPTY_FIELD", "INVALID_ARGUMENT/TOO_LONG"
INVALID, ENUM = "INVALID_ARGUMENT/INVALID_ARGUMENT", "INVALID_ARGUMENT/UNKNOWN_ENUM"
UNKNOWN = "INVALID_ARGUMENT/UNKNOWN_ROW"
NOWHERE, STATE = "NOT_FOUND/NOT_FOUND", "FAILED_PRECONDITION/FAILED_PRECONDITION"
SETTINGS = "INVALID_ARGUMENT/BAD_SETTINGS"
ROLE, FOREIGN = "PERMISSION_DENIED/ROLE_MISSING", "PERMISSION_DENIED/FOREIGN_TENANT"
NOBODY = "UNAUTHENTICATED/UNAUTHENTICATED"

#: Digits packed badly enough that what is left of them holds most of the conversations.
BROKEN_OFF = gzip.compress(
    b"".join(line({**SAMPLES["sharegpt"], "id": hashlib.sha256(b"%d" % n).hexdigest()}) for n in range(2000))
)[:-100]

REQUESTS = (
    ingest("no message", "bytes that are no message"),
    Row("a length of two gigabytes for the words", "no message", "reward.Score", b"\x12\xff\xff\xff\xff\x07", BAD),
    Row("groups nested ten thousand deep in a trace", "no message", "ledger.Trace", b"\x0b" * 10_000, BAD),
    ingest("no UTF-8", "an id that is no UTF-8"),
    Row("a query that is no UTF-8", "no UTF-8", "rerank.Rerank", field(6, b"\xff\xfe"), BAD),
    Row("a version of half a character", "no UTF-8", "rollouts.Start", field(2, b"\xed\xa0\x80"), BAD),
    ingest("a request too large", "a request above our limit"),
    Row("a megabyte nobody reads", "a request too large", "reward.Score", field(998, b"x" * MESSAGE_BYTES), LONG),
    policy("a request too large", "a conversation beyond the limit"),
    ingest("too many at once", "a thousand and one items"),
    asks("a thousand and one candidates", "too many at once", "rerank.Rerank",
         rerank(candidates=[{"id": str(n), "text": "x"} for n in range(1001)]), LONG),
    asks("257 answers to score", "too many at once", "reward.Score", score(responses=["x"] * 257), LONG),
    ingest("a text too long", "words above the limit"),
    asks("a query above the limit", "a text too long", "rerank.Rerank", rerank(query="q" * 262_145), LONG),
    policy("a text too long", "too many tokens"),
    ingest("an id too long", "an id above the limit"),
    policy("an id too long", "an id that is too long"),
    ingest("a forged id", "a line end in an id"),
    ingest("a forged id", "a right-to-left override in a user"),
    policy("a forged id", "an id with a control character"),
    asks("nothing to answer to", "nothing there", "reward.Score", score(messages=[]), EMPTY),
    asks("an erasure of nobody", "nothing there", "ledger.Erase", ledger_pb2.EraseRequest(tenant="default"), EMPTY),
    asks("a rollout of no version", "nothing there", "rollouts.Start", rollouts_pb2.StartRequest(policy=POLICY), EMPTY),
    ingest("only spaces", "a follow-up of spaces"),
    policy("only spaces", "an empty turn"),
    asks("a query of spaces", "only spaces", "rerank.Rerank", rerank(query=" \n"), EMPTY),
    ingest("an unknown enum", "an unknown consent"),
    policy("an unknown enum", "a role of a later release"),
    asks("an unknown role before answers", "an unknown enum", "reward.Compare",
         reward_pb2.CompareRequest(messages=[{"role": 99, "content": "x"}], a="a", b="b"), ENUM),
    ingest("no number", "a rating that is no number"),
    asks("a temperature that is no number", "no number", "rerank.Rerank", rerank(temperature=math.nan), INVALID),
    asks("a wait that is no number", "no number", "ledger.ReadJudged", judged(maturity_s=math.nan), INVALID),
    asks("fewer places than none", "below zero", "rerank.Rerank", rerank(top_n=-1), INVALID),
    asks("fewer pieces of evidence than none", "below zero", "ledger.ReadEvidence",
         ledger_pb2.ReadEvidenceRequest(reader="signals:x", limit=-1), INVALID),
    policy("below zero", "a turn below nought"),
    ingest("out of range", "a rating outside its scale"),
    policy("out of range", "a nucleus above one"),
    asks("two billion answers at once", "out of range", "ledger.ReadJudged", judged(limit=2**31 - 1), INVALID),
    asks("two candidates of one id", "a contradiction", "rerank.Rerank",
         rerank(candidates=[{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]), INVALID),
    policy("a contradiction", "the answer's turn last"),
    asks("a ranker nobody wrote", "an unknown name", "rerank.Rerank", rerank(ranker="oracle"), UNKNOWN),
    asks("a head that is not loaded", "an unknown name", "reward.Score", score(head="judge"),
         "FAILED_PRECONDITION/NO_SUCH_HEAD"),
    asks("SQL as a group", "an unknown name", "ledger.GetSatisfaction",
         ledger_pb2.GetSatisfactionRequest(group_by="1; DROP TABLE feedback"), UNKNOWN),
    policy("a reference to nothing", "a version that is a path"),
    asks("a rollout of a path", "a reference to nothing", "rollouts.Start",
         rollouts_pb2.StartRequest(policy=POLICY, version="../../served/assist"), NOWHERE),
    asks("SQL as an id", "a reference to nothing", "ledger.Trace", ledger_pb2.TraceRequest(id="' OR 1=1 --"), NOWHERE),
    policy("another policy", "another policy"),
    asks("a rollout of another policy", "another policy", "rollouts.GetRollout",
         rollouts_pb2.GetRolloutRequest(policy="other"), NOWHERE),
    asks("a trail of another policy", "another policy", "rollouts.GetTrail",
         rollouts_pb2.GetTrailRequest(policy="other"), NOWHERE),
    asks("an application that reads everybody's words", "somebody else's words", "ledger.ListAnswers",
         ledger_pb2.ListAnswersRequest(limit=10), ROLE, token="app-token"),
    asks("all words of all time at once", "somebody else's words", "ledger.ListAnswers",
         ledger_pb2.ListAnswersRequest(limit=2**31 - 1), INVALID),
    asks("words behind a place that is SQL", "somebody else's words", "ledger.ListAnswers",
         ledger_pb2.ListAnswersRequest(limit=1, before="0 OR 1=1/x"), INVALID),
    asks("an application that labels", "a label that is none", "feedback.RecordLabels",
         feedback_pb2.RecordLabelsRequest(events=[{"source_event_id": "f"}]), ROLE, token="app-token"),
    asks("a label that says satisfied because of an error", "a label that is none", "feedback.RecordLabels",
         feedback_pb2.RecordLabelsRequest(events=[{"source_event_id": "f", "interaction_id": "i",
                                                   "polarity": "POLARITY_SAT",
                                                   "reasons": [{"rubric": "factual_error"}]}]),
         "REJECTED/INVALID_ARGUMENT/reasons.rubric"),
    asks("a label of a polarity nobody knows", "a label that is none", "feedback.RecordLabels",
         feedback_pb2.RecordLabelsRequest(events=[{"source_event_id": "f", "interaction_id": "i", "polarity": 99}]),
         "REJECTED/UNKNOWN_ENUM/polarity"),
    asks("no credentials", "nobody", "reward.Score", score(), NOBODY, token=""),
    asks("a guessed token", "nobody", "ledger.GetParity", ledger_pb2.GetParityRequest(), NOBODY, token="guessed"),
    policy("nobody", "nobody"),
    asks("an application that erases", "the wrong role", "ledger.Erase",
         ledger_pb2.EraseRequest(user_id="u"), ROLE, token="app-token"),
    asks("an application that rolls out", "the wrong role", "rollouts.Start", started(""), ROLE, token="app-token"),
    asks("an application that writes the log", "the wrong role", "feedback.CommitStep",
         feedback_pb2.CommitStepRequest(records=[{"topic": "arms", "value": b"x"}]), ROLE, token="app-token"),
    asks("a slate for another tenant", "another tenant", "rerank.Rerank", rerank(tenant="acme"), FOREIGN,
         token="app-token"),
    asks("another tenant's satisfaction", "another tenant", "ledger.GetSatisfaction",
         ledger_pb2.GetSatisfactionRequest(tenant="acme"), FOREIGN, token="app-token"),
    policy("another tenant", "another tenant"),
    asks("a promotion of nothing", "the wrong moment", "rollouts.Promote",
         rollouts_pb2.PromoteRequest(policy=POLICY), STATE),
    asks("an abort on another table", "the wrong moment", "rollouts.Abort",
         rollouts_pb2.AbortRequest(policy=POLICY, generation=2**62), "ABORTED/ABORTED"),
    asks("a rollout of what is served", "the wrong moment", "rollouts.Start",
         rollouts_pb2.StartRequest(policy=POLICY, version="assist-base"), STATE),
    asks("a plan that is no JSON", "a plan in a request", "rollouts.Start", started("{"), SETTINGS),
    asks("a plan that is a list", "a plan in a request", "rollouts.Start", started("[1]"), SETTINGS),
    asks("a plan with a margin of seven", "a plan in a request", "rollouts.Start", started('{"margin": 7}'), SETTINGS),
    asks("a step of nobody's epoch", "a forged step", "feedback.CommitStep",
         feedback_pb2.CommitStepRequest(transactional_id="signals-0", epoch=77), "ABORTED/FENCED"),
    asks("a record on a topic of one's own", "a forged step", "feedback.CommitStep",
         feedback_pb2.CommitStepRequest(records=[{"topic": "nonsense", "value": b"x"}]), UNKNOWN),
    ingest("another version", "a field of a later version"),
    ingest("another version", "two kinds in one event: the last one is what protobuf keeps"),
    ingest("another version", "a method that does not exist"),
    ingest("an impossible time", "a clock that was never set"),
    fuzzed("a conversation begun in thirty million years", "an impossible time", "rerank.Rerank",
           rerank(conversation_started_at=Timestamp(seconds=2**62)), BAD, was="INTERNAL"),
    fuzzed("a conversation begun at a negative nanosecond", "an impossible time", "rerank.Rerank",
           rerank(conversation_started_at=Timestamp(seconds=1, nanos=-1)), BAD, was="INTERNAL"),
    fuzzed("a slate for a user of 262,146 bytes", "shown, and refused by the log", "rerank.Rerank",
           rerank(user_id="é" * 131_073), LONG, was="answered OK, and was never stored"),
    fuzzed("a slate under a zero byte", "shown, and refused by the log", "rerank.Rerank",
           rerank(interaction_id="\x00"), BAD, was="answered OK, and was never stored"),
    fuzzed("a slate for a user who reads from right to left", "shown, and refused by the log", "rerank.Rerank",
           rerank(user_id="\u202eevil"), BAD),
    fuzzed("a ranker's name longer than an error can carry", "a name too long", "rerank.Rerank",
           rerank(ranker="x" * 70_000), LONG, was="RESOURCE_EXHAUSTED without a reason"),
    fuzzed("a head's name longer than an error can carry", "a name too long", "reward.Score",
           score(head="x" * 70_000), LONG, was="RESOURCE_EXHAUSTED without a reason"),
    fuzzed("a policy longer than an error can carry", "a name too long", "rollouts.GetRollout",
           rollouts_pb2.GetRolloutRequest(policy="x" * 70_000), NOWHERE, was="RESOURCE_EXHAUSTED without a reason"),
    fuzzed("an id longer than an error can carry", "quoted back", "ledger.Trace",
           ledger_pb2.TraceRequest(id="x" * 70_000), NOWHERE, was="RESOURCE_EXHAUSTED without a reason"),
    fuzzed("a group longer than an error can carry", "quoted back", "ledger.GetSatisfaction",
           ledger_pb2.GetSatisfactionRequest(group_by="\U0001f9ff" * 20_000), UNKNOWN,
           was="RESOURCE_EXHAUSTED without a reason"),
    fuzzed("satisfaction since thirty million years from now", "a time beyond the calendar", "ledger.GetSatisfaction",
           ledger_pb2.GetSatisfactionRequest(since=Timestamp(seconds=2**62)), BAD, was="INTERNAL"),
    fuzzed("answers after a negative nanosecond", "a time beyond the calendar", "ledger.ReadJudged",
           judged(after=Timestamp(seconds=1, nanos=-1)), BAD, was="INTERNAL"),
    asks("answers of the year 9999", "a time beyond the calendar", "ledger.ReadJudged",
         judged(after=Timestamp(seconds=253_402_300_799)), INVALID),
    fuzzed("a wait for ever", "a wait without end", "ledger.ReadJudged", judged(maturity_s=math.inf), INVALID,
           was="INTERNAL"),
    fuzzed("a wait longer than the world", "a wait without end", "ledger.ReadJudged", judged(maturity_s=1e308), INVALID,
           was="INTERNAL"),
    asks("nobody held out, by a share that is no number", "a window of nobody knows what", "ledger.BuildWindow",
         window(leaving={"holdout_share": math.nan}), INVALID),
    asks("a cut before the beginning", "a window of nobody knows what", "ledger.BuildWindow",
         window(number=1, cut='{"topic_ids": {}, "ends": {"feedback": {"0": -1}}}'), INVALID),
    asks("a cut nested five thousand deep", "a window of nobody knows what", "ledger.BuildWindow",
         window(number=1, cut="[" * 5000), INVALID),
    fuzzed("a version longer than a file's name", "a version that names no file", "rollouts.Start",
           rollouts_pb2.StartRequest(policy=POLICY, version="x" * 300), NOWHERE, was="INTERNAL"),
    fuzzed("a version that is a zero byte", "a version that names no file", "rollouts.Start",
           rollouts_pb2.StartRequest(policy=POLICY, version="\x00"), NOWHERE, was="INTERNAL"),
    asks("a version that is another object of the registry", "a version that names no file", "rollouts.Start",
         rollouts_pb2.StartRequest(policy=POLICY, version="../../served/assist/00000001"), NOWHERE),
    fuzzed("a plan of five steps, as a number", "a plan of another shape", "rollouts.Start", started('{"steps": 5}'),
           SETTINGS, was="INTERNAL"),
    fuzzed("a plan of one step that is a number", "a plan of another shape", "rollouts.Start",
           started('{"steps": [5]}'), SETTINGS, was="INTERNAL"),
    fuzzed("a plan nested five thousand deep", "a plan of another shape", "rollouts.Start", started("[" * 5000),
           SETTINGS, was="INTERNAL"),
    fuzzed("a lease as long as the engine's pause", "a plan that cannot be kept", "rollouts.Start",
           started('{"lease_ttl_s": 1}'), SETTINGS, was="OK"),
    asks("a wait that no ledger would grant", "a plan that cannot be kept", "rollouts.Start",
         started('{"maturity_s": 1e300}'), SETTINGS),
    asks("an error smaller than arithmetic", "a plan that cannot be kept", "rollouts.Start",
         started('{"alpha": 1e-320}'), SETTINGS),
    fuzzed("a tag cut off behind a version", "a message cut off", "policy.Sample", b"\n\x0e%s%n", BAD),
    fuzzed("a time cut off", "a message cut off", "ledger.ReadJudged", b"\n\x06assist\x12\x12", BAD),
    fuzzed("an enum below zero", "below the least", "feedback.RecordFeedback",
           b"\n\x0e\xc2\x01\x0b\x18" + b"\xff" * 9 + b"\x01", "REJECTED/UNKNOWN_ENUM/choice"),
    fuzzed("a wait below the least that there is", "below the least", "ledger.ReadJudged",
           judged(maturity_s=-1e308), INVALID),
    fuzzed("a served answer of a message and nothing else", "a hollow event", "feedback.RecordInteractions",
           b"\n\x02j\x00", "REJECTED/EMPTY_FIELD/messages"),
    fuzzed("a click on nothing", "a hollow event", "feedback.RecordFeedback",
           b"\n\x0e\n\x07default\xca\x01\x02\x10\x01", "REJECTED/EMPTY_FIELD/click.candidate_id"),
)  # fmt: skip

FILES = (
    log_file("no text", "binary"),
    log_file("no text", "wrong UTF-8"),
    fuzzed("pairs that are no UTF-8", "no text", "reward pairs", line(PAIR)[:40] + b"\xff" + line(PAIR)[41:],
           "2/BAD_FILE", was="UnicodeDecodeError"),
    log_file("a damaged archive", "truncated gzip"),
    log_file("a damaged archive", "gzip magic and rubbish"),
    Row("a plan that is an archive", "a damaged archive", "rollout plan", gzip.compress(b"margin: 0.1"), "2/BAD_FILE"),
    Row("an archive that breaks off behind two thousand conversations", "half a file", "import", BROKEN_OFF,
        "2/BAD_FILE", was="what stood before the break was written"),
    log_file("nested too deep", "deep nesting"),
    Row("pairs nested too deep", "nested too deep", "reward pairs", b"[" * 100_000, "2/BAD_FILE"),
    fuzzed("a recipe nested too deep", "nested too deep", "recipe", b"name: " + b"[" * 3000, "2/BAD_FILE",
           was="RecursionError"),
    log_file("nothing in it", "empty file"),
    Row("a recipe of nothing", "nothing in it", "recipe", b"", "2/BAD_SETTINGS"),
    Row("phrases of nothing", "nothing in it", "phrases", b"{}", "2/BAD_FILE"),
    log_file("another shape", "an unknown shape"),
    log_file("another shape", "a JSON number"),
    Row("labelled turns that are pairs", "another shape", "labelled turns", line(PAIR), "2/BAD_FILE"),
    log_file("a wrong value", "unknown speaker"),
    Row("a level of nine", "a wrong value", "labelled turns", line({**TURN, "level": 9}), "2/BAD_FILE"),
    Row("a label in lower case", "a wrong value", "labelled turns", line({**TURN, "label": "sat"}), "2/BAD_FILE"),
    log_file("a wrong type", "turn that is a number"),
    fuzzed("a preference that is a word", "a wrong type", "reward pairs", line({**PAIR, "pref": "x"}), "2/BAD_FILE",
           was="TypeError"),
    fuzzed("pairs whose messages are numbers", "a wrong type", "reward pairs", line({**PAIR, "messages": [-1.0]}),
           "2/BAD_FILE", was="TypeError"),
    fuzzed("a message without its text", "half a message", "reward pairs",
           line({**PAIR, "messages": [{"role": "user", "\ufeff": "How do I boil an egg?"}]}), "2/BAD_FILE",
           was="KeyError"),
    fuzzed("a message of half a person", "half a message", "reward pairs",
           line({**PAIR, "messages": [{"role": 0.5}]}), "2/BAD_FILE", was="AttributeError"),
    Row("a trace that nobody answered", "another's export", "import", line({**SAMPLES["langfuse"], "output": None}),
        "2/BAD_FILE"),
    Row("a generation with a million brackets", "another's export", "import",
        line({"traceId": "t", "type": "GENERATION", "input": "[" * 1_000_000, "output": {"a": {}}}), "2/BAD_FILE"),
    Row("a score that is no number", "another's export", "import",
        b'{"id": "s", "traceId": "t", "name": "n", "value": NaN, "source": "API", "dataType": "NUMERIC"}\n',
        "2/BAD_FILE"),
    Row("a misspelt builder list", "an unknown key", "recipe", b"name: x\nbuilder: [edits]\n", "2/BAD_SETTINGS"),
    Row("a misspelt port", "an unknown key", "settings of feedback", b"server: {prot: 7}\n", "2/BAD_SETTINGS"),
    Row("a misspelt margin", "an unknown key", "rollout plan", b"margins: 0.1\n", "2/BAD_SETTINGS"),
    Row("a port of a million", "a value out of range", "settings of reward", b"server: {port: 1000000}\n",
        "2/BAD_SETTINGS"),
    Row("steps that fall", "a value out of range", "rollout plan",
        json.dumps({"steps": [{"weight": 0.5}, {"weight": 0.1}]}).encode(), "2/BAD_SETTINGS"),
    Row("a veto twice", "a value out of range", "rollout plan",
        json.dumps({**PLAN, "vetoes": [{"name": "failures"}] * 2}).encode(), "2/BAD_SETTINGS"),
    Row("a recipe that runs a program", "a file that acts", "recipe",
        b"name: !!python/object/apply:os.system ['touch /tmp/hostile']\n", "2/BAD_FILE"),
    Row("settings that run a program", "a file that acts", "settings of ledger",
        b"server: !!python/object/apply:os.system ['touch /tmp/hostile']\n", "2/BAD_FILE"),
    Row("a billion laughs", "a bomb", "recipe",
        b"a: &a [x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [" % (n + 1, n + 1) + b",".join([b"*%c" % n] * 8) + b"]\n" for n in range(97, 108)
        ), "2/BAD_FILE"),
    Row("an unknown builder", "an unknown row", "recipe", b"name: x\nbuilders: [magic]\n", "2/UNKNOWN_ROW"),
    Row("a parameter nobody takes", "an unknown row", "recipe", b"name: x\nbuilders: [{row: edits, params: {x: 1}}]\n",
        "2/BAD_SETTINGS"),
    fuzzed("steps that are a number", "a plan's list that is none", "rollout plan", b"steps: 1\n", "2/BAD_SETTINGS",
           was="TypeError"),
    fuzzed("a step that is a number", "a plan's list that is none", "rollout plan", b"steps: [1000]\n",
           "2/BAD_SETTINGS", was="TypeError"),
    fuzzed("a veto that is a number", "a plan's list that is none", "rollout plan", b"vetoes: [1.0]\n",
           "2/BAD_SETTINGS", was="TypeError"),
    fuzzed("a day that no month has", "YAML that cannot be made", "settings of feedback", b"server: 2024-99-99\n",
           "2/BAD_FILE", was="ValueError"),
    fuzzed("a time that is none", "YAML that cannot be made", "principals", b"- !!timestamp x\n", "2/BAD_FILE",
           was="AttributeError"),
    fuzzed("a number that is none", "YAML that cannot be made", "rollout plan", b"margin: !!int x\n", "2/BAD_FILE",
           was="ValueError"),
    fuzzed("settings that hold themselves", "a file without end", "settings of ledger", b"&a {server: *a}\n",
           "2/BAD_FILE", was="RecursionError"),
    fuzzed("a recipe that holds itself", "a file without end", "recipe",
           b"name: x\nbuilders: [edits]\ntrain: {settings: &a {k: *a}}\n", "2/BAD_FILE", was="RecursionError"),
    Row("a plan of a bomb", "a file without end", "rollout plan",
        b"rollout:\n  a0: &a0 [x,x]\n" + b"".join(b"  a%d: &a%d [*a%d,*a%d]\n" % (n, n, n - 1, n - 1)
        for n in range(1, 40)), "2/BAD_FILE"),
    fuzzed("builders that are a number", "rows that are none", "recipe", b"name: x\nbuilders: 1.0\n",
           "2/BAD_SETTINGS", was="TypeError"),
    fuzzed("a builder that is a list", "rows that are none", "recipe", b"name: x\nbuilders: [{row: []}]\n",
           "2/BAD_SETTINGS", was="TypeError"),
    fuzzed("a builder from nowhere", "rows that are none", "recipe", b"name: x\nbuilders: ['nowhere.at_all:ROW']\n",
           "2/BAD_SETTINGS", was="ModuleNotFoundError"),
    fuzzed("measures that are a number", "a recipe of other types", "recipe",
           b"name: x\nbuilders: [edits]\ngate: {measures: 120}\n", "2/BAD_SETTINGS", was="TypeError"),
    fuzzed("parameters that are text", "a recipe of other types", "recipe",
           b"name: x\nbuilders: [{row: edits, params: text}]\n", "2/BAD_SETTINGS", was="ValueError"),
    fuzzed("a setting that no JSON can say", "a recipe of other types", "recipe",
           b"name: x\nbuilders: [edits]\ntrain: {settings: {lr: .nan}}\n", "2/BAD_SETTINGS", was="ValueError"),
    fuzzed("roles within a list", "roles that are none", "principals", b"- {principal: a, token: t, roles: [[x]]}\n",
           "2/BAD_SETTINGS", was="TypeError"),
    fuzzed("roles that are a number", "roles that are none", "principals",
           b"- {principal: a, token: t, roles: -1.0e+308}\n", "2/BAD_SETTINGS", was="TypeError"),
    fuzzed("tenants that are no number even", "roles that are none", "principals",
           b"- {principal: a, token: t, roles: [app], tenants: .nan}\n", "2/BAD_SETTINGS", was="TypeError"),
    Row("a role nobody has", "who calls", "principals", b"- {principal: a, token: t, roles: [root]}\n",
        "2/BAD_SETTINGS"),
    Row("two ways to be known", "who calls", "principals", b"- {principal: a, token: t, peer: p, roles: [app]}\n",
        "2/BAD_SETTINGS"),
    Row("a list of nobody", "who calls", "principals", b"[]", "2/BAD_SETTINGS"),
)  # fmt: skip

PATHS = (
    Row("pairs into a folder that nobody can make", "an output that cannot be", "export", b"/proc/nope/x.jsonl",
        "2/BAD_FILE", was="FileNotFoundError"),
    Row("figures below a file", "an output that cannot be", "demo figures", b"{file}/x.json", "2/BAD_FILE",
        was="NotADirectoryError, when the demonstration was over"),
    Row("a page below a file", "an output that cannot be", "demo report", b"{file}/x.html", "2/BAD_FILE",
        was="NotADirectoryError, when the demonstration was over"),
    Row("logs into a folder that nobody can make", "a data folder that cannot be", "import to", b"/proc/nope/y",
        "2/BAD_FILE", was="FileNotFoundError"),
    Row("a demonstration in a folder that nobody can make", "a data folder that cannot be", "demo in",
        b"/proc/nope/x", "2/BAD_FILE", was="FileNotFoundError"),
    Row("a demonstration below a file", "a data folder that cannot be", "demo in", b"{file}/x", "2/BAD_FILE",
        was="NotADirectoryError"),
    Row("a model exported below a file", "a model's folder that cannot be", "model to", b"{file}/x", "2/BAD_FILE"),
    Row("a database that is a folder", "a data folder that is none", "satisfaction of", b"{folder}",
        "2/LOG_UNAVAILABLE"),
)  # fmt: skip

ROWS = REQUESTS + FILES + PATHS
