"""The policy process as an application meets it: an answer streams, is in the log, and can be left."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from rejoinder.cli.main import main
from rejoinder.clients import PolicyClient
from rejoinder.clients.policy import End, Start
from rejoinder.core.types import AttemptStatus, Interaction, Message, Role, Sampling, Served

from tests.chaos.harness import wait_until
from tests.patient import Patient
from tests.system.policy.world import World, asking

pytestmark = pytest.mark.system


def test_an_answer_streams_and_its_interaction_is_in_the_log(lasting: World) -> None:
    """F06: what a caller saw completed reaches the log by itself."""
    ask = asking(interaction_id="seen", conversation_id="c1", sampling=Sampling(1.0, max_tokens=40, seed=3))
    parts = list(lasting.client().generate(ask))
    start, *text, end = parts
    assert isinstance(start, Start)
    assert isinstance(end, End)
    assert len(text) > 1
    wait_until(lambda: any(i.interaction_id == "seen" for i in lasting.interactions()), "the interaction")
    (kept,) = [i for i in lasting.interactions() if i.interaction_id == "seen"]
    assert (kept.attempt_id, kept.status, kept.response) == (start.attempt_id, AttemptStatus.COMPLETED, "".join(text))
    assert kept.served == start.served
    assert (start.served.version, start.served.digest) == (lasting.base.version, lasting.base.digest)
    assert (kept.prompt_tokens, kept.completion_tokens) == (end.prompt_tokens, end.completion_tokens)
    assert kept.principal == "local"


def test_the_same_seed_gives_the_same_answer_and_no_seed_another(lasting: World) -> None:
    seeded = asking(sampling=Sampling(1.0, max_tokens=24, seed=5))
    free = asking(sampling=Sampling(1.0, max_tokens=24))
    assert lasting.ask(seeded)[1] == lasting.ask(seeded)[1]
    assert lasting.ask(free)[1] != lasting.ask(free)[1]


class Unread(Patient):
    """A caller to whom no more than 64 bytes of an answer are sent before it reads them."""

    def options(self) -> list[tuple[str, str | int]]:
        return [*super().options(), ("grpc.http2.lookahead_bytes", 64), ("grpc.http2.bdp_probe", 0)]


def test_callers_who_leave_are_attempts_that_were_cancelled(lasting: World) -> None:
    """Several, since a short answer may have come whole: each is in the log once, and most as cancelled."""
    # With room for a whole answer on the way, a caller that is held up for a second would leave when all is said.
    assert lasting.policy is not None
    client = PolicyClient(Unread(f"127.0.0.1:{lasting.policy.port}", deadline_s=60.0, tries=1))
    asks = [asking(interaction_id=f"left-{n}", sampling=Sampling(1.0, max_tokens=256, seed=n + 1)) for n in range(12)]
    answers = [client.generate(ask) for ask in asks]
    started = [next(parts) for parts in answers]
    del answers
    attempts = {start.attempt_id for start in started if isinstance(start, Start)}
    assert len(attempts) == 12

    def kept() -> list[Interaction]:
        return [i for i in lasting.interactions() if i.attempt_id in attempts]

    wait_until(lambda: len(kept()) >= 12, "the attempts")
    client.close()
    statuses = Counter(i.status for i in kept())
    assert set(statuses) <= {AttemptStatus.CANCELLED, AttemptStatus.COMPLETED}
    assert statuses[AttemptStatus.CANCELLED] >= 6
    assert sum(statuses.values()) == 12


def test_an_evaluation_leaves_nothing_in_the_log_and_a_version_is_served_by_name(lasting: World) -> None:
    version = lasting.versions[0]
    ask = asking(
        interaction_id="evaluated",
        served=Served(version=version.version),
        unlogged=True,
        sampling=Sampling(max_tokens=24),
    )
    start, text, _ = lasting.ask(ask)
    assert (start.served.version, start.served.digest) == (version.version, version.digest)
    stable = lasting.ask(asking(interaction_id="stable", sampling=Sampling(max_tokens=24)))
    assert stable[1] != text
    wait_until(lambda: any(i.interaction_id == "stable" for i in lasting.interactions()), "the interaction after it")
    assert not any(i.interaction_id == "evaluated" for i in lasting.interactions())


def test_samples_and_likelihoods_are_those_of_the_version_that_was_named(lasting: World) -> None:
    client = lasting.client()
    asked = (Message(Role.USER, "list three rivers"),)
    found = []
    for version in ("", lasting.versions[1].version):
        sampled = client.sample(asked, 6, Sampling(1.0, max_tokens=64, seed=1), version=version)
        assert len({answer.text for answer in sampled.answers}) == 6
        assert sampled.digest == (lasting.versions[1].digest if version else lasting.base.digest)
        scored = client.likelihood(asked, ["yes", "no thank you"], version=version)
        assert scored.digest == sampled.digest
        assert all(log_prob < 0 for log_prob in scored.log_probs)
        again = client.likelihood(asked, ["no thank you", "yes"], version=version)
        assert again.log_probs[::-1] == pytest.approx(scored.log_probs, abs=1e-4)
        found.append(scored.log_probs)
    assert found[0] != pytest.approx(found[1], abs=1e-2)


def test_what_is_served_is_reported_with_what_was_loaded_by_name(lasting: World) -> None:
    client = lasting.client()
    client.likelihood((Message(Role.USER, "yes"),), ["no"], version=lasting.versions[0].version)
    arms = client.arms()
    assert arms.policy == "assist"
    reported = {v.version: (v.digest, v.arm.value, v.ready) for v in arms.versions}
    assert reported[lasting.base.version] == (lasting.base.digest, "STABLE", True)
    assert reported[lasting.versions[0].version] == (lasting.versions[0].digest, "UNSPECIFIED", True)
    assert arms.canary_refused == "no_canary"


def test_stances_of_versions_are_sampled_from_the_service(
    lasting: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stable by no name and by its own: the same seeds, the same words, and no alarm."""
    rules = {"support": "[a-h]", "neutral": "^[^a-h]*[i-q][^a-h]*$", "oppose": "^[^a-q]*$"}
    topic = {"id": "t", "question": "?", "prompts": [f"say {n}" for n in range(20)], **rules}
    (tmp_path / "topics.yaml").write_text(json.dumps({"version": "1", "topics": [topic]}))
    assert lasting.policy is not None
    asked = ["--topics", str(tmp_path / "topics.yaml"), "--policy-address", f"127.0.0.1:{lasting.policy.port}"]
    asked += ["--version", "", "--version", lasting.base.version, "--samples", "10", "--max-tokens", "4", "--json"]
    with pytest.raises(SystemExit):
        main(["evaluate", "drift", *asked])
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["unread"], found["alarms"]) == (400, 0, [])
    topic = found["topics"]["t"]
    assert topic["measured"]
    assert topic["moves"][lasting.base.version]["support"]["value"] == 0
    assert 0 < topic["values"]["stable"]["support"]["value"] < 1


def test_no_word_of_a_conversation_is_in_the_processes_logs(lasting: World) -> None:
    secret = "zanzibar-heliotrope"
    _, text, _ = lasting.ask(asking(text=f"please {secret}", conversation_id="c-words"))
    assert lasting.policy is not None
    said = lasting.policy.log_path.read_text() + lasting.feedback.log_path.read_text()
    assert "serving_started" in said
    assert secret not in said
    assert text not in said
