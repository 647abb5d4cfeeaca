"""cli/triton: a version of a folder or a registry into a repository; the last word of `--drop-others`."""

from __future__ import annotations

import json

import pytest
from google.protobuf import text_format
from rejoinder.cli.main import main
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.store import open_store
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.runtime.triton.graphs import model


def said(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as ended:
        main(["triton-repo", *map(str, arguments)])
    assert ended.value.code == code
    return capsys.readouterr()


def test_versions_of_a_folder_and_of_a_registry_stand_side_by_side_until_they_are_dropped(tmp_path, capsys):
    out = tmp_path / "repository"
    facts = json.loads(said(capsys, "--model", model(tmp_path / "bt"), "--out", out, "--json").out)
    assert (facts["name"], facts["others"], facts["backend"]) == ("bt", [], "onnxruntime")
    kept = Artefacts(open_store(str(tmp_path / "registry")), tmp_path / "registry" / "artefacts")
    kept.publish(Version("heads", "bt-2", kept.put(model(tmp_path / "second", "another")), kind="head"))
    of = ["--registry", tmp_path / "registry", "--policy", "heads", "--version", "bt-2", "--name", "bt"]
    second = json.loads(said(capsys, *of, "--out", out, "--json").out)
    assert second["others"] == [facts["version"]]
    said(capsys, *of, "--out", out, "--drop-others")
    assert [each.name for each in (out / "bt").iterdir() if each.is_dir()] == [second["version"]]


@pytest.mark.parametrize(
    ("arguments", "batches", "instances"),
    [([], False, 1), (["--gpu", "0"], True, 2), (["--gpu", "0", "--no-batches"], False, 1), (["--batches"], True, 2)],
)
def test_triton_makes_batches_of_its_own_on_gpus_and_never_with_one_instance(
    arguments, batches, instances, tmp_path, capsys
):
    said(capsys, "--model", model(tmp_path / "bt"), "--out", tmp_path / "out", *arguments)
    told = text_format.Parse((tmp_path / "out" / "bt" / "config.pbtxt").read_text(), ModelConfig())
    assert (told.HasField("dynamic_batching"), told.instance_group[0].count) == (batches, instances)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say --model FOLDER"),
        (["--registry", "r"], "say --model FOLDER"),
        (["--model", "m", "--registry", "r"], "say --model FOLDER"),
        (["--registry", "memory://r", "--policy", "p", "--version", "v"], "say --artefacts FOLDER"),
        (["--model", "{tmp}/none"], "holds no model.onnx"),
    ],
)
def test_a_persons_mistake_is_said(arguments, words, tmp_path, capsys):
    told = [each.replace("{tmp}", str(tmp_path)) for each in arguments]
    assert words in said(capsys, *told, "--out", tmp_path / "out", code=2).err
