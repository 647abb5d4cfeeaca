"""A broker that lives and cannot be reached."""

from __future__ import annotations

import socket

from tests.brokers import Cluster
from tests.chaos.harness import wait_until
from tests.chaos.scenarios.apart import Namespace
from tests.chaos.scenarios.brokers import ALL
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site

CUTS = 2


def partition(site: Site, events: int) -> Outcome:
    """F06, F07: a broker in a network namespace of its own, whose cable is pulled and put back, twice; it leads when
    it is cut off, goes on alone, and comes back to a cluster that has another leader."""
    cuts = []
    hosts = {1: Namespace.here, 2: Namespace.here, 3: Namespace.there}
    with Namespace() as away, Cluster(site.scratch("apart"), 3, hosts=hosts, within={3: away.within}) as cluster:
        cluster.start()
        host, port = cluster.address.split(",")[2].split(":")
        with site.town(cluster.address) as town:
            with town.traffic(events) as traffic:
                for number in range(CUTS):
                    traffic.reach((number + 1) / (CUTS + 2))
                    town.wait_in_sync(ALL)
                    # Leaders go back to the first of their copies by themselves, but not soon enough for a test.
                    led = town.led_by(3, known=True)
                    pending = traffic.strike(away.cut)
                    proven(away.cut_off, "the cable is still in")
                    wait_until(lambda: not town.led_by(3, without=3), "other leaders", 90.0)
                    proven(cluster.runs(3), "the broker behind the cut is dead")
                    proven(not _reached(host, int(port)), "the broker behind the cut can be reached")
                    wait_until(lambda: 3 not in town.in_sync(without=3), "a cluster without it", 90.0)
                    traffic.go_on()
                    away.mend()
                    cuts.append({"led": led, "calls_on_their_way": pending})
                town.wait_in_sync(ALL)
            proven(any(cut["led"] for cut in cuts), "the broker led nothing when it was cut off")
            return town.outcome(cuts=cuts, back_in_sync=True)


def _reached(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        try:
            return probe.connect_ex((host, port)) == 0
        except TimeoutError:
            return False
