"""The reward service over a model that sleeps: `python -m loadtests.golden.scorer`, settings as the reward service's.

Everything but the model is the real thing: chassis, admission, batcher, head.
"""

from __future__ import annotations

import sys
import time
from functools import partial

from rejoinder.reward.heads import HEADS
from rejoinder.reward.scorer import LoadedHead, Scorer
from rejoinder.reward.service import RewardService
from rejoinder.runtime.batching.textmodel import BatchSettings, TextModel, observe
from rejoinder.runtime.serve import BRIEFLY, run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.settings import ServerSettings, Theme
from rejoinder.v1 import reward_pb2_grpc

from loadtests.golden.model import FACTS, Cost, SleepingGraph, words


class GoldenSettings(Theme):
    server: ServerSettings = ServerSettings()
    batch: BatchSettings = BatchSettings()
    cost: Cost = Cost()


async def build(settings: GoldenSettings, chassis: Chassis) -> Room:
    graph, metrics = SleepingGraph(settings.cost, time.sleep), chassis.metrics
    given_up = metrics["batch_given_up_total"].inc
    model = TextModel(graph, words(), FACTS, settings.batch, chassis.clock, partial(observe, metrics), given_up)
    scorer = Scorer([LoadedHead("bt", HEADS["bt"].make(FACTS), model)], max_responses=256)
    add = partial(reward_pb2_grpc.add_RewardServiceServicer_to_server, RewardService(scorer))
    return Room(add=(add,), warm_up=model.start, close=model.close)


if __name__ == "__main__":
    sys.exit(run("reward", GoldenSettings, build, settled=BRIEFLY))
