"""The reward process: `python -m rejoinder.reward --settings FILE`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from rejoinder.reward.heads import HEADS
from rejoinder.reward.scorer import LoadedHead, Scorer
from rejoinder.reward.service import RewardService
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.textmodel import load
from rejoinder.v1 import reward_pb2_grpc


async def build(settings: RewardSettings, chassis: Chassis) -> Room:
    head = HEADS[settings.head]
    model = await asyncio.to_thread(load, settings.model, settings.batch, chassis.clock, chassis.metrics)
    chassis.log.info("model_loaded", head=settings.head, digest=model.digest)
    scorer = Scorer([LoadedHead(head.name, head.make(model.facts), model)], settings.max_responses)
    add = partial(reward_pb2_grpc.add_RewardServiceServicer_to_server, RewardService(scorer))
    return Room(add=(add,), warm_up=model.start, close=model.close)


if __name__ == "__main__":
    sys.exit(run("reward", RewardSettings, build))
