"""The keeper: the server gets what the repository holds, a dead process is loaded anew, and nothing is done twice."""

from __future__ import annotations

import logging
import shutil
import threading

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Loading
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.triton import keeper as triton_keeper
from rejoinder.runtime.triton.keeper import Keeper
from rejoinder.runtime.triton.repository import Placing, drop, wanted, write

from tests.runtime.triton.fake import Server
from tests.runtime.triton.graphs import model

LOG = EventLog(logging.Logger("t", logging.CRITICAL))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    where = tmp_path_factory.mktemp("models")
    return model(where / "first"), model(where / "second", "another")


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


@pytest.fixture
def server(repository):
    return Server(lambda: wanted(repository))


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def keeper(server, repository, clock):
    return Keeper(server, repository, LOG, clock.monotonic)


def test_what_is_written_is_loaded_once_and_what_is_gone_is_let_go_of(keeper, server, repository, sources):
    keeper.look()
    assert server.did == []
    first = write(sources[0], repository, "m", Placing())
    keeper.look()
    keeper.look()
    assert (server.has, server.did) == ({"m": {first}}, [("load", "m")])
    second = write(sources[1], repository, "m", Placing())
    keeper.look()
    assert server.has == {"m": {first, second}}
    drop(repository, "m", first)
    keeper.look()
    assert server.has == {"m": {second}}
    shutil.rmtree(repository / "m")
    keeper.look()
    assert server.has == {}


def test_a_dead_process_is_unloaded_and_loaded(keeper, server, repository, sources):
    write(sources[0], repository, "m", Placing())
    write(sources[0], repository, "n", Placing())
    keeper.look()
    keeper.look()
    server.did.clear()
    server.dead.add("m")
    keeper.look()
    assert server.did == [("unload", "m"), ("load", "m")]
    keeper.look()
    assert server.did == [("unload", "m"), ("load", "m")]


def test_what_never_answered_dies_too_and_an_error_of_the_model_is_no_death(keeper, server, repository, sources, clock):
    """A process may die before it is first asked, or while no keeper runs. One that dies at zeros whenever it is loaded
    is left alone meanwhile."""
    write(sources[0], repository, "m", Placing())
    server.failing.add("m")
    keeper.look()
    keeper.look()
    assert server.did == [("load", "m")]
    healed = [("unload", "m"), ("load", "m")]
    server.dead.add("m")
    keeper.look()
    assert server.did[1:] == healed
    server.dead.add("m")
    clock.advance(29.0)
    keeper.look()
    assert server.did[1:] == healed
    clock.advance(1.0)
    keeper.look()
    assert server.did[1:] == healed * 2


def test_a_keeper_that_comes_to_a_dead_process_heals_it(server, repository, sources, clock):
    write(sources[0], repository, "m", Placing())
    Keeper(server, repository, LOG, clock.monotonic).look()
    server.dead.add("m")
    Keeper(server, repository, LOG, clock.monotonic).look()
    assert server.did == [("load", "m"), ("unload", "m"), ("load", "m")]


def test_a_model_that_could_not_be_unloaded_is_healed_by_the_next_look(keeper, server, repository, sources):
    write(sources[0], repository, "m", Placing())
    keeper.look()
    keeper.look()
    server.dead.add("m")
    server.stuck = True
    keeper.look()
    assert server.dead == {"m"}
    keeper.look()
    assert server.dead == set()
    assert server.did[1:] == [("unload", "m"), ("unload", "m"), ("load", "m")]


@pytest.mark.parametrize("dead", [True, False])
def test_behind_many_callers_a_dead_process_is_found_and_a_busy_one_left_alone(
    dead, keeper, server, repository, sources
):
    write(sources[0], repository, "m", Placing())
    keeper.look()
    keeper.look()
    server.waiting["m"] = 500
    if dead:
        server.dead.add("m")
    for _ in range(2):
        keeper.look()
    assert server.did == [("load", "m")]
    for _ in range(8):
        keeper.look()
    assert server.did[1:] == ([("unload", "m"), ("load", "m")] if dead else [])


def test_what_dies_again_and_again_is_left_longer_each_time_and_forgiven(keeper, server, repository, sources, clock):
    """Its model's other versions are away whenever it is loaded."""
    write(sources[0], repository, "m", Placing())
    keeper.look()
    keeper.look()

    def died(after_s):
        """Whether it was healed within so long of its last healing."""
        before = len(server.did)
        server.dead.add("m")
        keeper.look()
        assert len(server.did) == before or after_s == 0.0
        clock.advance(after_s)
        keeper.look()
        keeper.look()
        return server.dead == set()

    assert [died(rest) for rest in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0)] == [True] * 11
    server.dead.add("m")
    clock.advance(59.0)
    keeper.look()
    assert server.dead == {"m"}
    clock.advance(600.0)
    assert died(0.0)
    assert died(1.0)


def test_a_version_that_does_not_load_leaves_the_others_and_is_tried_again_later(
    keeper, server, repository, sources, clock
):
    first = write(sources[0], repository, "m", Placing())
    keeper.look()
    second = write(sources[1], repository, "m", Placing())
    server.bad.add(second)
    for _ in range(3):
        keeper.look()
    assert server.has == {"m": {first}}
    assert server.did == [("load", "m")] * 2
    # It is watched over all the same.
    server.dead.add("m")
    keeper.look()
    assert server.did[2:] == [("unload", "m"), ("load", "m")]
    server.bad.clear()
    clock.advance(31.0)
    keeper.look()
    assert server.has == {"m": {first, second}}


def test_a_version_that_is_not_what_it_says_is_left_out_and_the_others_load_f12(
    keeper, server, repository, sources, clock
):
    """Whether it is there first, or the others are; nor is it brought in by a healing."""
    bad = write(sources[1], repository, "m", Placing())
    file = repository / "m" / bad / "tokenizer.json"
    file.write_text("[]")
    keeper.look()
    assert server.did == []
    good = write(sources[0], repository, "m", Placing())
    server.bad.add(bad)
    keeper.look()
    keeper.look()
    assert server.has == {"m": {good}}
    server.dead.add("m")
    keeper.look()
    assert server.has == {"m": {good}}
    file.write_text("{}")
    server.bad.clear()
    keeper.look()
    assert server.has == {"m": {good}}
    clock.advance(30.0)
    keeper.look()
    assert server.has == {"m": {good, bad}}


def test_a_death_found_beside_a_new_version_takes_it_along(keeper, server, repository, sources):
    first = write(sources[0], repository, "m", Placing())
    keeper.look()
    keeper.look()
    second = write(sources[1], repository, "m", Placing())
    server.dead.add("m")
    keeper.look()
    assert server.did[1:] == [("load", "m"), ("unload", "m"), ("load", "m")]
    assert server.has == {"m": {first, second}}


def test_only_a_new_version_is_read_through(keeper, server, repository, sources, monkeypatch):
    """They are hundreds of megabytes, on the disk that the server reads from."""
    read = []
    monkeypatch.setattr(triton_keeper, "check", lambda folder: read.append(folder.name))
    first = write(sources[0], repository, "m", Placing())
    keeper.look()
    second = write(sources[1], repository, "m", Placing())
    keeper.look()
    drop(repository, "m", first)
    keeper.look()
    assert (read, server.has) == ([first, second], {"m": {second}})


def test_a_server_and_a_repository_that_are_away_are_waited_for(keeper, server, repository, sources):
    write(sources[0], repository, "m", Placing())
    server.away = True
    with pytest.raises(Loading):
        keeper.look()
    aside = repository.rename(repository.with_name("aside"))
    ended, looks = threading.Event(), []

    class Ended(threading.Event):
        """Ends after four looks, the server and the repository back for the last."""

        def wait(self, timeout=None):
            looks.append(dict(server.has))
            if len(looks) == 3:
                server.away = False
                aside.rename(repository)
            return len(looks) == 5

    ended = Ended()
    keeper.run(ended, 1.0)
    assert looks[:3] == [{}, {}, {}]
    assert set(looks[4]) == {"m"}
