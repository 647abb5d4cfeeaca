"""The reward process: `python -m rejoinder.reward --settings FILE`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from rejoinder.core.errors import BadSettings
from rejoinder.reward.heads import HEADS
from rejoinder.reward.scorer import LoadedHead, Scorer
from rejoinder.reward.service import RewardService
from rejoinder.reward.settings import HeadSettings, RewardSettings
from rejoinder.reward.tensors import tensor_models
from rejoinder.runtime.openinference import OpenInference
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.textmodel import TextModel, load
from rejoinder.v1 import reward_pb2_grpc


async def build(settings: RewardSettings, chassis: Chassis) -> Room:
    if settings.head in settings.more:
        raise BadSettings(f"more: {settings.head} is the name of the first head", setting="more")
    first = HeadSettings(head=settings.head, model=settings.model)
    loaded = []
    for name, wanted in {settings.head: first, **settings.more}.items():
        model = await asyncio.to_thread(load, wanted.model, settings.batch, chassis.clock, chassis.metrics)
        chassis.log.info("model_loaded", head=name, digest=model.digest)
        loaded.append(LoadedHead(name, HEADS.resolve(wanted.head).make(model.facts), model))
    scorer = Scorer(loaded, settings.max_responses)

    async def each(of: Callable[[TextModel], Awaitable[None]]) -> None:
        for one in loaded:
            await of(one.model)

    add = partial(reward_pb2_grpc.add_RewardServiceServicer_to_server, RewardService(scorer))
    openly = OpenInference("reward", tensor_models(scorer))
    return Room(add=(add, openly.add_to), warm_up=partial(each, TextModel.start), close=partial(each, TextModel.close))


if __name__ == "__main__":
    sys.exit(run("reward", RewardSettings, build))
