"""An OpenAI-compatible server on loopback, asked by the second judge: what it gets, what each way of failing costs."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Message, Role
from rejoinder.signals.chat import REST_S, ChatEndpoint

TALK = (Message(Role.SYSTEM, "the rubric"), Message(Role.USER, "secret words"))
Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


def said(word: str) -> tuple[int, bytes]:
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": word}}]}).encode()


class Server:
    """owns: the server, its thread, and what it was asked. answer: what it says; hold: it waits for this first;
    parts: how it sends it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.answer: Answer = lambda body: said("SAT")
        self.hold = threading.Event()
        self.hold.set()
        self.parts: Callable[[bytes], Iterable[bytes]] = lambda value: (value,)
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                mine.asked.append((self.path, body, dict(self.headers)))
                mine.hold.wait(60)
                status, value = mine.answer(body)
                self.send_response(status)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.send_header("content-length", str(len(value)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    for part in mine.parts(value):
                        self.wfile.write(part)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.hold.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


class Asking:
    """owns: the client, its clock, and why answers were missing."""

    def __init__(self, url: str, key_file: Path | None = None, wait_s: float = 60.0) -> None:
        self.clock, self.missed = ManualClock(), list[str]()
        self.chat = ChatEndpoint(url, "judge", key_file, wait_s, 4, self.clock, self.missed.append)

    def has_time(self) -> None:
        """For what must be answered."""
        self.chat._wait_s = 60.0

    def ask(self, count: int = 1) -> list[str | None]:
        return list(self.chat.ask([TALK] * count))


@pytest.fixture
def asking(server: Server) -> Asking:
    return Asking(server.url)


def test_the_server_is_asked_as_openais_is_with_the_key_from_its_file(server, tmp_path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1\n")
    asking = Asking(server.url, key)
    assert asking.ask() == ["SAT"]
    ((path, body, headers),) = server.asked
    assert path == "/v1/chat/completions"
    assert body["model"] == "judge"
    assert body["messages"] == [
        {"role": "system", "content": "the rubric"},
        {"role": "user", "content": "secret words"},
    ]
    assert body["temperature"] == 0
    assert {name.lower(): value for name, value in headers.items()}["authorization"] == "Bearer sk-1"


def test_many_questions_come_back_in_their_order(server, asking) -> None:
    talks = [(Message(Role.USER, f"q{n}"),) for n in range(12)]
    server.answer = lambda body: said(body["messages"][0]["content"].upper())
    assert asking.chat.ask(talks) == [f"Q{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, b"{}"), "status 500"),
        ((302, b""), "status 302"),
        ((200, b"no json"), "no such answer"),
        ((200, b"[]"), "no such answer"),
        ((200, b'{"choices": []}'), "no such answer"),
        ((200, b'{"choices": [{"message": {"content": null}}]}'), "no such answer"),
        ((200, b'"' + b"x" * 100_000 + b'"'), "no such answer"),
    ],
    ids=["refused", "sent elsewhere", "no JSON", "another shape", "no choice", "no text", "too long"],
)
def test_whatever_is_no_answer_is_a_missing_one_and_told_without_words(server, asking, answer, why) -> None:
    server.answer = lambda body: answer
    assert asking.ask() == [None]
    assert asking.missed == [why]


def test_a_server_that_is_not_there_is_no_error_of_ours() -> None:
    asking = Asking("http://127.0.0.1:1/v1")
    assert asking.ask(2) == [None, None]
    assert asking.missed == ["ConnectError"] * 2


def test_one_that_does_not_answer_in_time_costs_that_time_once(server) -> None:
    server.hold.clear()
    asking = Asking(server.url, wait_s=1.0)
    assert asking.ask(2) == [None, None]
    assert asking.ask(2) == [None, None]
    assert asking.missed == ["late", "late", "resting"]
    assert len(server.asked) <= 2
    server.hold.set()
    asking.has_time()
    asking.clock.advance(REST_S)
    assert asking.ask() == ["SAT"]


def test_one_that_drips_its_answer_ends_with_the_time_and_holds_nobody(server) -> None:
    """Each part comes well within the time; all of them never would."""
    ended = threading.Event()

    def dripped(value: bytes) -> Iterator[bytes]:
        yield b" "
        while not ended.wait(0.05):
            yield b" "

    server.parts = dripped
    asking = Asking(server.url, wait_s=0.5)
    assert asking.ask(5) == [None] * 5
    assert asking.missed == ["late"] * 5
    server.parts = lambda value: (value,)
    asking.has_time()
    asking.clock.advance(REST_S)
    assert asking.ask(5) == ["SAT"] * 5
    ended.set()


@pytest.mark.parametrize(("answered", "rests"), [(2, False), (1, True)], ids=["half", "less"])
def test_one_that_answers_less_than_half_is_left_alone_and_one_that_answers_half_is_not(
    server, asking, answered, rests
) -> None:
    server.answer = lambda body: said("SAT") if int(body["messages"][0]["content"]) < answered else (500, b"")
    talks = [(Message(Role.USER, str(n)),) for n in range(4)]
    assert asking.chat.ask(talks) == ["SAT"] * answered + [None] * (4 - answered)
    asking.chat.ask(talks)
    assert (asking.missed[-1] == "resting") is rests


def test_an_address_that_is_none_is_said_before_anything_is_asked() -> None:
    with pytest.raises(BadSettings):
        Asking("http://there:port/v1")


def test_a_key_that_cannot_be_read_is_told_by_its_kind(server, tmp_path) -> None:
    asking = Asking(server.url, tmp_path / "none")
    assert asking.ask() == [None]
    assert asking.missed == ["FileNotFoundError"]
    assert server.asked == []
