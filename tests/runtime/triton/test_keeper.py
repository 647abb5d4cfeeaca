"""The keeper: the server gets what the repository holds, a dead process is loaded anew, and nothing is done twice."""

from __future__ import annotations

import logging
import shutil
import threading

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Loading
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.triton.keeper import Keeper
from rejoinder.runtime.triton.repository import Placing, drop, wanted, write

from tests.runtime.triton.fake import Server
from tests.runtime.triton.graphs import model


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
    return Keeper(server, repository, EventLog(logging.Logger("t", logging.CRITICAL)), clock.monotonic)


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


def test_what_never_answered_has_not_died_and_an_error_of_the_model_is_no_death(keeper, server, repository, sources):
    """Else a model that fails at zeros would be loaded again and again, and never serve."""
    write(sources[0], repository, "m", Placing())
    server.failing.add("m")
    keeper.look()
    server.dead.add("m")
    keeper.look()
    server.dead.clear()
    server.failing.clear()
    keeper.look()
    server.failing.add("m")
    keeper.look()
    assert server.did == [("load", "m")]


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


def test_a_version_that_is_not_what_it_says_is_never_loaded_f12(keeper, server, repository, sources):
    there = repository / "m" / write(sources[0], repository, "m", Placing())
    (there / "tokenizer.json").write_text("[]")
    keeper.look()
    assert server.did == []


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
