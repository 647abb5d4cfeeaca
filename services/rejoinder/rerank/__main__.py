"""The rerank process: `python -m rejoinder.rerank --settings FILE`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

import numpy as np

from rejoinder.core.modelfolder import Kind
from rejoinder.core.types import Interaction
from rejoinder.rerank.rankers import RANKERS
from rejoinder.rerank.reranker import Limits, Reranker
from rejoinder.rerank.service import RerankService
from rejoinder.rerank.settings import RerankSettings
from rejoinder.rerank.tensors import tensor_models
from rejoinder.runtime.batching.textmodel import brought, load
from rejoinder.runtime.openinference import OpenInference
from rejoinder.runtime.own import refuse_without
from rejoinder.runtime.recorder import FeedbackSender
from rejoinder.runtime.serve import BRIEFLY, run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.spool import Spool, SpoolSettings
from rejoinder.v1 import rerank_pb2_grpc


async def build(settings: RerankSettings, chassis: Chassis) -> Room:
    rows = [RANKERS[name] for name in settings.rankers]
    models = {}
    for name in sorted({row.traits["model"] for row in rows} - {""}):
        kind: Kind = "embedding" if name == "encoder" else "score"
        which = await asyncio.to_thread(brought, getattr(settings, name), kind, name)
        models[name] = await asyncio.to_thread(load, which, settings.batch, chassis.clock, chassis.metrics)
        refuse_without(models[name].facts, kind, name)
        chassis.log.info("model_loaded", model=name, digest=models[name].digest)
    rankers = {row.name: row.make(models.get(row.traits["model"]), row.with_params()) for row in rows}

    slates = chassis.metrics["slates_total"]
    # From 0, or a rate would not see the first.
    slates.labels("dropped")
    dropped = slates.labels("refused").inc
    record = settings.record
    sender = FeedbackSender(record.feedback, dropped, record.token_file, record.tls)
    spool = Spool(record.spool, SpoolSettings(max_bytes=record.spool_max_bytes), sender, lambda rows: None)
    chassis.metrics["spool_bytes"].set_function(lambda: spool.waiting_bytes)

    async def keep(slate: Interaction) -> bool:
        return await asyncio.wrap_future(spool.put(slate))

    reranker = Reranker(
        rankers,
        keep,
        Limits(**settings.limits.model_dump()),
        chassis.clock,
        np.random.default_rng(),
        lambda kept: slates.labels("kept" if kept else "dropped").inc(),
    )

    async def warm_up() -> None:
        for model in models.values():
            await model.start()

    async def flush() -> None:
        await asyncio.to_thread(spool.drain, record.drain_s)

    async def close() -> None:
        for model in models.values():
            await model.close()
        await asyncio.to_thread(spool.close)
        sender.close()

    add = partial(rerank_pb2_grpc.add_RerankServiceServicer_to_server, RerankService(reranker))
    openly = OpenInference("rerank", tensor_models(reranker, rankers))
    return Room(add=(add, openly.add_to), warm_up=warm_up, flush=flush, close=close)


if __name__ == "__main__":
    sys.exit(run("rerank", RerankSettings, build, settled=BRIEFLY))
