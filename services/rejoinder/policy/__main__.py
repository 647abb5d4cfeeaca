"""The policy process: `python -m rejoinder.policy --settings FILE`."""

from __future__ import annotations

import asyncio
import random
import sys
from functools import partial

from rejoinder.core.ids import uuid7
from rejoinder.core.types import Interaction, Message, Role, Sampling
from rejoinder.policy.checks import Limits
from rejoinder.policy.generator import Ask, Generator
from rejoinder.policy.meter import Meter
from rejoinder.policy.service import PolicyService
from rejoinder.policy.settings import PolicySettings
from rejoinder.policy.shadow import Shadow
from rejoinder.policy.versions import Versions
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.bootstrap import bootstrap
from rejoinder.registry.store import open_store
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.arms.follow import ArmsFollower, Registry, table_of
from rejoinder.runtime.arms.theme import open_log
from rejoinder.runtime.backends.generation import EngineSettings, GenerationEngine
from rejoinder.runtime.own import exported
from rejoinder.runtime.recorder import FeedbackSender
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.spool import Spool, SpoolSettings
from rejoinder.v1 import policy_pb2_grpc

_WARMING = Ask(Interaction(messages=(Message(Role.USER, "."),), sampling=Sampling(max_tokens=1)), unlogged=True)


async def build(settings: PolicySettings, chassis: Chassis) -> Room:
    model, record, arms = settings.model, settings.record, settings.arms
    store = await asyncio.to_thread(open_store, model.registry)
    artefacts = Artefacts(store, settings.artefacts)
    if model.own.name:
        export = await asyncio.to_thread(exported, model.own, "policy", "model.own.name")
        first, now = f"{model.policy}-base", chassis.clock.now()
        await asyncio.to_thread(bootstrap, store, artefacts, model.policy, export, first, now)
    registry = Registry(artefacts, model.policy)
    pointer = await asyncio.to_thread(registry.pointer)
    base = registry.base(pointer)
    folder = await asyncio.to_thread(artefacts.verify, base)
    engine_settings = EngineSettings(**settings.engine.model_dump())
    engine = await asyncio.to_thread(GenerationEngine, folder, engine_settings, chassis.clock)
    versions = Versions(artefacts, model.policy, engine, base, model.extra_versions)
    view = ArmsView(table_of(pointer, arms.holdout_share), chassis.clock)
    # Without its stable a replica serves nothing: what is wrong with it ends the start.
    await asyncio.to_thread(versions.load, view.table.stable)
    chassis.log.info("model_loaded", version=pointer.version, digest=pointer.digest, base=base)

    meter = Meter(chassis.metrics, chassis.log)
    sender = FeedbackSender(record.feedback, meter.rejected, record.token_file, record.tls)
    spool = Spool(record.spool, SpoolSettings(max_bytes=record.spool_max_bytes), sender, meter.no_room)
    meter.watch(view, spool)
    meter.watch_engine(engine)
    meter.watch_shadow()
    limits = Limits(model.max_prompt_bytes, model.max_tokens, model.temperature)
    seeds = random.SystemRandom()
    assignments = AssignmentCounter(uuid7(chassis.clock.now()))
    unseen, life = settings.shadow, uuid7(chassis.clock.now())
    shadow = Shadow(engine, versions, chassis.clock, meter, life, unseen.at_once, unseen.late_s)
    generator = Generator(engine, versions, view, spool, limits, chassis.clock, meter, seeds, assignments, shadow)
    log = await asyncio.to_thread(open_log, arms, "rejoinder-policy")
    follower = ArmsFollower(view, versions, registry, pointer, log, chassis.log, arms.poll_s, arms.registry_poll_s)

    async def warm_up() -> None:
        async for _ in generator.generate(_WARMING):
            pass

    async def generating(stop: asyncio.Event) -> None:
        """Ends the process with the engine: a replica that cannot answer must not look well."""
        ended, stopping = asyncio.wrap_future(engine.ended), asyncio.create_task(stop.wait())
        either: set[asyncio.Future[None] | asyncio.Task[bool]] = {ended, stopping}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if ended.done():
            ended.result()

    async def flush() -> None:
        await shadow.close()
        empty = await asyncio.to_thread(spool.drain, record.drain_s)
        chassis.log.info("spool_drained", empty=empty, bytes=spool.waiting_bytes)

    async def close() -> None:
        await asyncio.to_thread(engine.close)
        await asyncio.to_thread(spool.close)
        sender.close()
        if log is not None:
            await asyncio.to_thread(log.close)

    service = PolicyService(generator, view, versions, assignments, shadow)
    add = partial(policy_pb2_grpc.add_PolicyServiceServicer_to_server, service)
    return Room(add=(add,), warm_up=warm_up, background=(follower.run, generating), flush=flush, close=close)


if __name__ == "__main__":
    sys.exit(run("policy", PolicySettings, build))
