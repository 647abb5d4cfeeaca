"""A Triton server as its client shows it, without one."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace as Plain

from tritonclient.utils import InferenceServerException


def failure(status: str, text: str = "") -> InferenceServerException:
    return InferenceServerException(text, status and f"StatusCode.{status}")


class Server:
    """One of explicit control that looks at a repository as the real one does. owns: which versions it has.

    on_disk: model → versions. bad: versions that do not load, with which none of a load is. dead: models whose process
    is gone, until it is unloaded. stuck: whether the next unload fails. waiting: model → requests before the next one;
    each takes a second of a dead process to fail, a tenth of a living one's to be answered. away: no server. did:
    ("load" or "unload", model), in order.
    """

    def __init__(self, on_disk) -> None:
        self.on_disk = on_disk
        self.has: dict[str, set[str]] = {}
        self.bad: set[str] = set()
        self.dead: set[str] = set()
        self.failing: set[str] = set()
        self.stuck = False
        self.waiting: dict[str, int] = {}
        self.answered: Counter[str] = Counter()
        self.away = False
        self.did: list[tuple[str, str]] = []

    def get_model_repository_index(self, client_timeout):
        self._there()
        ready = [Plain(name=name, version=v, state="READY") for name, has in self.has.items() for v in has]
        return Plain(models=[*ready, Plain(name="never-loaded", version="", state="")])

    def load_model(self, name, client_timeout, config=None):
        self._there()
        self.did.append(("load", name))
        found = set(self.on_disk()[name])
        if config is not None:
            told = json.loads(config)
            assert (told["name"], len(told["input"])) == (name, 1)
            found = set(told["version_policy"]["specific"]["versions"])
        if found & self.bad:
            raise failure("INVALID_ARGUMENT", "load failed")
        if name not in self.has:
            self.dead.discard(name)
        self.has[name] = found

    def unload_model(self, name, client_timeout):
        self._there()
        self.did.append(("unload", name))
        if self.stuck:
            self.stuck = False
            raise failure("INTERNAL", "unload failed")
        self.has.pop(name, None)
        self.waiting.pop(name, None)

    def get_inference_statistics(self, name, version, client_timeout):
        counts = Plain(success=Plain(count=self.answered[name]))
        return Plain(model_stats=[Plain(inference_stats=counts)])

    def get_model_metadata(self, name, version, client_timeout):
        return Plain(inputs=[Plain(name="ids", datatype="INT64", shape=[-1, -1])])

    def infer(self, name, inputs, model_version, client_timeout):
        self._there()
        assert inputs[0].shape() == [1, 1]
        takes = 1.0 if name in self.dead else 0.1
        waiting = self.waiting.get(name, 0)
        if name not in self.dead:
            self.answered[name] += min(waiting, int(client_timeout / takes))
        if waiting * takes > client_timeout:
            raise failure("DEADLINE_EXCEEDED", "Deadline Exceeded")
        if name in self.dead:
            raise failure("INTERNAL", f"Stub process '{name}_0_0' is not healthy.")
        if name in self.failing:
            raise failure("INTERNAL", "Failed to process the request(s)")

    def _there(self):
        if self.away:
            raise failure("UNAVAILABLE", "failed to connect to all addresses")
