"""training/embedded/build: the base that is carried is the one that the present code would make, and strong enough."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from rejoinder.training.embedded import base, build, facts
from rejoinder.training.embedded.probe import Expression
from safetensors.torch import load_file
from transformers import Qwen2ForCausalLM

CARRIED_MB = 20
FILES = {
    "README.md",
    "build.json",
    "chat_template.jinja",
    "config.json",
    "facts.json",
    "generation_config.json",
    "model.safetensors",
    "probe.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


def note(folder: Path) -> dict[str, object]:
    return json.loads((folder / "build.json").read_text(encoding="utf-8"))


def probed() -> Expression:
    return Expression(**json.loads((build.CARRIED / "probe.json").read_text(encoding="utf-8")))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_carried_base_is_of_the_present_code_parameters_and_seed() -> None:
    """Stale, it would be what nobody can make any more. After a change to the sources: build --train, then pack."""
    assert note(build.CARRIED)["digest"] == build.build_digest(base.BaseParams(), 0)
    assert note(build.CARRIED)["params"] == asdict(base.BaseParams())
    assert build.built(build.CARRIED, build.build_digest(base.BaseParams(), 0))


@pytest.mark.parametrize("field", [f.name for f in fields(base.BaseParams)])
def test_whatever_parameter_changes_makes_it_another_base(field: str) -> None:
    """Control of the one above."""
    plain = base.BaseParams()
    other = replace(plain, **{field: getattr(plain, field) + 1})
    assert build.build_digest(other, 0) != build.build_digest(plain, 0)
    assert not build.built(build.CARRIED, build.build_digest(other, 0))


def test_another_seed_makes_it_another_base() -> None:
    assert build.build_digest(base.BaseParams(), 1) != build.build_digest(base.BaseParams(), 0)


def test_what_is_carried_is_at_most_20_mb_and_whole() -> None:
    files = {path.name: path.stat().st_size for path in build.CARRIED.iterdir()}
    assert set(files) == FILES
    assert sum(files.values()) <= CARRIED_MB * 1024 * 1024


def test_the_carried_base_follows_wishes_knows_facts_and_has_every_style() -> None:
    """Evidence: wishes >= 80 %, facts >= 95 %, each style of each kind unasked >= 3 %."""
    seen = probed()
    assert seen.meets()
    assert min(seen.followed_system, seen.followed_turn) >= 0.80
    assert seen.right >= 0.95
    assert seen.rarest == min(share for kind in seen.styles.values() for share in kind.values()) >= 0.03
    assert {kind: len(styles) for kind, styles in seen.styles.items()} == dict.fromkeys(facts.KINDS, 8)


@pytest.mark.parametrize(
    "worse", [{"followed_system": 0.79}, {"followed_turn": 0.79}, {"right": 0.94}, {"rarest": 0.029}]
)
def test_a_weaker_base_does_not_meet_the_demands(worse: dict[str, float]) -> None:
    """Control: each demand alone refuses it."""
    assert not replace(probed(), **worse).meets()


def test_the_carried_facts_are_the_ones_that_its_corpus_was_written_from() -> None:
    assert (build.CARRIED / "facts.json").read_bytes() == facts.FACTS.read_bytes()


def test_the_card_says_what_was_measured() -> None:
    made = build.card(note(build.CARRIED), probed())
    assert (build.CARRIED / "README.md").read_text(encoding="utf-8") == made
    assert f"{probed().right:.1%}" in made


def test_the_carried_base_is_provided_without_training_and_once(tmp_path: Path) -> None:
    out = tmp_path / "base"
    assert build.provide(out, 0, base.BaseParams()) == note(build.CARRIED)
    assert build.built(out, str(note(build.CARRIED)["digest"]))
    assert {path.name for path in out.iterdir()} == FILES
    (out / "left.txt").write_text("kept")
    build.provide(out, 0, base.BaseParams())
    assert (out / "left.txt").exists(), "what stands there is not made again"


def test_weights_are_carried_in_half_and_used_in_single_precision(tmp_path: Path) -> None:
    build.unpack(build.CARRIED, tmp_path / "base")
    halves, singles = weights(build.CARRIED), weights(tmp_path / "base")
    assert {w.dtype for w in halves.values()} == {torch.float16}
    assert {w.dtype for w in singles.values()} == {torch.float32}
    assert halves.keys() == singles.keys()
    assert all(torch.equal(singles[name], half.float()) for name, half in halves.items())
    model, tokenizer = build.load(tmp_path / "base")
    assert sum(p.numel() for p in model.parameters()) == note(build.CARRIED)["parameters"]
    assert len(tokenizer) == base.BaseParams().vocabulary


def test_packed_and_unpacked_a_base_keeps_its_weights_to_half_precision(tmp_path: Path) -> None:
    """Half has eleven significant bits: a weight moves by at most 2^-11 of itself."""
    built = tmp_path / "built"
    shutil.copytree(build.CARRIED, built)
    _, tokenizer = build.load(build.CARRIED)
    torch.manual_seed(0)
    params = base.BaseParams(hidden=48, inner=96, layers=2, heads=2, kv_heads=1)
    Qwen2ForCausalLM(base.architecture(params, tokenizer)).save_pretrained(built)
    build.pack(built, tmp_path / "packed")
    assert build.unpack(tmp_path / "packed", tmp_path / "again") == note(built)
    before, after = weights(built), weights(tmp_path / "again")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=2**-11, atol=2**-24)
    assert any(not torch.equal(after[name], weight) for name, weight in before.items()), "control: it was halved"
    build.pack(tmp_path / "again", tmp_path / "packed-again")
    packed, twice = weights(tmp_path / "packed"), weights(tmp_path / "packed-again")
    assert all(torch.equal(twice[name], half) for name, half in packed.items()), "a second time loses nothing more"
