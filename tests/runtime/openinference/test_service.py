from __future__ import annotations

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import InvalidArgument, NotFound
from rejoinder.runtime.call import Call
from rejoinder.runtime.openinference import OpenInference, Output, TensorModel, TextInput
from rejoinder.v1 import open_inference_pb2 as oip


class Lengths:
    """A model: the length of each text. owns: the calls it was asked in."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def infer(self, texts, said, call):
        assert not said
        self.calls.append(call)
        return {"lengths": [len(text) for text in texts["texts"]]}


@pytest.fixture
def lengths():
    return Lengths()


@pytest.fixture
def service(lengths):
    inputs, outputs = (TextInput("texts"),), (Output("lengths", "INT64"),)
    return OpenInference("test", [TensorModel("lengths", "d1", "p", inputs, outputs, lengths.infer)])


def asked(**fields) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="lengths", id="7", **fields)
    request.inputs.add(name="texts", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"a", b"bcd"])
    return request


async def test_a_model_is_ready_in_the_version_that_is_served_and_in_no_other(service):
    for name, version, ready in (
        ("lengths", "", True),
        ("lengths", "d1", True),
        ("lengths", "d0", False),
        ("x", "", 0),
    ):
        request = oip.ModelReadyRequest(name=name, version=version)
        assert (await service.ModelReady(request, Call.local())).ready is bool(ready)


async def test_values_come_back_with_the_version_and_the_requests_id(service):
    answer = await service.ModelInfer(asked(), Call.local())
    assert (answer.model_name, answer.model_version, answer.id) == ("lengths", "d1", "7")
    assert list(answer.outputs[0].contents.int64_contents) == [1, 3]


async def test_an_unknown_model_or_version_is_not_found(service):
    with pytest.raises(NotFound):
        await service.ModelInfer(oip.ModelInferRequest(model_name="length"), Call.local())
    with pytest.raises(NotFound):
        await service.ModelMetadata(oip.ModelMetadataRequest(name="lengths", version="d0"), Call.local())


async def test_a_timeout_shortens_the_calls_deadline_and_never_lengthens_it(service, lengths):
    clock = ManualClock()
    for microseconds in (500_000, 5_000_000):
        request = asked()
        request.parameters["timeout"].int64_param = microseconds
        await service.ModelInfer(request, Call.local(clock, deadline_s=2.0))
    assert [call.deadline for call in lengths.calls] == [0.5, 2.0]
    request.parameters["timeout"].int64_param = 0
    with pytest.raises(InvalidArgument):
        await service.ModelInfer(request, Call.local(clock))
