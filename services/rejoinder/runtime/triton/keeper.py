"""Who loads versions on a Triton server, takes them off it, and heals what has died there.

The server loads nothing by itself (`--model-control-mode=explicit`): what it has is what the repository holds, made so
by one keeper beside it. A new version's folder is loaded beside those that serve; a version whose folder has gone is
let go of once its requests are answered. A process of the python backend that has died is not missed by Triton: model
and server stay READY and every request fails, a second each. So each version is asked a row of zeros now and then;
where the server says that the process is gone, or one that could answer computes for nobody any more, its model is
unloaded, which makes the errors UNAVAILABLE at once, and loaded. One that dies again and again is left longer each
time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.errors import DeadlineExceeded, Loading, RejoinderError
from rejoinder.runtime.backends.triton import client_of, died, error_of, inputs_of
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.triton.repository import check, only, wanted

#: Seconds that a load may take; a question about the server; a row of zeros, which waits behind everybody's.
_LOAD_S, _ASK_S, _PROBE_S = 300.0, 5.0, 10.0
#: What could not be loaded is tried again after so long, or at once when the repository holds something else. No sooner
#: is a model loaded anew that has not answered since it was.
_AGAIN_S = 30.0
#: Probes in a row that came too late, with no answer to anybody between them, after which a process is taken for dead.
_LATE = 3
#: Seconds between a model's healing and its next: doubled at each, up to so many; forgotten after so long without one.
_REST_S, _LONGEST_REST_S, _FORGOTTEN_S = 0.25, 60.0, 600.0


class Keeper:
    """owns: which versions one Triton server has.

    client: tritonclient's, of its gRPC. repository: the folder that the server was given.
    """

    def __init__(self, client: Any, repository: Path, log: EventLog, clock: Callable[[], float] = time.monotonic):
        self._client = client
        self._repository = repository
        self._log = log
        self._clock = clock
        #: (model, version) that answered since it was loaded.
        self._answered: set[tuple[str, str]] = set()
        #: (model, version) → probes in a row that came too late, and how many requests it had answered by the last.
        self._late: dict[tuple[str, str], tuple[int, int]] = {}
        #: Model → when it was healed, and how long it is left alone then.
        self._healed: dict[str, tuple[float, float]] = {}
        #: Model → what stood in the repository when not all of it could be loaded, and when to try again.
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
            stands, had = want.get(name, frozenset()), have.get(name, frozenset())
            if stands != had:
                self._change(name, stands, had)
            if dead := {version for version in sorted(stands & had) if self._is_dead(name, version)}:
                self._heal(name, dead, stands)

    def _have(self) -> dict[str, frozenset[str]]:
        """Model → versions that are READY."""
        index = self._ask(self._client.get_model_repository_index, client_timeout=_ASK_S)
        out: dict[str, frozenset[str]] = {}
        for each in index.models:
            if each.state == "READY":
                out[each.name] = out.get(each.name, frozenset()) | {each.version}
        return out

    def _change(self, name: str, stands: frozenset[str], had: frozenset[str]) -> None:
        said, again = self._failed.get(name, (frozenset(), 0.0))
        if said == stands and self._clock() < again:
            return
        whole = stands - {version for version in stands - had if self._is_faulty(name, version)}
        if whole != stands:
            self._failed[name] = stands, self._clock() + _AGAIN_S
        # Of nothing but faulty ones nothing is made: what serves serves on.
        if whole == had or (stands and not whole):
            return
        began = self._clock()
        try:
            if whole:
                self._load(name, whole, stands)
            else:
                self._ask(self._client.unload_model, name, client_timeout=_LOAD_S)
        except Loading:
            raise
        except RejoinderError as error:
            # What served before serves on.
            self._failed[name] = stands, self._clock() + _AGAIN_S
            self._log.error("versions_not_changed", error, model=name, versions=sorted(whole), reason=error.reason)
            return
        if whole == stands:
            self._failed.pop(name, None)
        self._forget(name, had & whole)
        self._log.info("versions_changed", model=name, versions=sorted(whole), took_s=self._clock() - began)

    def _is_faulty(self, name: str, version: str) -> bool:
        try:
            check(self._repository / name / version)
        except RejoinderError as error:
            self._log.error("version_faulty", error, model=name, version=version, reason=error.reason)
            return True
        return False

    def _load(self, name: str, versions: frozenset[str], stands: frozenset[str]) -> None:
        """Of one that does not load Triton would take none, so what is to be left out is not shown to it."""
        said = {} if versions == stands else {"config": only(self._repository, name, versions)}
        self._ask(self._client.load_model, name, client_timeout=_LOAD_S, **said)

    def _forget(self, name: str, but: frozenset[str] = frozenset()) -> None:
        """What is known of a model's versions that have been loaded or let go of."""
        self._answered = {each for each in self._answered if each[0] != name or each[1] in but}
        self._late = {each: known for each, known in self._late.items() if each[0] != name or each[1] in but}

    def _is_dead(self, name: str, version: str) -> bool:
        each = name, version
        try:
            self._zeros(name, version)
        except _Died:
            return True
        except DeadlineExceeded:
            return self._is_stuck(name, version)
        except RejoinderError:
            # An error of the model's own: who says one lives.
            self._late.pop(each, None)
            return False
        self._late.pop(each, None)
        self._answered.add(each)
        return False

    def _is_stuck(self, name: str, version: str) -> bool:
        """Of a version whose probe came too late. It waits its turn: behind the callers of a dead process, each of whom
        takes a second to fail, or of one that is busy and answers them."""
        each = name, version
        late, before = self._late.get(each, (0, -1))
        try:
            answers = self._answers(name, version)
        except RejoinderError:
            return False
        late = late + 1 if answers == before else 1
        self._late[each] = late, answers
        self._log.warning("probe_late", model=name, version=version, in_a_row=late)
        return late >= _LATE and each in self._answered

    def _heal(self, name: str, dead: set[str], stands: frozenset[str]) -> None:
        began = self._clock()
        healed, rest_s = self._healed.get(name, (-_FORGOTTEN_S, 0.0))
        if began - healed >= _FORGOTTEN_S:
            rest_s = 0.0
        answered = any((name, version) in self._answered for version in dead)
        if rest_s and began - healed < (rest_s if answered else max(rest_s, _AGAIN_S)):
            return
        self._log.warning("process_died", model=name)
        # As it is now: this look may have changed it.
        had = self._have().get(name, frozenset())
        try:
            self._ask(self._client.unload_model, name, client_timeout=_LOAD_S)
            # Not before: a model that could not be unloaded is still one to be healed.
            self._forget(name)
            self._healed[name] = self._clock(), min(max(2 * rest_s, _REST_S), _LONGEST_REST_S)
            self._load(name, stands & had, stands)
        except Loading:
            raise
        except RejoinderError as error:
            # The next look sees what is there.
            self._log.error("model_not_healed", error, model=name, reason=error.reason)
            return
        self._healed[name] = self._clock(), self._healed[name][1]
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

    def _answers(self, name: str, version: str) -> int:
        """Requests that a version has answered since it was loaded."""
        found = self._ask(self._client.get_inference_statistics, name, version, client_timeout=_ASK_S)
        return sum(each.inference_stats.success.count for each in found.model_stats)

    def _ask(self, call: Callable[..., Any], *given: Any, **said: Any) -> Any:
        from tritonclient.utils import InferenceServerException

        try:
            return call(*given, **said)
        except InferenceServerException as failure:
            if died(failure):
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
