"""The official OpenAI client and a chat application that knows nothing of us, before either upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from rejoinder.core.ids import answer_digest
from rejoinder.core.types import ArmKind, AttemptStatus, FollowUp, Interaction, Role

from tests.chaos.harness import wait_until
from tests.system.gateway.world import World, gateway
from tests.system.policy.world import World as PolicyWorld

pytestmark = pytest.mark.system

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


class Application:
    """A chat application as they are written: streams, keeps its history, calls tools. It has no word of ours."""

    def __init__(self, client: openai.OpenAI, **options: Any) -> None:
        self._client = client
        self._options = options
        self.history: list[Any] = []
        self.usage: Any = None

    def say(self, text: str, tools: list[Any] | None = None) -> str:
        self.history.append({"role": "user", "content": text})
        options = {**self._options, **({"tools": tools} if tools else {})}
        text, calls = self._turn(options)
        while calls:
            self.history.append({"role": "assistant", "content": text or None, "tool_calls": calls})
            for call in calls:
                city = json.loads(call["function"]["arguments"])["city"]
                self.history.append({"role": "tool", "tool_call_id": call["id"], "content": f"sun over {city}"})
            text, calls = self._turn(options)
        self.history.append({"role": "assistant", "content": text})
        return text

    def _turn(self, options: dict[str, Any]) -> tuple[str, list[Any]]:
        stream = self._client.chat.completions.create(
            model="gpt-4o",
            messages=self.history,
            stream=True,
            stream_options={"include_usage": True},
            user="ann",
            **options,
        )
        text, calls, finished = "", {}, ""
        for chunk in stream:
            if chunk.usage is not None:
                self.usage = chunk.usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finished = choice.finish_reason or finished
                for call in choice.delta.tool_calls or []:
                    kept = calls.setdefault(call.index, {"id": "", "type": "function", "function": {}})
                    kept["id"] = call.id or kept["id"]
                    for name in ("name", "arguments"):
                        part = getattr(call.function, name) or ""
                        kept["function"][name] = kept["function"].get(name, "") + part
        assert finished in ("stop", "length", "tool_calls")
        return text, [calls[index] for index in sorted(calls)]


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[openai.OpenAI]:
    # The application's own names go on: an alias stands for the model.
    with openai.OpenAI(api_key="unused", base_url=world.url, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PolicyWorld, openai.OpenAI]]:
    """The gateway before our own policy, a tiny one."""
    folder = tmp_path_factory.mktemp("policy")
    made, process = PolicyWorld(folder, {"ENGINE__TEXT_EVERY_S": "0"}), None
    try:
        made.start()
        assert made.policy is not None
        named = {"UPSTREAM__POLICY__ADDRESS": f"127.0.0.1:{made.policy.port}", "UPSTREAM__ALIASES": '["gpt-4o"]'}
        process, url = gateway(folder, made.feedback.port, named)
        process.start()
        with openai.OpenAI(api_key="unused", base_url=url, max_retries=0) as client:
            yield made, client
    finally:
        if process is not None:
            process.close()
        made.close()


def test_an_application_chats_and_calls_tools_before_an_openai_server(world: World, client: openai.OpenAI) -> None:
    application = Application(client)
    assert application.say("what is the weather in Bern?", TOOLS) == "assist-base: sun over Bern"
    assert application.say("thanks") == "assist-base: thanks"
    assert application.usage.total_tokens == 8

    def recorded() -> list[Interaction]:
        return [interaction for interaction in world.interactions() if interaction.user_id == "ann"]

    wait_until(lambda: len(recorded()) == 3, "the three answers in the log")
    called, told, thanked = sorted(recorded(), key=lambda i: i.occurred_at or 0)
    assert called.response == '{"tool_calls":[{"arguments":"{\\"city\\": \\"Bern\\"}","name":"weather"}]}'
    assert [m.role for m in told.messages] == [Role.USER, Role.ASSISTANT, Role.TOOL]
    # What a follow-up is matched by: the answer as it was recorded and as the history has it.
    assert answer_digest(told.messages[1].content) == answer_digest(called.response)
    assert answer_digest(thanked.messages[-2].content) == answer_digest(told.response)
    wait_until(lambda: [f for f in world.feedbacks() if f.user_id == "ann"] != [], "what ann said to it")
    (said,) = [f for f in world.feedbacks() if f.user_id == "ann"]
    assert (said.kind, said.answer_digest) == (FollowUp("thanks"), answer_digest(told.response))
    assert (thanked.prompt_tokens, thanked.completion_tokens) == (5, 3)


def test_an_answer_that_comes_whole_says_its_ids_and_is_in_the_log(world: World, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="assist",
        messages=[{"role": "user", "content": "hello"}],
        extra_headers={"x-rejoinder-user": "bob", "x-rejoinder-conversation": "c-1"},
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "assist-base: hello"
    extra = answer.model_extra["rejoinder"]
    assert raw.headers["x-rejoinder-interaction"] == extra["interaction_id"]
    assert raw.headers["x-rejoinder-attempt"] == extra["attempt_id"] == answer._request_id
    wait_until(lambda: any(i.attempt_id == extra["attempt_id"] for i in world.interactions()), "its record")
    (kept,) = [i for i in world.interactions() if i.attempt_id == extra["attempt_id"]]
    assert (kept.user_id, kept.conversation_id, kept.status) == ("bob", "c-1", AttemptStatus.COMPLETED)
    assert (kept.served.version, kept.served.arm, kept.served.propensity) == ("assist-base", ArmKind.STABLE, 1.0)
    assert (kept.response, kept.source) == ("assist-base: hello", "front")


def test_two_choices_are_two_attempts_of_one_interaction(world: World, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="assist", messages=[{"role": "user", "content": "twice"}], n=2)
    attempts = answer.model_extra["rejoinder"]["attempt_ids"]
    assert len(set(attempts)) == len(answer.choices) == 2
    wait_until(lambda: {i.attempt_id for i in world.interactions()} >= set(attempts), "both records")
    assert len({i.interaction_id for i in world.interactions() if i.attempt_id in attempts}) == 1


def test_the_servers_own_refusals_reach_the_application_as_they_are(client: openai.OpenAI) -> None:
    def ask(text: str) -> None:
        client.chat.completions.create(model="assist", messages=[{"role": "user", "content": text}])

    with pytest.raises(openai.BadRequestError) as refused:
        ask("refuse")
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.RateLimitError) as busy:
        ask("busy")
    assert busy.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.InternalServerError) as broken:
        ask("break")
    assert broken.value.code == "internal"
    # Our own credentials are no matter of the application's.
    with pytest.raises(openai.InternalServerError) as ours:
        ask("unauthorised")
    assert (ours.value.status_code, ours.value.code) == (502, "bad_gateway")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no-such", messages=[{"role": "user", "content": "x"}])


def test_a_stream_that_the_server_breaks_off_is_an_error_and_a_failed_attempt(
    world: World, client: openai.OpenAI
) -> None:
    stream = client.chat.completions.create(model="assist", messages=[{"role": "user", "content": "cut"}], stream=True)
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass
    wait_until(lambda: any(i.messages[-1].content == "cut" for i in world.interactions()), "the failed attempt")
    (kept,) = [i for i in world.interactions() if i.messages[-1].content == "cut"]
    assert (kept.status, kept.response, kept.failure_reason) == (
        AttemptStatus.FAILED,
        "assist-base: cut",
        "UNAVAILABLE",
    )


def test_a_caller_that_leaves_ends_the_servers_work(world: World, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="assist", messages=[{"role": "user", "content": "wait"}], stream=True)
    next(iter(stream))
    assert world.upstream.waits.wait(20)
    stream.close()
    assert world.upstream.left.wait(20), "the server still works for nobody"
    wait_until(lambda: any(i.messages[-1].content == "wait" for i in world.interactions()), "the cancelled attempt")
    (kept,) = [i for i in world.interactions() if i.messages[-1].content == "wait"]
    assert (kept.status, kept.response) == (AttemptStatus.CANCELLED, "assist-base: wait")


def test_a_reader_that_is_slow_slows_the_server_down(world: World, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="assist", messages=[{"role": "user", "content": "flood"}], stream=True
    )
    next(iter(stream))

    def sent() -> int:
        return world.upstream.asked[-1].get("sent", 0)

    seen: list[int] = []

    def settled() -> bool:
        seen.append(sent())
        return len(seen) > 50 and len(set(seen[-50:])) == 1

    wait_until(settled, "a server that waits for its reader")
    assert sent() < 64 * 1024 * 1024
    stream.close()


def test_a_canary_is_another_model_of_the_server_once_it_is_there(world: World, client: openai.OpenAI) -> None:
    world.upstream.models = ["assist-base", "other"]
    world.begin_canary(1.0)
    wait_until(lambda: world.arms.arms().generation == 1, "the table")
    assert world.arms.arms().canary_refused == ""

    def served() -> Any:
        answer = client.chat.completions.with_raw_response.create(
            model="assist", messages=[{"role": "user", "content": "who?"}], user="carol"
        )
        return answer.headers["x-rejoinder-version"]

    assert served() == "assist-base", "the adapter is not loaded yet: stable, said as forced"
    world.upstream.models.append("assist-r0001")
    wait_until(lambda: any(v.version == "assist-r0001" and v.ready for v in world.arms.arms().versions), "the adapter")
    assert served() == "assist-r0001"
    # Whoever names a version would choose an arm; without credentials everybody here is internal, so that one may.
    wait_until(lambda: [i for i in world.interactions() if i.user_id == "carol"][1:] != [], "both records")
    first, second = sorted((i for i in world.interactions() if i.user_id == "carol"), key=lambda i: i.occurred_at or 0)
    assert (first.served.arm, first.served.forced) == (ArmKind.STABLE, True)
    assert (second.served.arm, second.served.propensity, second.served.digest) == (ArmKind.CANARY, 1.0, "c" * 64)
    counted = {(count.arm, count.weight): count.units for count in world.arms.arms().assignments}
    assert not counted, "a weight of 1 is no draw"


def test_an_application_chats_before_our_own_policy(policy: tuple[PolicyWorld, openai.OpenAI]) -> None:
    world, client = policy
    application = Application(client, max_completion_tokens=16, temperature=0.8, seed=7)
    first = application.say("list three rivers")
    application.say("and three lakes")
    again = Application(client, max_completion_tokens=16, temperature=0.8, seed=7)
    assert again.say("list three rivers") == first, "a seed repeats an answer"
    assert application.usage.completion_tokens <= 16
    wait_until(lambda: len(world.interactions()) == 3, "the three answers in the log")
    assert {i.user_id for i in world.interactions()} == {"ann"}
    assert {i.status for i in world.interactions()} == {AttemptStatus.COMPLETED}
    wait_until(lambda: world.feedbacks() != [], "what ann said next")
    (said,) = world.feedbacks()
    assert (said.kind, said.answer_digest) == (FollowUp("and three lakes"), answer_digest(first))
    assert {said.principal} == {i.principal for i in world.interactions()}


def test_our_policys_answer_comes_whole_with_choices_and_usage(policy: tuple[PolicyWorld, openai.OpenAI]) -> None:
    world, client = policy
    answer = client.chat.completions.create(
        model="assist", messages=[{"role": "user", "content": "a river"}], n=3, max_tokens=8, stop=["zzz"]
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    attempts = answer.model_extra["rejoinder"]["attempt_ids"]
    wait_until(lambda: {i.attempt_id for i in world.interactions()} >= set(attempts), "their records")
    assert (answer.model, answer.system_fingerprint) == (world.base.version, f"fp_{world.base.digest[:16]}")


def test_our_policy_refuses_what_it_cannot_meet(policy: tuple[PolicyWorld, openai.OpenAI]) -> None:
    _, client = policy
    said: Any = {"model": "assist", "messages": [{"role": "user", "content": "x"}]}
    for extra, code in (
        ({"tools": TOOLS}, "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "unsupported_parameter"),
        ({"logprobs": True}, "unsupported_parameter"),
        ({"extra_body": {"guided_json": "{}"}}, "unknown_parameter"),
        ({"temperature": 2.5}, "decimal_above_max_value"),
        ({"max_tokens": 100_000}, "too_long"),
        ({"n": 99}, "integer_out_of_range"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(**said, **extra)
        assert refused.value.code == code, extra
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(**{**said, "model": "assist-r0001"})
    assert unknown.value.code == "model_not_found"


def test_models_are_listed_and_looked_up(
    world: World, client: openai.OpenAI, policy: tuple[PolicyWorld, openai.OpenAI]
) -> None:
    assert {model.id for model in client.models.list()} == {"assist", "gpt-4o", "other"}
    assert client.models.retrieve("other").id == "other"
    assert [model.id for model in policy[1].models.list()] == ["assist", "gpt-4o"]
    with pytest.raises(openai.NotFoundError):
        policy[1].models.retrieve("other")
