"""Volumes that are full."""

from __future__ import annotations

import json
import shutil
import urllib.request
from dataclasses import replace
from pathlib import Path

from tests import brokers
from tests.brokers import Cluster
from tests.chaos.harness import Process, wait_until
from tests.chaos.scenarios.answers import People, outcome_of, policy_of, stored
from tests.chaos.scenarios.apart import small_volume
from tests.chaos.scenarios.brokers import ALL
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site

FULL = 3
ENOSPC = "No space left on device"


def broker_disk_full(site: Site, events: int) -> Outcome:
    """F06: a broker's whole volume is full under traffic; it goes, the others go on, and with room again it is back."""
    folder = site.scratch("small")
    with small_volume(folder / f"node-{FULL}", 160) as volume, Cluster(folder, 3) as cluster:
        shutil.copytree(brokers.formatted(FULL), volume.at, dirs_exist_ok=True)
        cluster.start()
        with site.town(cluster.address) as town:
            with town.traffic(events) as traffic:
                traffic.reach(0.3)
                town.wait_in_sync(ALL)
                pending = traffic.strike(volume.fill)
                free = volume.free
                wait_until(lambda: FULL not in town.in_sync(without=FULL), "a cluster without the full one", 120.0)
                proven(ENOSPC in cluster.log_of(FULL).read_text(errors="replace"), "the broker never met a full volume")
                traffic.go_on()
                ended = not cluster.runs(FULL)
                volume.clear()
                cluster.kill(FULL)
                cluster.start(FULL)
                town.wait_in_sync(ALL)
            return town.outcome(free_bytes=free, ended_by_itself=ended, calls_on_their_way=pending, back_in_sync=True)


def spool_disk_full(site: Site, events: int) -> Outcome:
    """F06: the volume of the policy's spool is full: answers go on, those that cannot be kept are counted (contracts,
    "Interactions": Spool full), and with room again every answer is kept. Acknowledged are the answers seen while
    there was room: the others were promised to nobody."""
    with site.town() as town, small_volume(town.folder / "volume", 1) as volume:
        spool = volume.at / "spool"
        policy = policy_of(town, spool)
        policy.start()
        people = People(policy.port, town.folder)
        part = max(20, min(events, 600) // 3)
        try:
            for _ in range(part):
                people.ask()
            unpromised, free = [], 0
            for _ in range(part):
                # Again and again: what the spool has sent on it gives back.
                volume.fill()
                free = max(free, volume.free)
                unpromised.append(people.ask(note=False))
            volume.clear()
            for _ in range(part):
                people.ask()
            found = outcome_of(town, people, spool, free_bytes=free, asked_while_full=part)
            kept = sum(stored(town)[name] for name in unpromised)
            dropped = _dropped(policy)
            proven(dropped, "nothing was dropped: the volume was not full")
            assert dropped == part - kept, f"{dropped} counted as dropped, {part - kept} are not there"
            return replace(found, evidence={**found.evidence, "dropped_and_counted": dropped})
        finally:
            people.close()


def _dropped(policy: Process) -> int:
    port = json.loads(_ready(policy).read_text())["metrics_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if "interactions_dropped_total" in line and not line.startswith("#")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in found))


def _ready(policy: Process) -> Path:
    return policy.log_path.with_suffix(".ready")
