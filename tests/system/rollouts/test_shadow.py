"""A version that breaks ends in its shadow phase and no user ever meets it; a sound one goes on; without the phase they
meet it. A real policy process with an embedded model, the engine and a ledger; no unseen answer is in the log."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from rejoinder.clients import RolloutClient
from rejoinder.clients.rollouts import Rollout
from rejoinder.core.arms import Version
from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import AttemptStatus, Sampling
from rejoinder.policy.versions import ADAPTER_FILE
from rejoinder.registry.artefacts import Version as Made

from tests.chaos.harness import Process, wait_until
from tests.patient import Patient
from tests.system.policy.world import POLICY, World, asking
from tests.tinypolicy import tiny_policy

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PLAN: dict[str, Any] = {
    "steps": [{"weight": 0.5, "duration_s": 1.0, "deadline_s": 600.0}],
    "vetoes": [{"name": "failures", "base_rate": 0.01}],
    "lease_ttl_s": 60.0,
    "shadow_s": 1.0,
    "shadow_share": 1.0,
    "shadow_min_pairs": 30,
}


class Shadowed:
    """owns: the world, a ledger and an engine beside it; `close` leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, {"SHADOW__AT_ONCE": "4"}).start()
        (folder / "key").write_text("a key of the deployment")
        owner, log = f"127.0.0.1:{self.world.feedback.port}", str(self.world.log_path)
        self.ledger = self._process(
            "ledger",
            {
                "LOG__PATH": log,
                "LOG__OWNER": owner,
                "STORE__PATH": str(folder / "ledger.db"),
                "ERASURE__KEY_FILE": str(folder / "key"),
            },
        )
        assert self.world.policy is not None
        self.rollouts = self._process(
            "rollouts",
            {
                "POLICY__REGISTRY": str(folder / "registry"),
                "POLICY__REPLICAS": json.dumps([f"127.0.0.1:{self.world.policy.port}"]),
                "POLICY__HOLDOUT_SHARE": "0",
                "SOURCE__LOG_FILE": log,
                "SOURCE__OWNER": owner,
                "SOURCE__LEDGER": f"127.0.0.1:{self.ledger.port}",
                "ENGINE__MEMORY": str(folder / "rollouts.db"),
                "ENGINE__POLL_S": "0.1",
                "PLAN": json.dumps(PLAN),
            },
        )
        self.engine = RolloutClient(Patient(f"127.0.0.1:{self.rollouts.port}"))
        self.client = self.world.client()
        self.asked = 0

    def _process(self, service: str, settings: dict[str, str]) -> Process:
        process = Process([sys.executable, "-m", f"rejoinder.{service}"], self.world.folder, service, settings)
        process.start()
        return process

    def broken(self, name: str) -> Version:
        """A published version whose weights are no numbers: every answer of it fails."""
        adapter = onnxruntime.AdapterFormat.read_adapter(str(tiny_policy() / "a1" / ADAPTER_FILE))
        weights = {each: value.numpy() * np.float32("nan") for each, value in adapter.get_parameters().items()}
        out = onnxruntime.AdapterFormat()
        for number in ("adapter", "model"):
            getattr(out, f"set_{number}_version")(getattr(adapter, f"get_{number}_version")())
        values = {each: onnxruntime.OrtValue.ortvalue_from_numpy(value) for each, value in weights.items()}
        out.set_parameters(values)
        made = self.world.folder / name
        made.mkdir()
        out.export_adapter(str(made / ADAPTER_FILE))
        (made / "name").write_text(name)
        version = Version(name, self.world.artefacts.put(made))
        self.world.artefacts.publish(Made(POLICY, name, version.digest, self.world.base.digest))
        return version

    def until(self, true: Callable[[Rollout], bool]) -> Rollout:
        """New users ask until it is so of the rollout; its last status."""
        seen: list[Rollout] = []

        def come() -> bool:
            self.asked += 1
            # Whom a broken version answers gets an error.
            with suppress(RejoinderError):
                self.world.ask(asking(user_id=f"u{self.asked}", sampling=Sampling(1.0, max_tokens=4)), self.client)
            seen.append(self.engine.get(POLICY))
            return true(seen[-1])

        wait_until(come, "the rollout")
        return seen[-1]

    def met(self, version: str) -> list[AttemptStatus]:
        """How each logged answer of a version ended."""
        return [each.status for each in self.world.interactions() if each.served and each.served.version == version]

    def close(self) -> None:
        self.engine.close()
        self.rollouts.close()
        self.ledger.close()
        self.world.close()


@pytest.fixture(scope="module")
def shadowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shadowed]:
    made = Shadowed(tmp_path_factory.mktemp("shadowed"))
    yield made
    made.close()


def test_a_version_that_breaks_ends_before_any_user_has_met_it(shadowed: Shadowed) -> None:
    version = shadowed.broken("broken-1")
    shadowed.engine.start(POLICY, version.version)
    done = shadowed.until(lambda rollout: rollout.phase == "aborted")
    assert done.reason == "shadow:failures"
    assert done.shadow is not None
    (failures,) = done.shadow.vetoes
    # A tiny model of chance says nothing at all now and then, and so may stable.
    assert failures.fired
    assert failures.canary == failures.pairs > failures.stable
    wait_until(lambda: len(shadowed.world.interactions()) == shadowed.asked, "the log")
    statuses = [each.status for each in shadowed.world.interactions()]
    assert statuses == [AttemptStatus.COMPLETED] * shadowed.asked, "one record an answer, and none failed"
    assert shadowed.met(version.version) == []


def test_a_sound_version_goes_on_to_its_users(shadowed: Shadowed) -> None:
    (sound, _) = shadowed.world.versions
    shadowed.engine.start(POLICY, sound.version)
    seen = shadowed.until(lambda rollout: bool(shadowed.met(sound.version)))
    assert (seen.phase, seen.reason) == ("canary", "")
    assert seen.shadow is not None
    assert seen.shadow.pairs >= 30
    assert shadowed.engine.abort(POLICY, seen.generation).phase == "aborted"


def test_without_the_phase_users_meet_what_breaks(shadowed: Shadowed) -> None:
    """The control."""
    version = shadowed.broken("broken-2")
    shadowed.engine.start(POLICY, version.version, json.dumps({"shadow_s": 0.0}))
    seen = shadowed.until(lambda rollout: AttemptStatus.FAILED in shadowed.met(version.version))
    assert seen.shadow is None
