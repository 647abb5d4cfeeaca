"""A reward model of one's own by its name on the hub: as transformers scores it, or the start says what to do."""

from __future__ import annotations

import pytest
from rejoinder.clients import AsyncRewardClient
from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.core.types import Message, Role
from rejoinder.reward.__main__ import build
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.batching.textmodel import ModelSettings
from rejoinder.runtime.own import OwnEncoderTheme
from rejoinder.runtime.settings import ServerSettings

from tests.patient import Patient
from tests.system.own import OwnModels
from tests.system.serving import served

pytestmark = pytest.mark.system

ASKED = [
    Message(Role.USER, "Why is the sky blue?"),
    Message(Role.ASSISTANT, "Light scatters in the air."),
    Message(Role.USER, "What about an egg?"),
]
ANSWERS = ("Seven minutes in boiling water.", "No.", "list three rivers in france " * 2)


@pytest.fixture
def own(tmp_path, monkeypatch):
    return OwnModels(tmp_path, monkeypatch)


def settings(own: OwnEncoderTheme, **more) -> RewardSettings:
    model = ModelSettings(own=own, threads=1)
    return RewardSettings(server=ServerSettings(grace_s=5.0), model=model, **more)


def expected(source) -> list[float]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    said = "\n\n".join(message.content for message in ASKED)
    with torch.no_grad():
        return [float(model(**tokenizer(said, each, return_tensors="pt")).logits[0, 0]) for each in ANSWERS]


async def scores_of(wanted: RewardSettings):
    async with (
        served("reward", wanted, build) as at,
        AsyncRewardClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        return await client.score(ASKED, list(ANSWERS))


async def test_scores_through_the_service_are_those_of_transformers_from_the_export_that_stands_there(own):
    theme = own.named("judge", "bert")
    digest = own.export("judge", "score")
    found = await scores_of(settings(theme))
    assert found.scores == pytest.approx(expected(own.sources["judge"]), abs=1e-4)
    assert found.digest == digest
    # Beside the first head too; and a head that reads other models says so.
    with pytest.raises(BadFile, match="which head: bt reads"):
        await scores_of(settings(theme, head="causal"))


async def test_a_name_that_is_not_here_ends_the_start_with_the_command_that_brings_it(own):
    with pytest.raises(FailedPrecondition, match=r"model\.own\.name: .*`hf download me/other` puts it there"):
        await scores_of(settings(OwnEncoderTheme(name="me/other", exports=own.exports)))


@pytest.mark.proof
async def test_a_first_start_makes_the_export_itself_and_a_second_one_takes_it(own):
    theme = own.named("judge", "deberta-v2")
    first = await scores_of(settings(theme))
    [made] = [path for path in own.exports.iterdir() if path.is_dir()]
    stood = (made / "model.onnx").stat().st_mtime_ns
    second = await scores_of(settings(theme))
    assert first.digest == second.digest == own.export("judge", "score")
    assert (made / "model.onnx").stat().st_mtime_ns == stood
    assert first.scores == pytest.approx(expected(own.sources["judge"]), abs=1e-4)
