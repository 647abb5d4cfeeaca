"""rollouts/replicas: every replica counts, also the one that does not answer (F12)."""

from __future__ import annotations

from rejoinder.rollout.counter import Drawn
from rejoinder.rollout.state import Replica as Reported
from rejoinder.rollouts.replicas import Replicas

from tests.rollouts.world import GOOD, NEW


def test_what_is_served_is_what_is_ready(world) -> None:
    replicas = world.ports().replicas
    served = (("r41", "d41"),)
    assert replicas.look() == tuple(Reported(n, served, Drawn(f"{n}-1"), shadows=True) for n in "ab")
    replicas.load(NEW)
    assert [r.serves for r in replicas.look()] == [(("r41", "d41"),)] * 2
    world.clock.advance(1.0)
    assert [r.serves for r in replicas.look()] == [(("r41", "d41"), ("r42", "d42"))] * 2


def test_a_replica_that_does_not_answer_serves_nothing_and_is_told_once(world) -> None:
    replicas = world.ports().replicas
    world.replicas["b"].away = True
    for _ in range(3):
        assert [r.serves for r in replicas.look()] == [(("r41", "d41"),), ()]
        assert replicas.look()[1].drawn == Drawn()
    assert world.told == [("b", "", "UNAVAILABLE")]
    world.replicas["b"].away = False
    replicas.look()
    world.replicas["b"].away = True
    replicas.look()
    assert len(world.told) == 2


def test_only_those_that_lack_a_version_are_asked_to_load_it(world) -> None:
    asked = []

    class Counts:
        def __init__(self, name, replica) -> None:
            self.name, self.replica = name, replica

        def arms(self, policy=""):
            return self.replica.arms(policy)

        def likelihood(self, messages, continuations, policy="", version="", deadline_s=None):
            asked.append((self.name, policy, version))
            return self.replica.likelihood(messages, continuations, policy, version)

    clients = {name: Counts(name, replica) for name, replica in world.replicas.items()}
    replicas = Replicas(clients, "assist", lambda *said: None)
    replicas.load(GOOD)
    assert asked == []
    world.replicas["a"].loaded["r42"] = ("d42", 0.0)
    replicas.load(NEW)
    assert asked == [("b", "assist", "r42")]
