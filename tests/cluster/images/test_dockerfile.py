"""services/Dockerfile: a target per process, pinned, non-root; what the chart starts is what an image holds."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from tests.cluster.chart.rendered import NAMES, component, pods, rendered
from tests.cluster.images.dockerfile import ROOT, STAGES, read

TARGETS = read()


def test_every_process_has_a_target_and_every_target_a_process() -> None:
    rows = re.findall(
        r"^\| `rejoinder[._](\w+)` \|", (ROOT / "services" / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert rows
    assert set(rows) <= set(TARGETS), set(rows) - set(TARGETS)
    assert set(TARGETS) - STAGES - set(rows) <= {"observe", "gateway", "operator", "embedded", "training"}


@pytest.mark.parametrize("name", sorted(set(TARGETS) - STAGES))
def test_a_target_starts_a_module_of_its_name(name: str) -> None:
    (entry,) = TARGETS[name].words("ENTRYPOINT")
    python, flag, module, *_ = json.loads(entry)
    assert (python, flag) == ("python3", "-m")
    package = module.split(".")[1] if "." in module else module
    assert package in (name, "cli", "rejoinder_operator")
    if name not in ("gateway", "operator"):
        assert importlib.util.find_spec(module) is not None


def test_bases_are_named_by_digest_or_not_at_all() -> None:
    text = (ROOT / "services" / "Dockerfile").read_text("utf-8")
    for name, target in TARGETS.items():
        assert target.base in ("${PYTHON_IMAGE}", *TARGETS), name
    assert re.search(r"^ARG PYTHON_IMAGE$", text, re.MULTILINE), "a default would be a tag that moves"
    assert "*@sha256:*)" in text, "a base without a digest must end the build"


def test_images_run_as_nobody_and_leave_health_to_the_probes() -> None:
    process = TARGETS["process"]
    assert process.words("USER") == ["65532:65532"]
    assert process.words("HEALTHCHECK") == ["NONE"]
    assert process.lines[-1] == ("USER", "65532:65532")
    for name in set(TARGETS) - STAGES:
        assert TARGETS[name].base == "process"
        assert not {line for line, _ in TARGETS[name].lines} & {"USER", "RUN", "HEALTHCHECK"}, name


def test_packages_are_installed_by_hash_alone() -> None:
    installs = [rest for target in TARGETS.values() for rest in target.words("RUN") if " install " in rest]
    assert len(installs) == 3
    assert all("--require-hashes" in rest for rest in installs)


def test_only_training_holds_torch() -> None:
    assert "\ntorch==" not in (ROOT / "requirements" / "services.txt").read_text()
    using = {name for name, target in TARGETS.items() if any("/src/training" in rest for _, rest in target.lines)}
    assert using == {"models", "training"}


@pytest.mark.parametrize("name", NAMES)
def test_the_chart_starts_images_that_are_made(name: str) -> None:
    for label, pod in pods(rendered(name)):
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]:
            image = container["image"].rpartition("/")[2].partition(":")[0].partition("@")[0]
            assert image in set(TARGETS) - STAGES | {"tritonserver"}, f"{label}: {image}"


def test_models_that_settings_name_lie_in_the_image() -> None:
    for config in rendered("production"):
        for path in re.findall(r"/opt/rejoinder/models/[\w/-]+", json.dumps(config.get("data", {}))):
            copies = TARGETS[component(config)].words("COPY")
            assert any(path.startswith(copy.split()[-1]) for copy in copies), f"{component(config)}: {path}"


def test_the_context_has_what_is_copied_and_no_more() -> None:
    kept = (ROOT / "services" / "Dockerfile.dockerignore").read_text().splitlines()
    copied = {
        part
        for target in TARGETS.values()
        for rest in target.words("COPY")
        if not rest.startswith("--from")
        for part in rest.split()[:-1]
    }
    assert kept[1] == "*"
    assert {line[1:] for line in kept if line.startswith("!")} == copied


@pytest.mark.parametrize(
    ("name", "stage", "lock"), [("operator", "operating", "operator"), ("training", "models", "training")]
)
def test_an_image_with_packages_of_its_own_lists_them(name: str, stage: str, lock: str) -> None:
    assert any(
        f"sbom.py /src/requirements/services.txt /src/requirements/{lock}.txt >" in r
        for r in TARGETS[stage].words("RUN")
    )
    assert f"--from={stage} /opt/rejoinder/sbom.cdx.json /opt/rejoinder/" in TARGETS[name].words("COPY")


def test_the_list_of_an_images_contents_is_its_lock() -> None:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "services" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    sbom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    lock = (ROOT / "requirements" / "services.txt").read_text("utf-8")
    found = sbom.bom(lock)["components"]
    assert len(found) == len(re.findall(r"^\S+==", lock, re.MULTILINE))
    assert all(each["properties"] for each in found)
    assert {"grpcio", "onnxruntime", "kafka-python"} <= {each["name"] for each in found}
    assert sbom.bom(lock + lock) == sbom.bom(lock), "a package of two locks stands once"
