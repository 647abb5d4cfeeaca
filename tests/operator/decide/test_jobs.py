"""decide/jobs: names, and pods that the restricted standard takes."""

from __future__ import annotations

from typing import Any

from rejoinder_operator.api.rounds import RoundSpec
from rejoinder_operator.decide.jobs import QUEUE_LABEL, Pods, job, job_name

from tests.operator.world import BASE, EXPORT, IMAGE

META = {"name": "assist-r0001", "namespace": "team", "uid": "u1"}
TRAIN = {name: f"r/{name}" for name in ("manifest", "pairs", "base", "out")}


def spec(**training: Any) -> RoundSpec:
    return RoundSpec.model_validate(
        {
            "loop": {"name": "assist", "uid": "k8s/team/u0"},
            "policy": "assist",
            "number": 1,
            "recipe": {"name": "assist"},
            "recipeDigest": "a" * 64,
            "baseModel": {"path": "base", "digest": BASE, "export": EXPORT},
            "image": IMAGE,
            "training": training,
            "volume": {"claimName": "models"},
        }
    )


def test_a_name_fits_whatever_the_round_is_called() -> None:
    assert job_name("assist-r0001", "train", 2) == "assist-r0001-train-2"
    long = [job_name("a" * 63, "train", attempt) for attempt in (1, 2)]
    assert [len(name) for name in long] == [63, 63]
    assert long[0] != long[1]


def test_pods_are_restricted_and_only_our_own_stages_are_given_addresses() -> None:
    for stage in ("prepare", "train", "finish"):
        pod = job(spec(), META, stage, 1, TRAIN, Pods(secret="s"))["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        container = pod["containers"][0]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not pod["automountServiceAccountToken"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert ("secrets" in volumes) == (stage != "train")


def test_our_own_stages_share_a_node_and_an_external_image_is_told_nothing() -> None:
    external = spec(backend="external", image=IMAGE.replace("rounds", "trl"))
    waits = {"name": "OMP_WAIT_POLICY", "value": "passive"}
    for made, told in ((spec(), ("prepare", "train", "finish")), (external, ("prepare", "finish"))):
        for stage in ("prepare", "train", "finish"):
            pod = job(made, META, stage, 1, TRAIN, Pods())["spec"]["template"]["spec"]
            assert (waits in pod["containers"][0]["env"]) == (stage in told)


def test_an_external_image_is_called_by_the_stage_contract() -> None:
    external = IMAGE.replace("rounds", "trl")
    made = job(spec(backend="external", image=external, command=["python", "t.py"]), META, "train", 1, TRAIN, Pods())
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["command"]) == (external, ["python", "t.py"])
    paths = [f"/volume/r/{name}" for name in ("manifest", "pairs", "base", "out")]
    assert container["args"] == [
        part for pair in zip(["--manifest", "--pairs", "--base", "--out"], paths, strict=True) for part in pair
    ]


def test_a_queue_gets_the_train_job_suspended_with_its_label() -> None:
    queued = job(spec(queueName="ml"), META, "train", 1, TRAIN, Pods())
    assert queued["spec"]["suspend"]
    assert queued["metadata"]["labels"][QUEUE_LABEL] == "ml"
    other = job(spec(queueName="ml"), META, "prepare", 1, TRAIN, Pods())
    assert not other["spec"]["suspend"]
    assert QUEUE_LABEL not in other["metadata"]["labels"]


def test_the_choices_of_a_template_reach_the_pod() -> None:
    template = {"limits": {"nvidia.com/gpu": "1"}, "nodeSelector": {"gpu": "yes"}, "tolerations": [{"key": "gpu"}]}
    pod = job(spec(template=template), META, "train", 1, TRAIN, Pods())["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"gpu": "yes"}, [{"key": "gpu"}])
