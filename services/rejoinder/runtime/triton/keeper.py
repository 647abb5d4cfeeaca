"""Who loads versions on a Triton server, takes them off it, and heals what has died there.

The server loads nothing by itself (`--model-control-mode=explicit`): what it has is what the repository holds, made so
by one keeper beside it. A new version's folder is loaded beside those that serve; a version whose folder has gone is
let go of once its requests are answered. A process of the python backend that has died is not missed by Triton: model
and server stay READY and every request fails, a second each. So each version is asked a row of zeros now and then; one
that could answer and whose process is gone is unloaded, which makes its errors UNAVAILABLE at once, and loaded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.errors import Loading, RejoinderError
from rejoinder.runtime.backends.triton import DEAD, client_of, error_of, inputs_of
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.triton.repository import check, wanted

#: Seconds that a load may take; a question about the server; a row of zeros, which waits behind everybody's.
_LOAD_S, _ASK_S, _PROBE_S = 300.0, 5.0, 10.0
#: What could not be loaded is tried again after so long, or at once when the repository holds something else.
_AGAIN_S = 30.0


class Keeper:
    """owns: which versions one Triton server has.

    client: tritonclient's, of its gRPC. repository: the folder that the server was given.
    """

    def __init__(self, client: Any, repository: Path, log: EventLog, clock: Callable[[], float] = time.monotonic):
        self._client = client
        self._repository = repository
        self._log = log
        self._clock = clock
        #: (model, version) that answered since it was loaded: only such a one can have died.
        self._answered: set[tuple[str, str]] = set()
        #: Model → what it was to have when that failed, and when to try again.
        self._failed: dict[str, tuple[frozenset[str], float]] = {}
        #: Why the last look found nothing.
        self._away = ""

    def run(self, ended: threading.Event, every_s: float) -> None:
        """Looks until told to end. A server or a repository that is away is waited for."""
        while not ended.wait(every_s):
            try:
                self.look()
                self._away = ""
            except (RejoinderError, OSError) as error:
                # Told once, not at each look.
                reason = getattr(error, "reason", type(error).__name__)
                if reason != self._away:
                    self._log.warning("look_failed", reason=reason)
                self._away = reason

    def look(self) -> None:
        """One look: makes the server have what the repository holds, and heals. Raises Loading where it is away,
        OSError where the repository is."""
        want, have = wanted(self._repository), self._have()
        for name in sorted(want.keys() | have.keys()):
            wanted_here, had = want.get(name, frozenset()), have.get(name, frozenset())
            if wanted_here != had:
                self._change(name, wanted_here)
            for version in sorted(wanted_here & had):
                self._probe(name, version)

    def _have(self) -> dict[str, frozenset[str]]:
        """Model → versions that are READY."""
        index = self._ask(self._client.get_model_repository_index, client_timeout=_ASK_S)
        out: dict[str, frozenset[str]] = {}
        for each in index.models:
            if each.state == "READY":
                out[each.name] = out.get(each.name, frozenset()) | {each.version}
        return out

    def _change(self, name: str, versions: frozenset[str]) -> None:
        said, again = self._failed.get(name, (frozenset(), 0.0))
        if said == versions and self._clock() < again:
            return
        began = self._clock()
        try:
            for version in versions:
                check(self._repository / name / version)
            if versions:
                self._ask(self._client.load_model, name, client_timeout=_LOAD_S)
            else:
                self._ask(self._client.unload_model, name, client_timeout=_LOAD_S)
        except Loading:
            raise
        except RejoinderError as error:
            # What served before serves on.
            self._failed[name] = versions, self._clock() + _AGAIN_S
            self._log.error("versions_not_changed", error, model=name, versions=sorted(versions), reason=error.reason)
            return
        self._failed.pop(name, None)
        self._answered = {each for each in self._answered if each[0] != name or each[1] in versions}
        self._log.info("versions_changed", model=name, versions=sorted(versions), took_s=self._clock() - began)

    def _probe(self, name: str, version: str) -> None:
        try:
            self._zeros(name, version)
        except RejoinderError as error:
            if (name, version) in self._answered and isinstance(error, _Died):
                self._heal(name)
            return
        self._answered.add((name, version))

    def _heal(self, name: str) -> None:
        began = self._clock()
        self._answered = {each for each in self._answered if each[0] != name}
        self._log.warning("process_died", model=name)
        self._ask(self._client.unload_model, name, client_timeout=_LOAD_S)
        try:
            self._ask(self._client.load_model, name, client_timeout=_LOAD_S)
        except Loading:
            raise
        except RejoinderError as error:
            # One of its versions may be bad, as it was before; the next look sees what is there.
            self._log.error("model_not_whole", error, model=name, reason=error.reason)
        self._log.info("model_reloaded", model=name, took_s=self._clock() - began)

    def _zeros(self, name: str, version: str) -> None:
        """One row of one token. Raises what the model raised."""
        from tritonclient.utils import triton_to_np_dtype

        told = self._ask(self._client.get_model_metadata, name, version, client_timeout=_ASK_S).inputs
        tensors = {
            each.name: np.zeros([1 if n < 0 else n for n in each.shape], triton_to_np_dtype(each.datatype))
            for each in told
        }
        self._ask(self._client.infer, name, inputs_of(tensors), model_version=version, client_timeout=_PROBE_S)

    def _ask(self, call: Callable[..., Any], *given: Any, **said: Any) -> Any:
        from tritonclient.utils import InferenceServerException

        try:
            return call(*given, **said)
        except InferenceServerException as failure:
            if DEAD in (failure.message() or ""):
                raise _Died("the model's process is dead") from None
            raise error_of(failure) from None


@contextmanager
def connected(server: str) -> Iterator[Any]:
    """tritonclient's client of a server's gRPC. Raises BadSettings where the library is not installed."""
    client = client_of(server)
    try:
        yield client
    finally:
        client.close()


class _Died(RejoinderError):
    """A process of the python backend is gone."""
