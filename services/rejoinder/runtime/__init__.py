"""The chassis every process stands on. Read settings.py, serve.py, server.py, interceptors.py, then what
they use: call.py, status.py, callers/, admission.py, files.py, tracing.py, logging.py, exporter.py.
Models: batching/ over backends/ (triton/). Answers: arms/, spool.py, recorder.py.

A process is a settings class and an async `build(settings, chassis) -> Room`; its `__main__.py` is the wiring
(imports: `runtime.serve.run`, `runtime.server.{Chassis, Room, Server}`, `runtime.settings.{Theme, ServerSettings}`,
`runtime.call.Call`):

    class RewardSettings(Theme):                                   # runtime.settings.Theme: frozen, closed, documented
        server: ServerSettings = ServerSettings(port=50053)        # every service has this theme
        scorer: ScorerSettings = ScorerSettings()

    async def build(settings: RewardSettings, chassis: Chassis) -> Room:
        scorer = await asyncio.to_thread(load_scorer, settings.scorer)        # health answers NOT_SERVING meanwhile
        service = RewardService(scorer, chassis.clock)
        return Room(
            add=(partial(reward_pb2_grpc.add_RewardServiceServicer_to_server, service),),
            warm_up=scorer.warm_up,               # async; SERVING comes after it
            background=(scorer.run,),             # async (stop: asyncio.Event); its failure drains the process
            flush=None,                           # async; after the last call has ended
            close=scorer.close,                   # async; after flush; metrics go last
        )

    if __name__ == "__main__":
        sys.exit(run("reward", RewardSettings, build))      # --settings FILE, then REJOINDER_REWARD__SERVER__PORT

A servicer's method is `async def Score(self, request, call: Call) -> Response` (unary) or an async generator (stream).
It decodes, calls, encodes, and raises classes of `core.errors`; nothing else sets a status. `Call` says who asks
(`principal`, `roles`, `tenants`), by when (`call.deadline`, a reading of `clock.monotonic()`, and
`call.time_remaining()`), and under which trace (`call.traceparent`). Already done before a method is entered:
request parsed and sized, role and tenant checked, a slot taken, deadline armed (also as a timeout on the method).
A unit test calls it directly: `await service.Score(request, Call.local())`.
A new RPC needs its row in callers/roles.py; a new metric its row in core/metrics.py: `chassis.metrics["rpc_s"]`.
`chassis.log.info("model_loaded", version=…, seconds=…)`: event in the past tense, facts that are no words.

`Server(settings.server, partial(build, settings), Chassis(service, clock, Metrics(), log))` is the same without
signals: `await server.start()`, `server.port`, `await server.drain()`; tests and several rooms in one process use it.
"""
