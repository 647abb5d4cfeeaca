"""The verdict as others can ask for it: Prometheus figures, and HTTP for Argo Rollouts and Flagger.

| request                         | answer                                                                            |
|---------------------------------|-----------------------------------------------------------------------------------|
| GET /v1/verdicts/NAMESPACE/NAME | 200, JSON: outcome, phase (Successful, Failed, Inconclusive), promotable, figures |
| POST /v1/gates/NAMESPACE/NAME   | 200 where it may be promoted, 403 where not (Flagger's hooks)                     |
| anything else                   | 404                                                                               |

Better is Successful and worse is Failed; inconclusive and unmeasured are both Inconclusive: Argo pauses on that. A
process that does not lead knows no verdict and answers 503: ask the Service again. No answer holds anybody's words.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rejoinder.core.metrics import Metrics
from rejoinder.rollout.state import ABORTED, PROMOTED, Status
from rejoinder.rollout.verdict import Outcome, Verdict
from rejoinder.runtime.exporter import busy

from rejoinder_operator.decide.rollout import verdict_status

ARGO = {
    Outcome.BETTER: "Successful",
    Outcome.WORSE: "Failed",
    Outcome.INCONCLUSIVE: "Inconclusive",
    Outcome.UNMEASURED: "Inconclusive",
}


@dataclass
class Told:
    """Whose figures a policy's series are. began_at: of that rollout. live: somebody meets its version."""

    key: tuple[str, str]
    began_at: float
    live: bool


class Board:
    """owns: the last verdict of each rollout that this process has looked at, and the policies' series. May be used
    from any thread.

    A policy's series are those of the rollout that exposed somebody last. One that harm ended stays worse there until
    it goes or the next one begins: it closes in the very look that finds the harm, and a scrape must see it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._told: dict[str, Told] = {}

    def begin(self, policy: str) -> None:
        """A rollout's first look: the end of the one before is over, a live one's figures stay."""
        with self._lock:
            told = self._told.get(policy)
            if told is None or not told.live:
                self._outcome(policy, None)

    def put(self, namespace: str, name: str, policy: str, verdict: Verdict, status: Status) -> None:
        """A live verdict."""
        figures = verdict_status(verdict, 0.0)
        del figures["at"]
        phase = "Successful" if verdict.promotable or status.phase == PROMOTED else ARGO[verdict.outcome]
        weight = status.steps[-1].weight if status.steps and status.phase != PROMOTED else 0.0
        with self._lock:
            self._answers[namespace, name] = {"phase": phase, **figures}
            if not self._tells((namespace, name), policy, status):
                return
            self._outcome(policy, verdict.outcome)
            for arm in ("stable", "canary"):
                self._metrics["rollout_satisfaction"].labels(policy, arm).set(float(figures[arm]["value"]))
                self._metrics["rollout_judged"].labels(policy, arm).set(figures[arm]["n"])
            self._metrics["rollout_weight"].labels(policy).set(weight)

    def end(self, namespace: str, name: str, policy: str, status: Status) -> None:
        """A rollout that is over: its end is its answer."""
        phase = {ABORTED: "Failed", PROMOTED: "Successful"}.get(status.phase, "Inconclusive")
        harmed = status.phase == ABORTED and status.reason.startswith(("worse", "shadow:"))
        ended = {"phase": phase, "ended": status.phase, "promotable": status.phase == PROMOTED}
        ended |= {"outcome": Outcome.WORSE.value} if harmed else {}
        with self._lock:
            known = self._answers.get((namespace, name)) or {"outcome": "unmeasured", "promotable": False}
            self._answers[namespace, name] = {**known, **ended}
            # Looked at again and again for as long as it stands: told once, and only where somebody met its version.
            exposed = bool(status.steps) or status.promoted_at is not None
            if "ended" not in known and exposed and self._tells((namespace, name), policy, status):
                self._outcome(policy, Outcome.WORSE if harmed else None)
                self._metrics["rollout_weight"].labels(policy).set(0.0)

    def drop(self, namespace: str, name: str) -> None:
        """A rollout that is gone: nobody is asked to meet its version any more."""
        with self._lock:
            self._answers.pop((namespace, name), None)
            for policy, told in self._told.items():
                if told.key == (namespace, name):
                    told.live = False
                    self._outcome(policy, None)
                    self._metrics["rollout_weight"].labels(policy).set(0.0)

    def answer(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        with self._lock:
            return self._answers.get((namespace, name))

    def _tells(self, key: tuple[str, str], policy: str, status: Status) -> bool:
        """Whether the series are this rollout's: none that began later has had them."""
        told = self._told.get(policy)
        if told is not None and told.key != key and told.began_at > status.began_at:
            return False
        self._told[policy] = Told(key, status.began_at, not status.closed)
        return True

    def _outcome(self, policy: str, found: Outcome | None) -> None:
        for outcome in Outcome:
            self._metrics["rollout_verdict"].labels(policy, outcome.value).set(outcome is found)


class VerdictServer:
    """owns: the HTTP server and its thread. leads: whether this process knows verdicts. Raises PortBusy."""

    def __init__(self, host: str, port: int, board: Board, leads: Any) -> None:
        class Handler(_Handler):
            pass

        Handler.board, Handler.leads = board, staticmethod(leads)
        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError:
            raise busy(host, port, "verdicts.port") from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="verdicts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    board: Board
    leads: Any
    timeout = 5.0
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = self._found("verdicts")
        if found is not None:
            self._say(200, found)

    def do_POST(self) -> None:
        self.close_connection = True
        found = self._found("gates")
        if found is not None:
            open_ = bool(found.get("promotable")) and found["phase"] == "Successful"
            self._say(200 if open_ else 403, {"open": open_, "phase": found["phase"]})

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a path is a caller's text."""

    def _found(self, what: str) -> Mapping[str, Any] | None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if len(parts) != 4 or parts[:2] != ["v1", what]:
            self._say(404, {"error": "NOT_FOUND"})
            return None
        if not self.leads():
            self._say(503, {"error": "UNAVAILABLE"})
            return None
        found = self.board.answer(parts[2], parts[3])
        if found is None:
            self._say(404, {"error": "NOT_FOUND"})
        return found

    def _say(self, status: int, value: Mapping[str, Any]) -> None:
        body = json.dumps(value, sort_keys=True).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
