"""layers and archive: what a Dockerfile says becomes an image, each part of it made once. No root: nothing is run."""

from __future__ import annotations

import fcntl
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.cluster import gobuild
from tests.cluster.images import archive, base
from tests.cluster.images.dockerfile import read
from tests.cluster.images.layers import Builder, Image, forget

TEXT = """
FROM ${PYTHON_IMAGE} AS process
ARG VERSION=1
LABEL version="${VERSION}" \\
      name="a b"
ENV PATH=/opt/bin:/usr/bin \\
    HOME=/tmp
WORKDIR /opt
COPY src /opt/lib
HEALTHCHECK NONE
USER 65532:65532
FROM process AS feedback
COPY settings.yaml /opt/settings/
ENTRYPOINT ["python3", "-m", "feedback"]
"""


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With sources; the base is an empty folder, and the cache the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bottom = tmp_path / "base"
    bottom.mkdir()
    monkeypatch.setattr(base, "made", lambda folder: bottom)
    found = tmp_path / "context"
    (found / "src" / "__pycache__").mkdir(parents=True)
    (found / "src" / "a.py").write_text("one")
    (found / "src" / "__pycache__" / "a.pyc").write_text("compiled")
    (found / "settings.yaml").write_text("{}")
    return found


def image(context: Path, name: str = "feedback", text: str = TEXT) -> Image:
    return Builder(context, {}, {"VERSION": "2"}, read(text)).image(name)


def test_an_image_is_what_its_target_and_those_below_say(context: Path) -> None:
    made = image(context)
    said = archive.config(made, [])["config"]
    assert said == {
        "Env": ["PATH=/opt/bin:/usr/bin", "HOME=/tmp"],
        "Entrypoint": ["python3", "-m", "feedback"],
        "User": "65532:65532",
        "WorkingDir": "/opt",
        "Labels": {"version": "2", "name": "a b"},
    }
    files = {str(path.relative_to(layer)) for layer in made.layers for path in layer.rglob("*") if path.is_file()}
    assert files == {"opt/lib/a.py", "opt/settings/settings.yaml"}
    assert all(path.stat().st_mode & 0o005 for layer in made.layers[1:] for path in layer.rglob("*")), "nobody reads it"


def test_a_layer_is_made_once_and_anew_when_its_files_change(context: Path) -> None:
    first = image(context).layers
    (context / "src" / "__pycache__" / "a.pyc").write_text("compiled again")
    assert image(context).layers == first
    (context / "settings.yaml").write_text("{a: 1}")
    second = image(context).layers
    assert (second[:-1], second[-1] != first[-1]) == (first[:-1], True)
    (context / "src" / "a.py").chmod(0o755)
    assert image(context).layers[1] != first[1]


def test_an_instruction_that_is_not_followed_is_no_image(context: Path) -> None:
    with pytest.raises(NotImplementedError, match="VOLUME"):
        image(context, text=TEXT + "VOLUME /data\n")
    with pytest.raises(FileNotFoundError):
        image(context, text=TEXT + "COPY nothing /opt\n")


def test_images_of_one_archive_share_their_layers(context: Path) -> None:
    out = io.BytesIO()
    archive.write({"localhost/a:1": image(context), "localhost/b:1": image(context, "process")}, out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as found:
        names = found.getnames()
        member = found.extractfile("manifest.json")
        assert member is not None
        manifest = json.loads(member.read())
    assert len(names) == len(set(names))
    one, two = manifest
    assert (one["RepoTags"], two["Layers"]) == (["localhost/a:1"], one["Layers"][:-1])
    assert set(one["Layers"]) <= set(names)


def test_what_is_given_is_the_same_layer_whatever_it_is_laid_on(context: Path, tmp_path: Path) -> None:
    """Otherwise each change of a source would make gigabytes of models anew."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base").write_text("weights")
    text = TEXT + "COPY --from=models /models /models\n"

    def built() -> tuple[Path, ...]:
        return Builder(context, {"models": {"/models": tmp_path / "models"}}, {}, read(text)).image("feedback").layers

    first = built()
    (context / "src" / "a.py").write_text("two")
    second = built()
    assert (second[-1], second[-2] != first[-2]) == (first[-1], True)


def test_layers_that_nobody_has_used_for_long_are_taken_away(context: Path) -> None:
    layers = image(context).layers[1:]
    for layer in layers:
        archive.packed(layer)
    folder, killed = layers[0].parent, layers[0].parent / ".part-killed"
    killed.mkdir()
    old, new = layers
    forget(folder, kept=1)
    assert all(each.exists() for each in (*layers, killed)), "somebody may be using them"
    for age, each in enumerate((new, old, killed)):
        os.utime(each, (0, 100 - age))
    with (folder / f".{old.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        forget(folder, kept=1)
        assert (old.exists(), killed.exists()) == (True, False)
    forget(folder, kept=1)
    assert {each.name for each in folder.iterdir() if not each.name.endswith(".lock")} == {
        new.name,
        f"{new.name}.tar",
        f"{new.name}.sha256",
    }


def test_a_removal_that_is_killed_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "file").touch()

    def killed(path: Path, **_: object) -> None:
        if path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(gobuild.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        gobuild.remove(tmp_path / "store")
    assert [each.name.startswith(".") for each in tmp_path.iterdir()] == [True]
