"""A model repository: what stands in it, what Triton is told, and what is refused."""

from __future__ import annotations

import json
import os

import pytest
from google.protobuf import json_format, text_format
from rejoinder.core.errors import BadFile, BadSettings, DataLoss, FailedPrecondition, InvalidArgument, NotFound
from rejoinder.core.modelfolder import FACTS, TOKENIZER, digest_of, seal, verified
from rejoinder.runtime.triton import sealed
from rejoinder.runtime.triton.repository import Placing, check, drop, only, versions, wanted, write
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup, ModelQueuePolicy

from tests.runtime.triton.graphs import model


@pytest.fixture
def first(tmp_path):
    return model(tmp_path / "first")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "repository"


def config(out, name="m"):
    return text_format.Parse((out / name / "config.pbtxt").read_text(), ModelConfig())


def test_a_version_is_a_whole_copy_under_a_number_that_its_digest_makes(first, out):
    digest = verified(first).digest
    number = write(first, out, "m", Placing())
    assert number == sealed.version_of(digest) == str(int(digest[:15], 16))
    assert int(number) < 2**63
    assert wanted(out) == {"m": {number}}
    there = out / "m" / number
    assert {each.name for each in first.iterdir()} < {each.name for each in there.iterdir()}
    assert sealed.digest_of(there) == sealed.digest_of(first) == digest_of(first) == digest
    check(there)


@pytest.mark.parametrize("backend", ["onnxruntime", "python"])
def test_triton_is_told_tensors_and_batches_in_its_own_words(first, out, backend):
    write(first, out, "m", Placing(backend, rows=32, threads=4, batches=True, queued=9, delay_us=50))
    told = config(out)
    assert (told.name, told.backend, told.max_batch_size) == ("m", backend, 32)
    assert [(each.name, list(each.dims)) for each in told.input] == [("ids", [-1])]
    assert {each.name: list(each.dims) for each in told.output} == {"score": [1], "vector": [2], "tokens": [-1, 3]}
    assert [each.name for each in told.output if each.HasField("reshape")] == ["score"]
    assert told.version_policy.HasField("all")
    queue = told.dynamic_batching.default_queue_policy
    assert (queue.timeout_action, queue.allow_timeout_override) == (ModelQueuePolicy.REJECT, True)
    assert (queue.max_queue_size, told.dynamic_batching.max_queue_delay_microseconds) == (9, 50)
    [group] = told.instance_group
    assert (group.kind, group.count) == (ModelInstanceGroup.KIND_CPU, 1)
    name = "threads" if backend == "python" else "intra_op_thread_count"
    assert told.parameters[name].string_value == "4"


def test_gpus_are_instance_groups(first, out):
    write(first, out, "m", Placing(gpus=(0, 2), instances=3))
    [group] = config(out).instance_group
    assert (group.kind, list(group.gpus), group.count) == (ModelInstanceGroup.KIND_GPU, [0, 2], 3)
    assert not config(out).HasField("dynamic_batching")


def test_a_second_version_touches_nothing_of_the_first(first, out, tmp_path):
    """What Triton finds written, it loads anew."""
    number = write(first, out, "m", Placing())
    before = {path: path.stat().st_mtime_ns for path in (out / "m").rglob("*")}
    other = write(model(tmp_path / "second", "another"), out, "m", Placing())
    assert write(first, out, "m", Placing()) == number
    assert versions(out / "m") == sorted([number, other])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # Nor does what runs it: the interpreter can keep nothing compiled there.
    assert (out / "m" / number / "__pycache__").is_file()


def test_a_configuration_of_chosen_versions_is_the_written_one_but_for_them(first, out, tmp_path):
    """Or Triton would load those anew that it has."""
    write(first, out, "m", Placing(gpus=(1,), batches=True))
    number = write(model(tmp_path / "second", "another"), out, "m", Placing(gpus=(1,), batches=True))
    found = json_format.Parse(only(out, "m", {number}), ModelConfig())
    assert list(found.version_policy.specific.versions) == [int(number)]
    found.version_policy.CopyFrom(config(out).version_policy)
    assert found == config(out)
    (out / "m" / "config.pbtxt").write_text("name: ")
    with pytest.raises(BadFile):
        only(out, "m", {number})


def test_a_dropped_version_is_gone_and_the_last_one_stays(first, out, tmp_path):
    number = write(first, out, "m", Placing())
    with pytest.raises(FailedPrecondition, match="last version"):
        drop(out, "m", number)
    other = write(model(tmp_path / "second", "another"), out, "m", Placing())
    drop(out, "m", number)
    assert wanted(out) == {"m": {other}}
    assert sorted(each.name for each in (out / "m").iterdir()) == sorted([other, "config.pbtxt"])
    with pytest.raises(NotFound):
        drop(out, "m", number)


def test_what_is_no_version_is_refused_and_leaves_nothing(first, out, tmp_path):
    other = model(tmp_path / "other", outputs={"score": ("rows",)})
    write(first, out, "m", Placing())
    with pytest.raises(FailedPrecondition, match="other tensors"):
        write(other, out, "m", Placing())
    with pytest.raises(FailedPrecondition, match="takes 64 rows"):
        write(first, out, "m", Placing(rows=63))
    with pytest.raises(InvalidArgument):
        write(first, out, "../m", Placing())
    with pytest.raises(BadFile):
        write(out, out, "n", Placing())
    (other / FACTS).write_text("{}")
    with pytest.raises(DataLoss):
        write(other, out, "n", Placing())
    assert wanted(out) == {"m": {sealed.version_of(verified(first).digest)}}


def test_a_version_that_is_not_what_its_number_says_is_found_out_f12(first, out):
    there = out / "m" / write(first, out, "m", Placing())
    renamed = there.with_name("7")
    os.rename(there, renamed)
    with pytest.raises(DataLoss, match="number"):
        check(renamed)
    os.rename(renamed, there)
    (there / TOKENIZER).write_text("[]")
    with pytest.raises(DataLoss, match="files"):
        check(there)
    (there / "digest").unlink()
    with pytest.raises(DataLoss, match="no digest"):
        check(there)


def test_a_folder_that_was_compiled_for_another_backend_is_refused_f12(first, out):
    """Triton would compute its graph in fp32 under a digest that stands for bfloat16."""
    facts = json.loads((first / FACTS).read_text())
    (first / FACTS).write_text(json.dumps(facts | {"run": {"backend": "openvino", "precision": "bf16"}}))
    seal(first)
    with pytest.raises(BadSettings, match="triton would compute its graph in fp32"):
        write(first, out, "m", Placing())
    assert not out.exists()
