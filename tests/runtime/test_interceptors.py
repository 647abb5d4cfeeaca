from __future__ import annotations

from types import SimpleNamespace

import grpc
import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import Draining, Loading
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.callers.auth import Open
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.interceptors import Handlers, Interceptors
from rejoinder.runtime.settings import RateSettings
from rejoinder.runtime.tracing import Propagation


class Plain:
    """Interceptors that add nothing."""

    def wrap(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        return handler


def details(method: str) -> SimpleNamespace:
    return SimpleNamespace(method=method)


def handler() -> grpc.RpcMethodHandler:
    async def answer(request: bytes, call: object) -> bytes:
        return request

    return grpc.unary_unary_rpc_method_handler(answer)


def test_methods_are_found_once_the_room_is_open_and_refused_before_and_after() -> None:
    handlers, mine = Handlers(Plain()), handler()
    handlers.add_registered_method_handlers("rejoinder.v1.RewardService", {"Score": mine})
    score = details("/rejoinder.v1.RewardService/Score")
    assert isinstance(handlers.state, Loading)
    assert handlers.service(score) is not mine
    handlers.open()
    assert handlers.service(score) is mine
    assert handlers.service(details("/rejoinder.v1.RewardService/Absent")) is None
    handlers.drain()
    assert isinstance(handlers.state, Draining)
    assert handlers.service(score) is not mine
    assert handlers.services == ["rejoinder.v1.RewardService"]


def test_grpcs_own_services_are_served_in_every_state_and_are_none_of_ours() -> None:
    handlers, theirs = Handlers(Plain()), handler()
    handlers.add_registered_method_handlers("grpc.reflection.v1alpha.ServerReflection", {"Info": theirs})
    assert handlers.service(details("/grpc.reflection.v1alpha.ServerReflection/Info")) is theirs
    assert handlers.services == []


def test_a_method_that_streams_requests_is_refused_where_it_is_registered() -> None:
    metrics = Metrics()
    interceptors = Interceptors(
        auth=Open(),
        rates=Rates(RateSettings(), SystemClock(), metrics),
        admission=Admission(1, 1.0, metrics),
        tracer=Propagation(),
        metrics=metrics,
        clock=SystemClock(),
        log=None,
        max_message_bytes=1,
        max_call_s=1.0,
    )
    with pytest.raises(TypeError, match="streams requests"):
        interceptors.wrap("/m", grpc.stream_unary_rpc_method_handler(lambda requests, call: None))
