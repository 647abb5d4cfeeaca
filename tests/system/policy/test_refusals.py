"""Every request that may not be served is refused with its own status and reason, and leaves no interaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from rejoinder.clients.errors import error_of
from rejoinder.v1 import common_pb2, policy_pb2

from tests.chaos.harness import wait_until
from tests.system.policy.world import World, asking

pytestmark = pytest.mark.system

_SERVICE = "/rejoinder.v1.PolicyService"
USER = common_pb2.Message(role="ROLE_USER", content="list three rivers")
PRINCIPALS = """
- {principal: app, token: app-token, roles: [app]}
- {principal: round, token: round-token, roles: [app, internal]}
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "principals.yaml").write_text(PRINCIPALS)
    settings = {
        "SERVER__AUTH__FILE": str(folder / "principals.yaml"),
        "SERVER__MAX_MESSAGE_BYTES": "200000",
        "MODEL__MAX_PROMPT_BYTES": "2000",
        "MODEL__MAX_TOKENS": "64",
    }
    made = World(folder, settings)
    try:
        yield made.start()
    finally:
        made.close()


@dataclass(frozen=True)
class Case:
    what: str
    request: object
    status: str
    reason: str
    method: str = "Generate"
    token: str = "round-token"


def generate(**fields: object) -> policy_pb2.GenerateRequest:
    return policy_pb2.GenerateRequest(**{"messages": [USER], "interaction_id": "refused", **fields})


def sampled(**fields: object) -> policy_pb2.GenerateRequest:
    return generate(sampling=common_pb2.Sampling(**fields))


def said(role: str, content: str) -> common_pb2.Message:
    return common_pb2.Message(role=f"ROLE_{role}", content=content)


def sample(**fields: object) -> policy_pb2.SampleRequest:
    return policy_pb2.SampleRequest(**{"messages": [USER], "n": 1, **fields})


def likelihood(**fields: object) -> policy_pb2.LikelihoodRequest:
    return policy_pb2.LikelihoodRequest(**{"messages": [USER], "continuations": ["yes"], **fields})


INVALID = "INVALID_ARGUMENT"
CASES = (
    Case("bytes that are no request", b"\xff\xff\xff", INVALID, "BAD_ENCODING"),
    Case("a request beyond the limit", generate(messages=[said("USER", "x" * 250_000)]), INVALID, "TOO_LONG"),
    Case("a conversation beyond the limit", generate(messages=[said("USER", "x" * 2001)]), INVALID, "TOO_LONG"),
    Case("more tokens than the model holds", generate(messages=[said("USER", "z q " * 480)]), INVALID, "TOO_LONG"),
    Case("no message", generate(messages=[]), INVALID, "EMPTY_FIELD"),
    Case("an empty turn", generate(messages=[said("USER", " \n")]), INVALID, "EMPTY_FIELD"),
    Case("an empty turn before", generate(messages=[said("USER", ""), USER]), INVALID, "EMPTY_FIELD"),
    Case("the answer's turn last", generate(messages=[USER, said("ASSISTANT", "no")]), INVALID, INVALID),
    Case("a message of nobody", generate(messages=[said("UNSPECIFIED", "x"), USER]), INVALID, INVALID),
    Case("a role of a later release", generate(messages=[{"role": 99, "content": "x"}, USER]), INVALID, "UNKNOWN_ENUM"),
    Case("a temperature below nought", sampled(temperature=-0.1), INVALID, INVALID),
    Case("a temperature that is no number", sampled(temperature=float("nan")), INVALID, INVALID),
    Case("a nucleus above one", sampled(top_p=1.1), INVALID, INVALID),
    Case("too many tokens", sampled(max_tokens=65), INVALID, "TOO_LONG"),
    Case("a stop sequence of nothing", sampled(stop=[""]), INVALID, "EMPTY_FIELD"),
    Case("an id that is too long", generate(user_id="u" * 257), INVALID, "TOO_LONG"),
    Case("an id with a control character", generate(conversation_id="a\x00b"), INVALID, "BAD_ENCODING"),
    Case("a turn below nought", generate(turn=-1), INVALID, INVALID),
    Case("a propensity above one", generate(served={"propensity": 1.5}), INVALID, INVALID),
    Case("another policy", generate(policy="other"), "NOT_FOUND", "NOT_FOUND"),
    Case("a version that is not there", generate(served={"version": "assist-r9999"}), "NOT_FOUND", "NOT_FOUND"),
    Case("a version that is a path", sample(version="../../x"), "NOT_FOUND", "NOT_FOUND", "Sample"),
    Case("no sample", sample(n=0), INVALID, INVALID, "Sample"),
    Case("too many samples", sample(n=65), INVALID, INVALID, "Sample"),
    Case("no continuation", likelihood(continuations=[]), INVALID, "EMPTY_FIELD", "Likelihood"),
    Case("too many continuations", likelihood(continuations=["x"] * 257), INVALID, INVALID, "Likelihood"),
    Case("a continuation too long", likelihood(continuations=["z q " * 500]), INVALID, "TOO_LONG", "Likelihood"),
    Case("arms of another policy", policy_pb2.ListArmsRequest(policy="other"), "NOT_FOUND", "NOT_FOUND", "ListArms"),
    Case("nobody", generate(), "UNAUTHENTICATED", "UNAUTHENTICATED", token=""),
    Case("somebody else", generate(), "UNAUTHENTICATED", "UNAUTHENTICATED", token="guessed"),
    Case("another tenant", generate(tenant="acme"), "PERMISSION_DENIED", "FOREIGN_TENANT"),
    Case("an application that forces", generate(served={}), "PERMISSION_DENIED", "ROLE_MISSING", token="app-token"),
    Case("an application unlogged", generate(unlogged=True), "PERMISSION_DENIED", "ROLE_MISSING", token="app-token"),
    Case("an application that samples", sample(), "PERMISSION_DENIED", "ROLE_MISSING", "Sample", token="app-token"),
)
STREAMS = {"Generate"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_bad_request_is_refused_with_its_reason(guarded: World, case: Case) -> None:
    raw = case.request if isinstance(case.request, bytes) else case.request.SerializeToString()
    metadata = [("authorization", f"Bearer {case.token}")] if case.token else []
    assert guarded.policy is not None
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{guarded.policy.port}", options) as channel:
        kind = channel.unary_stream if case.method in STREAMS else channel.unary_unary
        method = kind(f"{_SERVICE}/{case.method}")
        with pytest.raises(grpc.RpcError) as raised:
            # A stream's error comes with its first message.
            list(method(raw, timeout=30.0, metadata=metadata))
    error = error_of(raised.value)
    assert (error.status, error.reason) == (case.status, case.reason)
    assert "rivers" not in str(error)


def test_what_was_refused_left_nothing_in_the_log_and_what_is_sound_is_served(guarded: World) -> None:
    """The control: the same process answers a sound request, and its interaction is the only one."""
    client = guarded.client(token="app-token")
    guarded.ask(asking(interaction_id="sound"), client)
    wait_until(lambda: any(i.interaction_id == "sound" for i in guarded.interactions()), "the interaction")
    assert [i.interaction_id for i in guarded.interactions()] == ["sound"]
