"""rounds/gate: both versions answer the same prompts with the same seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rejoinder.core.types import Message, Sampling
from rejoinder.evaluate.measures.inputs import GateInputs
from rejoinder.rounds.gate import Asked, answered, likelihoods, measured
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


def test_without_a_sampler_or_pairs_nothing_is_invented(tmp_path: Path) -> None:
    assert answered(asked(tmp_path, 3), Gate(), None, None) == []
    assert likelihoods(asked(tmp_path, 0), None, tmp_path, lambda arguments: {}) == ([], [])


def test_an_unmeasured_veto_keeps_the_gate_shut(tmp_path: Path) -> None:
    report = measured(GateInputs(), Gate(measures=(Chosen("length"), Chosen("pair_accuracy"))), 0)
    assert not report["passed"]
    assert report["reasons"] == ["length:unmeasured"]
