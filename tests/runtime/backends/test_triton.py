"""The Triton backend without a server: what is asked, by when, and what its errors become."""

from __future__ import annotations

import sys
from types import SimpleNamespace as Plain

import numpy as np
import pytest
from rejoinder.core.errors import BadSettings, DataLoss, DeadlineExceeded, Loading, QueueFull, RejoinderError
from rejoinder.core.modelfolder import ModelFolder
from rejoinder.runtime.backends import triton
from rejoinder.runtime.backends.triton import TritonGraph, TritonParams, error_of, open_graph
from rejoinder.runtime.triton.sealed import version_of

from tests.runtime.triton.fake import failure

DIGEST = "ab" * 32
FOLDER = ModelFolder(None, DIGEST, {})


class Sums:
    """A server's client: `score`, a number a row in an array of one, and the rows as they came. owns: what it was
    told."""

    def __init__(self, version: str = version_of(DIGEST)) -> None:
        self.asked: list[tuple[int, dict[str, object]]] = []
        self.closed = False
        self.slow = False
        self._version = version

    def infer(self, model, inputs, **said):
        [ids] = inputs
        if self.slow:
            raise failure("DEADLINE_EXCEEDED", "Deadline Exceeded")
        values = np.frombuffer(ids._raw_content, np.int64).reshape(ids.shape())
        self.asked.append((len(values), {"model": model, **said}))
        outputs = {"score": values.sum(1, keepdims=True), "rows": values}
        told = Plain(model_version=self._version, outputs=[Plain(name=name) for name in outputs])
        return Plain(get_response=lambda: told, as_numpy=outputs.__getitem__)

    def is_model_ready(self, model, version, client_timeout):
        return True

    def get_model_config(self, model, version, client_timeout):
        return Plain(config=CONFIG)

    def close(self):
        self.closed = True


class Output(Plain):
    def HasField(self, name):
        return self.name == "score"


CONFIG = Plain(max_batch_size=2, output=[Output(name="score"), Output(name="rows")])


def graph(client, call_s=30.0):
    made = TritonGraph(client, FOLDER, TritonParams(model="m", call_s=call_s))
    assert made.ready()
    return made


def test_rows_go_in_parts_that_the_server_takes_and_come_back_in_order():
    client = Sums()
    out = graph(client).infer({"ids": np.arange(10).reshape(5, 2)})
    assert out["score"].tolist() == [1, 5, 9, 13, 17]
    assert out["rows"].tolist() == np.arange(10).reshape(5, 2).tolist()
    assert [rows for rows, _ in client.asked] == [2, 2, 1]


def test_the_version_is_named_and_the_deadline_carried_to_the_servers_own_queue():
    client = Sums()
    made = graph(client, call_s=3.0)
    for left_s in (None, 1.5, 9.0):
        made.infer({"ids": np.ones((1, 1), np.int64)}, left_s)
    said = [each for _, each in client.asked]
    assert {(each["model"], each["model_version"]) for each in said} == {("m", version_of(DIGEST))}
    assert [each["client_timeout"] for each in said] == pytest.approx([3.0, 1.5, 3.0], abs=0.1)
    assert [each["timeout"] for each in said] == pytest.approx([3e6, 1.5e6, 3e6], abs=1e5)
    with pytest.raises(DeadlineExceeded):
        made.infer({"ids": np.ones((1, 1), np.int64)}, -0.1)
    assert len(client.asked) == 3


def test_a_call_that_takes_too_long_is_the_servers_fault_where_its_caller_would_wait():
    client = Sums()
    made = graph(client, call_s=3.0)
    client.slow = True
    for left_s, ours in ((None, Loading), (9.0, Loading), (1.5, DeadlineExceeded)):
        with pytest.raises(ours):
            made.infer({"ids": np.ones((1, 1), np.int64)}, left_s)


def test_an_answer_of_other_weights_is_never_passed_on():
    with pytest.raises(DataLoss):
        graph(Sums("7")).infer({"ids": np.ones((1, 1), np.int64)})


@pytest.mark.parametrize(
    ("status", "text", "ours"),
    [
        ("UNAVAILABLE", "Socket closed", Loading),
        ("UNAVAILABLE", "Request for unknown model: 'm' version 7 is not at ready state", Loading),
        ("NOT_FOUND", "Request for unknown model: 'm' version 7 is not found", Loading),
        ("INTERNAL", "Stub process 'm_0_0' is not healthy.", Loading),
        ("INTERNAL", "Failed to obtain the health mutex.", Loading),
        ("UNAVAILABLE", "[request id: <id_unknown>] Exceeds maximum queue size", QueueFull),
        ("CANCELLED", "", Loading),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceeded),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", RejoinderError),
        ("INTERNAL", "Failed to process the request(s) for 'm', message: words of a user", RejoinderError),
        ("INVALID_ARGUMENT", "inference request batch-size must be <= 2", RejoinderError),
        ("", "", RejoinderError),
    ],
)
def test_its_errors_are_ours_and_its_text_goes_no_further(status, text, ours):
    error = error_of(failure(status, text))
    assert type(error) is ours
    assert (error.retry_after_s is not None) == (ours in (Loading, QueueFull))
    assert not text or text not in error.message


class Starting(Sums):
    """Serves the version from the third look on."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def is_model_ready(self, model, version, client_timeout):
        self.looks += 1
        if self.looks == 1:
            raise failure("UNAVAILABLE")
        return self.looks == 3


def test_a_start_waits_for_the_version_as_long_as_it_was_told(monkeypatch, tmp_path):
    folder = ModelFolder(tmp_path / "bt", DIGEST, {})
    client = Starting()
    monkeypatch.setattr(triton, "client_of", lambda target: client)
    made = open_graph(folder, TritonParams(wait_s=60.0))
    with pytest.raises(Loading):
        made.infer({"ids": np.ones((1, 3), np.int64)})
    assert [made.ready() for _ in range(3)] == [False, False, True]
    assert made.digest == DIGEST
    assert made.infer({"ids": np.ones((1, 3), np.int64)})["score"].tolist() == [3]
    assert client.asked[0][1]["model"] == "bt"
    made.close()
    assert client.closed
    client.looks = 0
    with pytest.raises(Loading):
        open_graph(folder, TritonParams(wait_s=0.0)).ready()


def test_without_the_client_library_the_setting_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(BadSettings, match=r"rejoinder\[triton\]"):
        open_graph(FOLDER, TritonParams())
