"""A cross-encoder and a sentence encoder of one's own by their names on the hub, ranked with as transformers scores."""

from __future__ import annotations

import pytest
from rejoinder.clients import AsyncRerankClient
from rejoinder.clients.rerank import RerankAsk
from rejoinder.core.errors import BadFile, BadSettings
from rejoinder.core.types import Message, Role
from rejoinder.rerank.__main__ import build
from rejoinder.rerank.settings import RecordSettings, RerankSettings
from rejoinder.runtime.batching.textmodel import ModelSettings
from rejoinder.runtime.own import OwnEncoderTheme
from rejoinder.runtime.settings import ServerSettings

from tests.patient import Patient
from tests.system.own import OwnModels
from tests.system.serving import served

pytestmark = pytest.mark.system

TEXTS = ("light scatters in the air", "list three rivers in france " * 40, "seven minutes")
ASK = RerankAsk("why is the sky blue?", tuple((str(at), text) for at, text in enumerate(TEXTS)), user_id="u")
KNOWN = (Message(Role.USER, "I love rivers."),)


def settings(tmp_path, *rankers: str, **models: ModelSettings) -> RerankSettings:
    record = RecordSettings(feedback="127.0.0.1:1", spool=tmp_path / "spool", drain_s=0.0)
    return RerankSettings(server=ServerSettings(grace_s=5.0), rankers=rankers, record=record, **models)


def logits(source) -> dict[str, float]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    given = tokenizer(
        [ASK.query] * len(TEXTS), list(TEXTS), padding=True, truncation=True, max_length=96, return_tensors="pt"
    )
    with torch.no_grad():
        return {str(at): float(found) for at, found in enumerate(model(**given).logits[:, 0])}


def cosines(source) -> dict[str, float]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source).eval()

    def vector(text: str):
        with torch.no_grad():
            given = tokenizer(text, truncation=True, max_length=96, return_tensors="pt")
            states = model(**given).last_hidden_state[0].mean(0)
        return states / states.norm()

    return {str(at): float(vector(ASK.query) @ vector(text)) for at, text in enumerate(TEXTS)}


async def test_scores_through_the_service_are_those_of_transformers(tmp_path, monkeypatch):
    own = OwnModels(tmp_path, monkeypatch)
    cross, encoder = own.named("cross", "xlm-roberta"), own.named("sentences", "bert", "")
    digest = own.export("cross", "score")
    own.export("sentences", "embedding")
    wanted = settings(
        tmp_path,
        "cross",
        "cosine",
        cross=ModelSettings(own=cross, threads=1),
        encoder=ModelSettings(own=encoder, threads=1),
    )
    async with (
        served("rerank", wanted, build) as at,
        AsyncRerankClient(Patient(at.target, deadline_s=60.0)) as client,
    ):
        ranked = await client.rerank(ASK)
        again = await client.rerank(RerankAsk(ASK.query, ASK.candidates, user_id="u", user_context=KNOWN))
        similar = await client.rerank(RerankAsk(ASK.query, ASK.candidates, user_id="u", ranker="cosine"))
    found = {each.id: each.score for each in ranked.ranked}
    assert found == pytest.approx(logits(own.sources["cross"]), abs=1e-4)
    assert {each.id: each.score for each in again.ranked} == pytest.approx(found, abs=1e-6)
    assert {each.id: each.score for each in similar.ranked} == pytest.approx(
        cosines(own.sources["sentences"]), abs=1e-4
    )
    assert ranked.digest == digest
    assert sorted(found.values(), reverse=True) == [each.score for each in ranked.ranked]


async def test_a_cross_encoder_is_asked_for_by_who_names_one(tmp_path):
    with pytest.raises(BadSettings, match="cross: no model is named"):
        async with served("rerank", settings(tmp_path, "cross"), build):
            pass


async def test_an_export_of_another_kind_ends_the_start(tmp_path, monkeypatch):
    own = OwnModels(tmp_path, monkeypatch)
    own.named("sentences", "bert", "")
    own.export("sentences", "embedding")
    (folder,) = own.exports.glob("*-embedding-*")
    for model in (ModelSettings(folder=folder, threads=1), ModelSettings(own=OwnEncoderTheme(name=str(folder)))):
        with pytest.raises(BadFile, match=r"reward.* gives embedding, no score; .*--kind score"):
            async with served("rerank", settings(tmp_path, "reward", reward=model), build):
                pass
