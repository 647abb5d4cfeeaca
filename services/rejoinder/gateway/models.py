"""`/v1/models`: the names that a request may ask for."""

from __future__ import annotations

from typing import Any, Protocol

from rejoinder.core.clock import Clock
from rejoinder.gateway.errors import ModelNotFound
from rejoinder.gateway.guard import Answer, HttpCall


class Upstream(Protocol):
    def other_models(self) -> list[str]: ...


class Models:
    """owns: when the process began, which stands for when its models were made."""

    def __init__(self, upstream: Upstream, names: tuple[str, ...], clock: Clock) -> None:
        self._upstream = upstream
        self._names = names
        self._made = int(clock.now())

    async def all(self, call: HttpCall) -> Answer:
        return Answer({"object": "list", "data": [self._model(name) for name in self._all()]})

    async def one(self, call: HttpCall) -> Answer:
        if call.path["model"] not in self._all():
            raise ModelNotFound
        return Answer(self._model(call.path["model"]))

    def _all(self) -> list[str]:
        return [*self._names, *self._upstream.other_models()]

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._made, "owned_by": "rejoinder"}
