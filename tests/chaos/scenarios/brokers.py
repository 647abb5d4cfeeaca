"""Brokers that die, or only sleep, under traffic."""

from __future__ import annotations

import os
import time

from rejoinder.stream.headers import DEFAULT_TENANT
from rejoinder.stream.topics import OwnTopics

from tests.chaos.scenarios.callers import Flow
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site, Town

ALL = {1, 2, 3}
#: Logs opened while one broker of three is dead: a library that asks one broker once opens two of three.
OPENED = 6
#: A tenant with topics of its own.
OWNER = "acme"


def leader_killed(site: Site, events: int) -> Outcome:
    """F06, F07, U02, U19: kill -9 of whoever leads the first partition, twice, with acknowledgements on their way, on
    the shared topics and on a tenant's own. A worker goes on meanwhile, and the ledger; and a process may start."""
    kills = []
    with site.town(tenants={OWNER: OwnTopics()}) as town:
        town.worker("a")
        with town.traffic(events, tenants=(DEFAULT_TENANT, OWNER)) as traffic:
            traffic.until(town.working, "a worker at work")
            for share in (0.25, 0.6):
                traffic.reach(share)
                town.wait_in_sync(ALL)
                kills.append(_behead(site, town, traffic))
        return town.outcome(signals=True, kills=kills)


def _behead(site: Site, town: Town, traffic: Flow) -> dict[str, int]:
    leader = town.known_leader()
    owned = town.led_by(leader, topic=f"tenant.{OWNER}.feedback", known=True)
    proven(owned, "the broker led nothing of the tenant's own")
    pid = site.cluster.pid(leader)
    pending = traffic.strike(lambda: site.cluster.kill(leader))
    proven(not _lives(pid), "the killed broker lives")
    heir = town.known_leader(without=leader)
    traffic.go_on()
    for _ in range(OPENED):
        with town.log() as log:
            proven(bool(log.topic_id("feedback")), "a log that was opened beside a dead broker knows its topic")
    site.cluster.start(leader)
    return {"killed": leader, "heir": heir, "calls_on_their_way": pending, "owned_partitions_led": len(owned)}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def two_of_three_down(site: Site, events: int) -> Outcome:
    """F06, U02: without two copies nothing is acknowledged; once they are back, it goes on by itself."""
    with site.town(delivery_s=4.0) as town:
        with town.traffic(events) as traffic:
            traffic.reach(0.4)
            town.wait_in_sync(ALL)
            leader = town.known_leader()
            down = [leader, min(ALL - {leader})]
            for node in down:
                traffic.strike(lambda node=node: site.cluster.kill(node))
            # Each caller is told no twice: what comes back before the first no is of the time with a second copy.
            _all_refused(traffic)
            before = traffic.acknowledged
            _all_refused(traffic)
            meanwhile = traffic.acknowledged - before
            proven(meanwhile == 0, f"{meanwhile} events were acknowledged with one broker of three")
            site.cluster.start(*down)
            traffic.go_on()
        return town.outcome(down=down, acknowledged_meanwhile=meanwhile, refused=sum(traffic.refused))


def _all_refused(traffic: Flow) -> None:
    before = list(traffic.refused)
    traffic.until(
        lambda: all(now > then for now, then in zip(traffic.refused, before, strict=True)), "a no for every caller"
    )


def slow_broker(site: Site, events: int) -> Outcome:
    """F06, F07: a leader that runs a quarter of the time, then sleeps past its session and wakes as a stale leader."""
    rounds = 0
    with site.town() as town:
        with town.traffic(events) as traffic:
            town.wait_in_sync(ALL)
            leader = town.known_leader()
            while traffic.acknowledged < 0.6 * events or rounds < 10:
                traffic.until(lambda: True, "callers that are well")
                site.cluster.pause(leader)
                time.sleep(0.45)
                site.cluster.resume(leader)
                time.sleep(0.15)
                rounds += 1
            traffic.until(lambda: town.leader() == leader, "the slow one leads")
            traffic.strike(lambda: site.cluster.pause(leader))
            town.known_leader(without=leader)
            traffic.go_on()
            site.cluster.resume(leader)
            town.wait_in_sync(ALL)
        return town.outcome(slow=leader, pauses=rounds, another_led_while_it_slept=True)
