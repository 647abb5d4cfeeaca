"""The Open Inference Protocol with NVIDIA's own client, against the real reward and rerank models."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import tritonclient.grpc as triton
from rejoinder.clients import AsyncRewardClient, Connection
from rejoinder.core.modelfolder import verified
from rejoinder.core.types import Message, Role
from rejoinder.rerank.__main__ import build as build_rerank
from rejoinder.rerank.settings import LimitSettings, RecordSettings, RerankSettings
from rejoinder.reward.__main__ import build
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.batching.textmodel import ModelSettings
from rejoinder.runtime.settings import AuthSettings, ServerSettings

from tests.system.serving import served

pytestmark = pytest.mark.system

ANSWERS = ["Boil them for eight minutes.", "no", "Eggs are sold by the dozen."]
ASKED = "How long do I boil eggs?"
PRINCIPALS = """
- {principal: shop, token: shop-token, roles: [app]}
- {principal: reader, token: reader-token, roles: [auditor]}
"""


def tensor(name: str, texts: list[str]) -> triton.InferInput:
    out = triton.InferInput(name, [len(texts)], "BYTES")
    out.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=np.object_))
    return out


async def test_reward_answers_the_protocol_as_it_answers_its_own(models):
    settings = RewardSettings(server=ServerSettings(), model=ModelSettings(folder=models / "bt-v1", threads=1))
    async with served("reward", settings, build) as at, AsyncRewardClient(Connection(at.target)) as client:
        own = await client.score([Message(Role.USER, ASKED)], ANSWERS)

        def ask() -> None:
            with triton.InferenceServerClient(at.target) as theirs:
                assert theirs.is_server_live()
                assert theirs.is_server_ready()
                assert theirs.is_model_ready("bt")
                assert not theirs.is_model_ready("judge")
                assert theirs.get_server_metadata().name == "rejoinder-reward"
                metadata = theirs.get_model_metadata("bt")
                assert list(metadata.versions) == [verified(models / "bt-v1").digest]
                assert [(t.name, t.datatype) for t in metadata.outputs] == [("scores", "FP64")]
                inputs = [tensor("context", [ASKED]), tensor("responses", ANSWERS)]
                answer = theirs.infer("bt", inputs, request_id="9", outputs=[triton.InferRequestedOutput("scores")])
                assert answer.get_response().id == "9"
                assert answer.as_numpy("scores") == pytest.approx(own.scores, abs=1e-4)
                with pytest.raises(triton.InferenceServerException, match="context must not be empty") as refused:
                    theirs.infer("bt", inputs[1:])
                assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
                with pytest.raises(triton.InferenceServerException, match="no such model") as refused:
                    theirs.infer("judge", inputs)
                assert refused.value.status() == "StatusCode.NOT_FOUND"

        await asyncio.to_thread(ask)
        method = "/inference.GRPCInferenceService/ModelInfer"
        assert at.metrics.value("rpc_errors_total", method=method, reason="NOT_FOUND") == 1
        assert at.metrics.value("rpc_s", method=method, status="OK") == 1


async def test_rerank_answers_and_checks_callers_as_in_its_own_service(models, tmp_path):
    (tmp_path / "principals.yaml").write_text(PRINCIPALS)
    settings = RerankSettings(
        server=ServerSettings(auth=AuthSettings(file=tmp_path / "principals.yaml")),
        rankers=("cosine",),
        encoder=ModelSettings(folder=models / "minilm", threads=1),
        limits=LimitSettings(max_candidates=3),
        record=RecordSettings(feedback="127.0.0.1:1", spool=tmp_path / "spool", drain_s=0.0),
    )
    async with served("rerank", settings, build_rerank) as at:

        def ask() -> None:
            app = {"authorization": "Bearer shop-token"}
            inputs = [tensor("query", [ASKED]), tensor("candidates", ["My cat sleeps.", ANSWERS[0]])]
            with triton.InferenceServerClient(at.target) as theirs:
                answer = theirs.infer("cosine", inputs, headers=app, parameters={"user_id": "u", "top_n": 1})
                assert answer.as_numpy("index").tolist() == [1]
                assert answer.as_numpy("ids").tolist() == [b"1"]
                assert len(answer.as_numpy("interaction_id")[0]) == 36
                for headers, parameters, status in (
                    ({}, {}, "UNAUTHENTICATED"),
                    ({"authorization": "Bearer reader-token"}, {}, "PERMISSION_DENIED"),
                    (app, {"tenant": "other"}, "PERMISSION_DENIED"),
                    (app, {"top": 1}, "INVALID_ARGUMENT"),
                ):
                    with pytest.raises(triton.InferenceServerException) as refused:
                        theirs.infer("cosine", inputs, headers=headers, parameters=parameters)
                    assert refused.value.status() == f"StatusCode.{status}"
                four = [inputs[0], tensor("candidates", ["a", "b", "c", "d"])]
                with pytest.raises(triton.InferenceServerException, match="the limit is 3"):
                    theirs.infer("cosine", four, headers=app)

        await asyncio.to_thread(ask)
        # Only what was answered is a slate; it is on its way to the log as any other.
        assert at.metrics.value("slates_total", record="kept") == 1
