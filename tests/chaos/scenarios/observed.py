"""Conversations that somebody else serves, read from a topic of theirs on the same brokers."""

from __future__ import annotations

from collections import Counter

from kafka.admin import NewTopic

from tests.chaos.harness import Traffic, wait_until
from tests.chaos.observe.test_killed import CALLERS, RATED, Application
from tests.chaos.scenarios.count import session
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import TOLD, Site, Town
from tests.system.kafka.world import admin_of
from tests.system.observe import world

KILLS = 4


def observe_killed(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 of the observer while an application writes; every answer, follow-up and rating of which its
    brokers took the record is in the ledger once."""
    with site.town() as town:
        brokers = town.settings.bootstrap
        topics = [world.topic_name(what) for what in ("chat", "ratings")]
        with admin_of(brokers) as admin:
            admin.create_topics([NewTopic(topic, 3, 3) for topic in topics])
            admin.wait_for_topics(topics)
        theirs = world.Theirs(brokers)
        application = Application(theirs, *topics)
        ours = {name: getattr(town.settings, name) for name in TOLD}
        settings = world.settings(
            brokers,
            f"127.0.0.1:{town.feedback.port}",
            dict(zip(topics, (world.FLAT, RATED), strict=True)),
            read={"batch": 100},
            into={"log": "kafka", "kafka": ours},
        )
        tenant, group = settings["into"]["tenant"], settings["read"]["group"]
        observer = world.observer_of(town.folder, settings)
        behind = []
        try:
            observer.start()
            with Traffic(CALLERS, application.say) as traffic:
                for kill in range(KILLS):
                    _events(town, tenant, traffic, (kill + 1) * events // (KILLS + 1))
                    wait_until(lambda: not world.caught_up(brokers, group, *topics), "something that is not read yet")
                    observer.kill()
                    behind.append(not world.caught_up(brokers, group, *topics))
                    observer.start()
                _events(town, tenant, traffic, events)
            traffic.check()
            wait_until(lambda: world.caught_up(brokers, group, *topics), "every record", 120.0)
            assert observer.terminate() == 0
            town.count()
        finally:
            observer.close()
            theirs.close()
        proven(all(behind), "it was killed when it had read everything")
        wanted, there = said(application), _stored(town, tenant)
        evidence = {"kills": KILLS, "records_behind_when_killed": behind}
        return Outcome.counted(wanted, there, evidence=evidence)


def said(application: Application) -> set[tuple[str, str]]:
    """What its records hold: (kind, the answer that it is about). What follows an answer is the turn behind it."""
    answers = application.answers
    names = [(name, *name.rsplit("-", 1)) for name in answers]
    followed = {("follow_up", name) for name, talk, turn in names if f"{talk}-{int(turn) + 2}" in answers}
    rated = {("rating", name) for name in application.ratings}
    return {("answer", name) for name in answers} | followed | rated


def _events(town: Town, tenant: str, traffic: Traffic, count: int) -> None:
    def enough() -> bool:
        traffic.check()
        return sum(_stored(town, tenant).values()) >= count

    wait_until(enough, f"{count} events in the ledger", 300.0)


def _stored(town: Town, tenant: str) -> Counter[tuple[str, str]]:
    query = (
        "SELECT 'answer', interaction_id, count(*) FROM interactions WHERE tenant = %(t)s GROUP BY 2 "
        "UNION ALL SELECT kind, interaction_id, count(*) FROM feedback WHERE tenant = %(t)s GROUP BY 1, 2"
    )
    with session(town.database) as database:
        return Counter({(kind, name): count for kind, name, count in database.execute(query, {"t": tenant})})
