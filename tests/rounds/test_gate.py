"""rounds/gate: both versions answer the same prompts with the same seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.types import Message, Sampling
from rejoinder.evaluate.measures.inputs import GateInputs
from rejoinder.evaluate.topics import MOST_ANSWERS, Topic, Topics
from rejoinder.rounds.gate import Asked, answered, forget_earlier, guarded, likelihoods, measured, prompts_of
from rejoinder.rounds.pairs.context import Likelihood, Sampled
from rejoinder.rounds.recipe import Chosen, Gate


class FakePolicy:
    """owns: who was asked what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        self.asked.append((version, sampling.seed))
        return [Sampled(f"{version}: {messages[-1].content}", -1.0, 4)]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        raise AssertionError("the gate reads likelihoods from files")


def asked(tmp_path: Path, count: int) -> Asked:
    pairs = tmp_path / "gate.jsonl"
    rows = [{"id": str(i), "group": "g", "prompt": [{"role": "user", "content": f"q{i}"}]} for i in range(count)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Asked(pairs, tmp_path, tmp_path / "base", "one", "two")


def test_both_versions_answer_the_same_prompts_with_the_same_seeds(tmp_path: Path) -> None:
    policy = FakePolicy()
    found = answered(asked(tmp_path, 3), Gate(samples=2), policy, None)
    assert sorted(policy.asked, key=lambda a: a[1]) == [("one", 0), ("two", 0), ("one", 1), ("two", 1)]
    assert [(a.stable, a.candidate) for a in found] == [("one: q0", "two: q0"), ("one: q1", "two: q1")]
    assert found[0].stable_score is None


def test_a_line_ends_at_its_end_alone(tmp_path: Path) -> None:
    """JSON leaves these characters as they are, and pasted text has them."""
    ask = asked(tmp_path, 0)
    row = {"id": "a", "group": "g", "prompt": [{"role": "user", "content": "one\u2028two\x85three"}]}
    ask.pairs.write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    own = with_prompts(tmp_path / "own.jsonl", json.dumps(row, ensure_ascii=False))
    assert [a.stable for a in answered(ask, own, FakePolicy(), None)] == ["one: one\u2028two\x85three"] * 2


def test_without_a_sampler_or_pairs_nothing_is_invented(tmp_path: Path) -> None:
    assert answered(asked(tmp_path, 3), Gate(), None, None) == []
    assert likelihoods(asked(tmp_path, 0), None, tmp_path, lambda arguments: {}) == ([], [])


def test_both_versions_answer_the_topics_and_nobody_does_without_them(tmp_path: Path) -> None:
    policy, topics = FakePolicy(), Topics("1", (Topic("tea", "?", ("a", "b")),), answers=1)
    found = guarded(asked(tmp_path, 0), topics, Gate(), policy)
    assert [(g.prompt, g.stable, g.candidate) for g in found] == [
        ("a", ("one: a",), ("two: a",)),
        ("b", ("one: b",), ("two: b",)),
    ]
    # Both versions get the same seeds, no two prompts share one.
    assert sorted(policy.asked) == [(version, seed) for version in ("one", "two") for seed in (0, MOST_ANSWERS)]
    assert guarded(asked(tmp_path, 0), None, Gate(), policy) == []
    assert guarded(asked(tmp_path, 0), topics, Gate(), None) == []


def test_an_unmeasured_veto_keeps_the_gate_shut(tmp_path: Path) -> None:
    report = measured(GateInputs(), Gate(measures=(Chosen("length"), Chosen("pair_accuracy"))), 0)
    assert not report["passed"]
    assert report["reasons"] == ["length:unmeasured"]


def with_prompts(path: Path, *lines: str) -> Gate:
    path.write_text("".join(line + "\n" for line in lines))
    return Gate(samples=2, prompts=str(path))


def own(name: object, text: str) -> str:
    return json.dumps({"id": name, "prompt": [{"role": "user", "content": text}]})


def test_the_recipes_own_prompts_are_answered_by_both_versions_after_the_users(tmp_path: Path) -> None:
    policy = FakePolicy()
    gate = with_prompts(tmp_path / "probes.jsonl", own("probe-0", "how high"), "", own(7, "how deep"))
    found = answered(asked(tmp_path, 5), gate, policy, None)
    assert [a.prompt_id for a in found] == ["0", "1", "probe-0", "7"]
    assert [(a.stable, a.candidate) for a in found[2:]] == [
        ("one: how high", "two: how high"),
        ("one: how deep", "two: how deep"),
    ]
    assert sorted(policy.asked) == [(version, seed) for version in ("one", "two") for seed in range(4)]
    # One version after the other, so that the policy can batch them.
    assert [version for version, _ in policy.asked] == ["one"] * 4 + ["two"] * 4


def test_each_of_the_recipes_own_prompts_is_a_group_of_its_own(tmp_path: Path) -> None:
    """Intervals are by group: prompts that share nobody must not share one."""
    gate = with_prompts(tmp_path / "probes.jsonl", own("a", "x"), own("b", "y"))
    assert [a.group for a in answered(asked(tmp_path, 2), gate, FakePolicy(), None)] == ["g", "g", "a", "b"]


def test_without_users_prompts_the_recipes_own_are_answered_all_the_same(tmp_path: Path) -> None:
    gate = with_prompts(tmp_path / "probes.jsonl", own("a", "x"))
    assert [a.prompt_id for a in answered(asked(tmp_path, 0), gate, FakePolicy(), None)] == ["a"]
    assert answered(asked(tmp_path, 0), Gate(), FakePolicy(), None) == []


@pytest.mark.parametrize(
    "line",
    [
        "my doctor says",
        '["my doctor says"]',
        '"my doctor says"',
        '{"id": "a"}',
        '{"prompt": [{"role": "user", "content": "my doctor says"}]}',
        '{"id": "a", "prompt": "my doctor says"}',
        '{"id": "a", "prompt": [{"role": "my doctor says", "content": "x"}]}',
        '{"id": "a", "prompt": [{"role": "user"}]}',
    ],
)
def test_a_file_that_holds_no_prompts_is_named_and_not_quoted(line: str, tmp_path: Path) -> None:
    gate = with_prompts(tmp_path / "probes.jsonl", own("fine", "x"), line)
    with pytest.raises(BadFile, match=r"probes\.jsonl") as found:
        prompts_of(gate)
    assert "doctor" not in str(found.value)


def test_a_prompts_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="nowhere"):
        prompts_of(Gate(prompts=str(tmp_path / "nowhere")))


def kept_gate(tmp_path: Path, **changed: object) -> Gate:
    gate = with_prompts(tmp_path / "probes.jsonl", own("probe-0", "how high"), own("probe-1", "how deep"))
    return replace(gate, **{"max_tokens": 96, **changed})


def in_round(tmp_path: Path, number: int, stable: str, candidate: str) -> Asked:
    folder = tmp_path / f"{number:06d}"
    folder.mkdir()
    return replace(asked(folder, 2), stable=stable, candidate=candidate, digests=(f"d-{stable}", f"d-{candidate}"))


def test_what_a_version_answered_in_the_gate_before_is_not_asked_again(tmp_path: Path) -> None:
    answered(in_round(tmp_path, 1, "one", "two"), kept_gate(tmp_path), FakePolicy(), None)
    policy, second = FakePolicy(), in_round(tmp_path, 2, "two", "three")
    found = answered(second, kept_gate(tmp_path), policy, None)
    assert sorted(policy.asked) == [("three", 0), ("three", 1), ("three", 2), ("three", 3), ("two", 0), ("two", 1)]
    assert found == answered(replace(second, digests=None), kept_gate(tmp_path), FakePolicy(), None)
    forget_earlier(second.folder)
    assert {path.parent.name for path in tmp_path.glob("*/answers-*")} == {"000002"}


@pytest.mark.parametrize(
    "changed", [{"temperature": 0.5}, {"max_tokens": 95}, {"max_tokens": 0}, {"samples": 1}], ids=str
)
def test_other_settings_are_asked_anew(tmp_path: Path, changed: dict[str, object]) -> None:
    """samples moves the seeds of the recipe's own prompts."""
    answered(in_round(tmp_path, 1, "one", "two"), kept_gate(tmp_path), FakePolicy(), None)
    policy, gate = FakePolicy(), kept_gate(tmp_path, **changed)
    answered(in_round(tmp_path, 2, "two", "three"), gate, policy, None)
    assert len(policy.asked) == 2 * (gate.samples + 2)


def test_another_versions_other_prompts_or_a_torn_file_are_asked_anew(tmp_path: Path) -> None:
    first = in_round(tmp_path, 1, "one", "two")
    answered(first, kept_gate(tmp_path), FakePolicy(), None)

    def asks(number: int, stable: str, gate: Gate) -> int:
        policy = FakePolicy()
        answered(in_round(tmp_path, number, stable, f"new-{number}"), gate, policy, None)
        return len(policy.asked)

    other = with_prompts(tmp_path / "other.jsonl", own("probe-0", "how high"), own("probe-1", "how wide"))
    assert asks(2, "another", kept_gate(tmp_path)) == 8
    assert asks(3, "two", replace(other, max_tokens=96)) == 8
    for path in first.folder.glob("answers-*"):
        path.write_text(path.read_text()[:-3])
    assert asks(4, "two", kept_gate(tmp_path)) == 8
