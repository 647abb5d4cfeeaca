"""All answering services as processes over one log, a raw way to call any, and what a refusal may not change."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import grpc
from google.rpc import error_details_pb2, status_pb2
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.bootstrap import bootstrap
from rejoinder.registry.store import FolderStore
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.topics import TOPICS
from rejoinder.v1 import (
    error_reason_pb2,
    feedback_pb2,
    ledger_pb2,
    policy_pb2,
    rerank_pb2,
    reward_pb2,
    rollouts_pb2,
)

from tests.chaos.harness import Process, is_serving, spooled
from tests.system.models import built
from tests.tinypolicy import ADAPTERS, tiny_policy

POLICY = "assist"
#: The gRPC service of each process, and the module of its messages.
SERVICES: dict[str, tuple[str, ModuleType]] = {
    "feedback": ("FeedbackService", feedback_pb2),
    "policy": ("PolicyService", policy_pb2),
    "reward": ("RewardService", reward_pb2),
    "rerank": ("RerankService", rerank_pb2),
    "ledger": ("LedgerService", ledger_pb2),
    "rollouts": ("RolloutService", rollouts_pb2),
}
STREAMS = frozenset({"policy.Generate", "ledger.BuildWindow"})
#: `all` may do everything for every tenant; `round` is a job of ours, `app` an application, each of one tenant.
PRINCIPALS = """
- {principal: all, token: all-token, roles: [app, internal, admin, auditor], tenants: ["*"]}
- {principal: round, token: round-token, roles: [app, internal]}
- {principal: app, token: app-token, roles: [app]}
"""
MESSAGE_BYTES = 1024 * 1024
#: Longer than any call here takes on a busy machine: whoever is not answered by then hangs.
HANGS_S = 20.0


class Services:
    """owns: six processes and a channel to each; close() leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_path = folder / "log.db"
        self._auth, self._token = folder / "principals.yaml", folder / "token"
        self._auth.write_text(PRINCIPALS)
        self._token.write_text("all-token")
        (folder / "key").write_text("a key of the deployment")
        store = FolderStore(folder / "registry")
        artefacts = Artefacts(store, folder / "registry" / "artefacts")
        base = bootstrap(store, artefacts, POLICY, tiny_policy() / "export", now=time.time())
        digest = artefacts.put(tiny_policy() / ADAPTERS[0])
        artefacts.publish(Version(POLICY, "assist-r0001", digest, base_digest=base.digest, round=1))
        self.processes: dict[str, Process] = {}
        self._channels: dict[str, grpc.Channel] = {}
        self._log: FollowerLog | None = None

    def start(self) -> Services:
        try:
            self._start(["feedback"])
            self._start(["ledger", "reward", "rerank", "policy"])
            self._start(["rollouts"])
        except BaseException:
            self.close()
            raise
        for name, process in self.processes.items():
            options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
            self._channels[name] = grpc.insecure_channel(f"127.0.0.1:{process.port}", options)
        self._log = FollowerLog(str(self.log_path), None)  # type: ignore[arg-type]
        return self

    def _start(self, names: list[str]) -> None:
        for name in names:
            settings = {**self._settings(name), "SERVER__AUTH__FILE": str(self._auth)}
            settings["SERVER__MAX_MESSAGE_BYTES"] = str(MESSAGE_BYTES)
            self.processes[name] = Process([sys.executable, "-m", f"rejoinder.{name}"], self.folder, name, settings)
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: self.processes[name].start(), names))

    def _settings(self, name: str) -> Mapping[str, str]:
        log, token, folder = str(self.log_path), str(self._token), self.folder
        record = {"RECORD__SPOOL": str(folder / f"spool-{name}"), "RECORD__TOKEN_FILE": token}
        match name:
            case "feedback":
                return {"LOG__PATH": log}
            case "ledger":
                store = {"STORE__PATH": str(folder / "ledger.db"), "ERASURE__KEY_FILE": str(folder / "key")}
                follow = {"LOG__PATH": log, "LOG__OWNER": self._address("feedback"), "LOG__OWNER_TOKEN_FILE": token}
                return {**store, **follow, "LOG__WAIT_S": "0.05"}
            case "reward":
                return {"MODEL__FOLDER": str(built() / "bt-v1"), "MODEL__THREADS": "1"}
            case "rerank":
                encoder = {"ENCODER__FOLDER": str(built() / "minilm"), "ENCODER__THREADS": "1"}
                feedback = {"RECORD__FEEDBACK": self._address("feedback")}
                return {**record, **feedback, **encoder, "RANKERS": '["identity", "cosine"]'}
            case "policy":
                model = {"MODEL__REGISTRY": str(folder / "registry"), "ENGINE__THREADS": "1"}
                limits = {"MODEL__MAX_PROMPT_BYTES": "2000", "MODEL__MAX_TOKENS": "64"}
                feedback = {"RECORD__FEEDBACK": self._address("feedback"), "ARMS__LOG_FILE": log}
                return {**record, **feedback, **model, **limits}
            case _:
                policy = {"POLICY__REGISTRY": str(folder / "registry")}
                replicas = {"POLICY__REPLICAS": json.dumps([self._address("policy")])}
                source = {"SOURCE__OWNER": self._address("feedback"), "SOURCE__LEDGER": self._address("ledger")}
                where = {"SOURCE__LOG_FILE": log, "SOURCE__TOKEN_FILE": token}
                return {**policy, **replicas, **source, **where, "ENGINE__MEMORY": str(folder / "rollouts.db")}

    def _address(self, name: str) -> str:
        return f"127.0.0.1:{self.processes[name].port}"

    def call(self, target: str, payload: bytes, token: str = "all-token") -> str:
        """Sends bytes to `<process>.<method>`. `STATUS/REASON` of a refusal; of an item of feedback its outcome, and if
        rejected `REJECTED/REASON/field`; else `OK`."""
        return self.answer(target, payload, token)[0]

    def answer(self, target: str, payload: bytes, token: str = "all-token") -> tuple[str, bytes]:
        """The same, and the bytes of the (last) message that came."""
        name, method = target.split(".")
        path = f"/rejoinder.v1.{SERVICES[name][0]}/{method}"
        metadata = [("authorization", f"Bearer {token}")] if token else []
        channel = self._channels[name]
        try:
            if target in STREAMS:
                raw = list(channel.unary_stream(path)(payload, timeout=HANGS_S, metadata=metadata))[-1]
            else:
                raw = channel.unary_unary(path)(payload, timeout=HANGS_S, metadata=metadata)
        except grpc.RpcError as error:
            return _told(error), b""
        return (_outcome(raw) if method in ("RecordFeedback", "RecordInteractions", "RecordLabels") else "OK"), raw

    def state(self) -> dict[str, object]:
        """All that may be written: the log's ends, the spools, the registry's objects."""
        assert self._log is not None
        found: dict[str, object] = {topic: dict(self._log.end_offsets(topic)) for topic in TOPICS}
        found["spools"] = self.spooled()
        kept = (path for path in (self.folder / "registry").rglob("*") if path.is_file())
        found["registry"] = sorted(str(path.relative_to(self.folder)) for path in kept)
        return found

    def stored(self) -> int:
        """Records on the log, arms left out: an open rollout renews its lease in the background."""
        assert self._log is not None
        return sum(sum(self._log.end_offsets(topic).values()) for topic in TOPICS if topic != "arms")

    def spooled(self) -> int:
        """Bytes that wait for the log."""
        return spooled(self.folder, "spool-*/*.spool")

    def serves(self, name: str) -> bool:
        return self.processes[name].starts == 1 and is_serving(self.processes[name].port)

    def bugs(self) -> dict[str, str]:
        """What the processes say of errors that they did not foresee, by process."""
        found = {}
        for name, process in self.processes.items():
            lines = process.log_path.read_text("utf-8", "replace").splitlines()
            wrong = [n for n, line in enumerate(lines) if "level=error" in line or "Traceback" in line]
            if wrong:
                found[name] = "\n".join(lines[wrong[0] : wrong[0] + 60])
        return found

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        if self._log is not None:
            self._log.close()
        for name in reversed(self.processes):
            self.processes[name].close()


def _told(error: grpc.RpcError) -> str:
    raw = next((value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"), None)
    info = error_details_pb2.ErrorInfo()
    if raw is not None:
        status_pb2.Status.FromString(raw).details[0].Unpack(info)
    return f"{error.code().name}/{info.reason}"


def _outcome(raw: bytes) -> str:
    result = feedback_pb2.RecordResponse.FromString(raw).results[0]
    outcome = feedback_pb2.RecordOutcome.Name(result.outcome).removeprefix("RECORD_OUTCOME_")
    if outcome != "REJECTED":
        return outcome
    return f"{outcome}/{error_reason_pb2.ErrorReason.Name(result.reason).removeprefix('ERROR_REASON_')}/{result.field}"
