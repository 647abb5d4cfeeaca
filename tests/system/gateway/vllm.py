"""A server that behaves like vLLM's where adapters are concerned: paths, statuses and words of its API, loaded at run
time (`--enable-lora`, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.system.gateway.upstream import Upstream


class Vllm(Upstream):
    """owns: its adapters by name. names: its base's, the first of which it says in every answer of the base
    (`--served-model-name`). paths: folders that it can read. looks: False answers any name from the base, as
    VLLM_SKIP_MODEL_NAME_VALIDATION has it. lists: what its list says instead, as one read before would."""

    def __init__(self, names: Sequence[str], paths: set[str]) -> None:
        super().__init__()
        self.names = names
        self.adapters: dict[str, str] = {}
        self.paths = paths
        self.looks = True
        self.lists: dict[str, str] | None = None
        self.told: list[tuple[str, dict[str, Any]]] = []

    def app(self) -> Starlette:
        routes = [
            Route("/v1/load_lora_adapter", self._load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self._unload, methods=["POST"]),
        ]
        return Starlette(routes=[*routes, *super().app().routes])

    def begin_again(self) -> None:
        """What a restart leaves: nothing of what was loaded at run time."""
        self.adapters.clear()

    async def _models(self, request: Request) -> Response:
        card = {"object": "model", "owned_by": "vllm", "root": "/models/base", "parent": None}
        bases = [{**card, "id": name} for name in self.names]
        loras = [
            {**card, "id": name, "root": path, "parent": self.names[0]}
            for name, path in (self.lists or self.adapters).items()
        ]
        return JSONResponse({"object": "list", "data": [*bases, *loras]})

    async def _chat(self, request: Request) -> Response:
        asked = await request.json()
        name = asked["model"]
        if name not in self.adapters:
            if name not in self.names and self.looks:
                return _refused(404, "NotFoundError", f"The model `{name}` does not exist.", "model")
            # The base answers, and says its own name; the request keeps the body that it was read into.
            asked["model"] = self.names[0]
        self.models = [asked["model"]]
        return await super()._chat(request)

    async def _load(self, request: Request) -> Response:
        body = await request.json()
        self.told.append(("load", body))
        name, path = body["lora_name"], body["lora_path"]
        if not name or not path:
            return _refused(400, "InvalidUserInput", "Both 'lora_name' and 'lora_path' must be provided.")
        if name in self.adapters and not body.get("load_inplace"):
            words = f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set"
            return _refused(400, "InvalidUserInput", f"{words} 'load_inplace' to True.")
        if path not in self.paths:
            words = f"Loading lora {name} failed: No adapter found for {path}"
            return _refused(404, "NotFoundError", words)
        self.adapters[name] = path
        return PlainTextResponse(f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: Request) -> Response:
        body = await request.json()
        self.told.append(("unload", body))
        name = body["lora_name"]
        if name not in self.adapters:
            return _refused(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        del self.adapters[name]
        return PlainTextResponse(f"Success: LoRA adapter '{name}' removed successfully.")


def _refused(status: int, kind: str, message: str, param: str | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": status}}, status)
