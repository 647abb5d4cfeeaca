"""The shipped head in bfloat16: made by the command that a user runs, served by the process, beside fp32."""

from __future__ import annotations

import json

import pytest
from rejoinder.cli.main import main
from rejoinder.clients import AsyncRewardClient
from rejoinder.core.types import Message, Role
from rejoinder.reward.__main__ import build
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.backends.openvino import library
from rejoinder.runtime.batching.textmodel import ModelSettings
from rejoinder.runtime.settings import ServerSettings

from tests.patient import Patient
from tests.system.serving import served

pytestmark = pytest.mark.system

ASKED = [Message(Role.USER, "How do I boil an egg?")]
ANSWERS = [
    "Put the egg in boiling water for about seven minutes, then cool it under cold water and peel it.",
    "I don't know.",
    "Eggs are laid by hens.",
]


async def scores(folder):
    settings = RewardSettings(server=ServerSettings(grace_s=5.0), model=ModelSettings(folder=folder))
    async with (
        served("reward", settings, build) as at,
        AsyncRewardClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        return await client.score(ASKED, ANSWERS)


async def test_the_head_in_bf16_is_served_by_its_folders_name_and_scores_as_fp32_does(models, tmp_path, capsys):
    texts = tmp_path / "texts.jsonl"
    said = {"messages": [{"role": "user", "text": ASKED[0].content}], "a": ANSWERS[0], "b": ANSWERS[1]}
    texts.write_text((json.dumps(said) + "\n") * 8)
    given = ["--model", models / "bt-v1", "--out", tmp_path / "out", "--texts", texts, "--threads", 2, "--seconds", 0.1]
    with pytest.raises(SystemExit) as ended:
        main(["compile", *map(str, given), "--precision", "bf16", "--json"])
    if "BF16" not in library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert ended.value.code == 2
        assert "this processor does not compute" in capsys.readouterr().err
        return
    assert ended.value.code == 0
    (made,) = json.loads(capsys.readouterr().out)["variants"]
    assert made["same_model"]
    fp32, bf16 = await scores(models / "bt-v1"), await scores(tmp_path / "out" / "bf16")
    assert bf16.digest == made["digest"] != fp32.digest
    assert list(bf16.scores) == pytest.approx(list(fp32.scores), abs=0.02)
    # What is served computes in fewer bits: the very same numbers would be fp32's.
    assert list(bf16.scores) != list(fp32.scores)
