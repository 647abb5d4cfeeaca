"""The policy service over a scenario's log: people who ask it, and what of their answers the ledger has."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rejoinder.clients import Connection, PolicyClient
from rejoinder.clients.policy import End
from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import Sampling
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.bootstrap import bootstrap
from rejoinder.registry.store import FolderStore

from tests.chaos.harness import Process, Recorder, Traffic, spooled, wait_until
from tests.chaos.scenarios.count import session
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site, Town
from tests.system.policy.world import POLICY, asking
from tests.tinypolicy import tiny_policy

PEOPLE = 3
COMMAND = (sys.executable, "-m", "rejoinder.policy")


def policy_of(town: Town, spool: Path) -> Process:
    """A policy process with a tiny model, not started."""
    registry = town.folder / f"registry-{spool.name}"
    store = FolderStore(registry)
    artefacts = Artefacts(store, registry / "artefacts")
    bootstrap(store, artefacts, POLICY, tiny_policy() / "export", now=time.time())
    settings = {
        "MODEL__REGISTRY": str(registry),
        "ENGINE__THREADS": "1",
        "RECORD__FEEDBACK": f"127.0.0.1:{town.feedback.port}",
        "RECORD__SPOOL": str(spool),
        "SERVER__METRICS_PORT": "0",
    }
    return town.process(f"policy-{spool.name}", "policy", COMMAND, settings, "ARMS__KAFKA", "ARMS__LOG")


class People:
    """Who ask and take no for an error: nothing is tried again. owns: clients, threads, their own record of answers
    that they saw to the end."""

    def __init__(self, port: int, folder: Path) -> None:
        self.seen = Recorder(folder / "seen")
        self.asked = 0
        self.errors: list[str] = []
        self._clients = [PolicyClient(Connection(f"127.0.0.1:{port}", deadline_s=60.0, tries=1)) for _ in range(PEOPLE)]
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @contextmanager
    def talking(self) -> Iterator[Traffic]:
        with Traffic(PEOPLE, lambda person, stop: self.ask(person)) as traffic:
            yield traffic
        traffic.check()

    def ask(self, person: int = 0, note: bool = True) -> str:
        """One question; the interaction's id. note: whether its answer is written down as promised."""
        with self._lock:
            self.asked += 1
            name = f"asked-{next(self._numbers)}"
        question = asking(user_id=f"u{person}", interaction_id=name, sampling=Sampling(1.0, max_tokens=4))
        try:
            complete = any(isinstance(part, End) for part in self._clients[person].generate(question))
        except RejoinderError as error:
            with self._lock:
                self.errors.append(error.reason)
            time.sleep(0.05)
            return name
        if complete and note:
            # On disk outside the service before the next question.
            self.seen.acknowledged([name])
        return name

    def close(self) -> None:
        self.seen.close()
        for client in self._clients:
            client.close()


def stored(town: Town) -> Counter[str]:
    """Completed answers that the ledger holds, by interaction."""
    query = "SELECT interaction_id, count(*) FROM interactions WHERE status = 'COMPLETED' GROUP BY interaction_id"
    with session(town.database) as database:
        return Counter(dict(database.execute(query).fetchall()))


def outcome_of(town: Town, people: People, spool: Path, **evidence: object) -> Outcome:
    """Counts once the spool is empty and the ledger has read what it sent."""
    wait_until(lambda: not spooled(spool), "an empty spool", 90.0)
    town.count()
    seen, there = set(people.seen.read()), stored(town)
    return Outcome.counted(
        seen,
        there,
        generated=people.asked,
        generate_errors=len(people.errors),
        evidence={**evidence, "errors": dict(Counter(people.errors))},
    )


def generate_while_all_else_dies(site: Site, events: int) -> Outcome:
    """F06, F07: people ask while the leading broker, the ingest process, the projector and PostgreSQL are killed in
    turn and are missing for some dozens of answers each. Nobody is refused, and every answer is in the ledger."""
    with site.town() as town:
        spool = town.folder / "spool"
        policy = policy_of(town, spool)
        policy.start()
        people = People(policy.port, town.folder)
        leader = town.known_leader(topic="interactions")
        blows = {
            "broker": (lambda: site.cluster.kill(leader), lambda: site.cluster.start(leader)),
            "feedback": (town.feedback.kill, town.feedback.start),
            "projector": (town.ledger.kill, town.ledger.start),
            "postgres": (site.postgres.kill, site.postgres.restart),
        }
        meanwhile = {}
        try:
            with people.talking() as traffic:
                for number, (name, (blow, mend)) in enumerate(blows.items(), 1):
                    _answers(people, traffic, number * events // 5)
                    blow()
                    before = people.seen.count
                    _answers(people, traffic, before + 24)
                    meanwhile[name] = people.seen.count - before
                    mend()
                _answers(people, traffic, events)
            proven(policy.starts == 1, "the policy process was started again")
            return outcome_of(town, people, spool, answers_while_away=meanwhile)
        finally:
            people.close()


def policy_killed(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 of the policy process itself while people are being answered. Answers break off; each that was
    seen to its end is in the ledger once, by way of the next process, which adopts the spool of the dead one."""
    kills = 4
    with site.town() as town:
        spool = town.folder / "spool"
        policy = policy_of(town, spool)
        policy.start()
        people = People(policy.port, town.folder)
        try:
            with people.talking() as traffic:
                for kill in range(kills):
                    _answers(people, traffic, max((kill + 1) * events // (kills + 1), people.seen.count + 20))
                    policy.kill()
                    policy.start()
                _answers(people, traffic, max(events, people.seen.count + 20))
            proven(people.errors, "nobody was being answered when it was killed")
            return outcome_of(town, people, spool, kills=kills)
        finally:
            people.close()


def _answers(people: People, traffic: Traffic, count: int) -> None:
    def enough() -> bool:
        traffic.check()
        return people.seen.count >= count

    wait_until(enough, f"{count} answers", 180.0)
