from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.errors import BadEncoding, EmptyField, InvalidArgument, TooLong, UnknownRow
from rejoinder.runtime.openinference.model import Output, TextInput
from rejoinder.runtime.openinference.tensors import answer, parameters, texts
from rejoinder.v1 import open_inference_pb2 as oip
from tritonclient.grpc import service_pb2 as theirs

KNOWN = (TextInput("query", size=1), TextInput("candidates"), TextInput("ids", required=False))
OUTPUTS = (Output("ids", "BYTES"), Output("index", "INT64"), Output("scores", "FP64"))


def request(raw: bool = False, **tensors: list[str]) -> oip.ModelInferRequest:
    out = oip.ModelInferRequest(id="r1")
    for name, values in tensors.items():
        elements = [value.encode() for value in values]
        tensor = out.inputs.add(name=name, datatype="BYTES", shape=[len(values)])
        if raw:
            out.raw_input_contents.append(b"".join(struct.pack("<I", len(e)) + e for e in elements))
        else:
            tensor.contents.bytes_contents.extend(elements)
    return out


def test_every_message_has_the_fields_that_the_real_client_sends_and_reads():
    """Numbers, types and labels of the client's own generated code."""
    for name, ours in oip.DESCRIPTOR.message_types_by_name.items():
        their = theirs.DESCRIPTOR.message_types_by_name[name]
        for field in their.fields:
            mine = ours.fields_by_name[field.name]
            assert (mine.number, mine.type, mine.is_repeated) == (field.number, field.type, field.is_repeated), name
        assert set(ours.fields_by_name) <= set(their.fields_by_name)
    served = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    assert set(served) <= set(theirs.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name)


@pytest.mark.parametrize("raw", [False, True])
def test_texts_come_out_as_they_went_in_raw_or_typed(raw):
    asked = request(raw, query=["wo?"], candidates=["", "größer", "a\0b"])
    assert texts(asked, KNOWN) == {"query": ["wo?"], "candidates": ["", "größer", "a\0b"]}


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_raw_bytes_are_texts_or_a_refusal(data):
    asked = request(raw=True, query=["q"], candidates=["c"])
    asked.raw_input_contents[1] = data
    with suppress(InvalidArgument):
        assert len(texts(asked, KNOWN)["candidates"]) == 1


def broken(change) -> oip.ModelInferRequest:
    asked = request(query=["q"], candidates=["a", "b"])
    change(asked)
    return asked


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda r: r.inputs.add(name="querry", datatype="BYTES"), UnknownRow),
        (lambda r: r.inputs.add(name="query", datatype="BYTES"), BadEncoding),
        (lambda r: setattr(r.inputs[0], "datatype", "FP32"), BadEncoding),
        (lambda r: r.inputs[1].shape.append(1), BadEncoding),
        (lambda r: r.inputs[1].shape.__setitem__(0, 3), BadEncoding),
        (lambda r: r.inputs[0].contents.bytes_contents.append(b"two"), BadEncoding),
        (lambda r: r.inputs[1].contents.bytes_contents.__setitem__(0, b"\xff"), BadEncoding),
        (lambda r: r.inputs[1].parameters["shared_memory_region"].__setattr__("string_param", "x"), InvalidArgument),
        (lambda r: r.inputs.__delitem__(0), EmptyField),
        (lambda r: r.raw_input_contents.append(b""), BadEncoding),
        (lambda r: r.raw_input_contents.extend([b"", b""]), BadEncoding),
    ],
)
def test_what_is_no_request_of_the_model_is_refused_with_a_reason(change, error):
    with pytest.raises(error):
        texts(broken(change), KNOWN)


@pytest.mark.parametrize("raw", [False, True])
def test_more_elements_than_any_model_takes_are_not_taken_apart(raw):
    with pytest.raises(TooLong):
        texts(request(raw, query=["q"], candidates=[""] * 10_001), KNOWN)
    assert len(texts(request(raw, query=["q"], candidates=[""] * 10_000), KNOWN)["candidates"]) == 10_000


def test_parameters_are_typed_and_one_that_nobody_reads_is_an_error():
    given = {"top_n": oip.InferParameter(int64_param=3), "temperature": oip.InferParameter(int64_param=1)}
    assert parameters(given, {"top_n": int, "temperature": float}) == {"top_n": 3, "temperature": 1.0}
    with pytest.raises(UnknownRow, match="topn"):
        parameters({"topn": given["top_n"]}, {"top_n": int})
    for wrong in (oip.InferParameter(bool_param=True), oip.InferParameter(string_param="3"), oip.InferParameter()):
        with pytest.raises(InvalidArgument):
            parameters({"top_n": wrong}, {"top_n": int})


def test_outputs_come_as_they_were_asked_for_raw_where_the_inputs_were():
    values = {"ids": ["x", "yy"], "index": [1, 0], "scores": [0.5, -2.0]}
    typed = answer(request(query=["q"]), "d1", OUTPUTS, values)
    assert (typed.id, typed.model_version, [o.name for o in typed.outputs]) == ("r1", "d1", ["ids", "index", "scores"])
    assert list(typed.outputs[0].contents.bytes_contents) == [b"x", b"yy"]
    assert list(typed.outputs[2].contents.fp64_contents) == [0.5, -2.0]
    asked = request(raw=True, query=["q"])
    asked.outputs.add(name="scores")
    raw = answer(asked, "d1", OUTPUTS, values)
    assert [o.name for o in raw.outputs] == ["scores"]
    assert np.frombuffer(raw.raw_output_contents[0], "<f8").tolist() == [0.5, -2.0]
    asked.outputs.add(name="scores")
    # An answer as large as a caller likes for some bytes each.
    with pytest.raises(BadEncoding, match="twice"):
        answer(asked, "d1", OUTPUTS, values)
    asked.outputs[1].name = "score"
    with pytest.raises(UnknownRow, match="known: ids, index, scores"):
        answer(asked, "d1", OUTPUTS, values)
