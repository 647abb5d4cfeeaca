"""The reward process: `python -m rejoinder.reward --settings FILE`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from rejoinder.core.errors import BadSettings
from rejoinder.reward.loading import loaded, refuse_twins
from rejoinder.reward.scorer import LoadedHead, Scorer
from rejoinder.reward.service import RewardService
from rejoinder.reward.settings import HeadSettings, RewardSettings
from rejoinder.reward.tensors import tensor_models
from rejoinder.runtime.openinference import OpenInference
from rejoinder.runtime.serve import BRIEFLY, run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.v1 import reward_pb2_grpc


async def build(settings: RewardSettings, chassis: Chassis) -> Room:
    if settings.head in settings.more:
        raise BadSettings(f"more: {settings.head} is the name of the first head", setting="more")
    first = HeadSettings(head=settings.head, model=settings.model)
    heads: list[LoadedHead] = []
    for name, wanted in {settings.head: first, **settings.more}.items():
        where = f"more.{name}.model" if name in settings.more else "model"
        heads.append(
            await asyncio.to_thread(loaded, name, wanted, settings.batch, chassis.clock, chassis.metrics, where)
        )
        chassis.log.info("model_loaded", head=name, digest=heads[-1].model.digest)
    refuse_twins(heads)
    scorer = Scorer(heads, settings.max_responses)

    async def warm_up() -> None:
        for one in heads:
            await one.model.start()

    async def close() -> None:
        for one in heads:
            await one.model.close()

    add = partial(reward_pb2_grpc.add_RewardServiceServicer_to_server, RewardService(scorer))
    openly = OpenInference("reward", tensor_models(scorer))
    return Room(add=(add, openly.add_to), warm_up=warm_up, close=close)


if __name__ == "__main__":
    sys.exit(run("reward", RewardSettings, build, settled=BRIEFLY))
