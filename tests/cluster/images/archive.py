"""Images as one docker-archive, layers shared, which `ctr images import -` reads from a pipe."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.cluster.images.layers import Image


def config(image: Image, diffs: list[str]) -> dict[str, object]:
    """An OCI image configuration. diffs: SHA-256 of each layer's archive."""
    said = {
        "Env": [f"{name}={value}" for name, value in image.environment.items()],
        "Entrypoint": list(image.entry),
        "User": image.user,
        "WorkingDir": image.folder,
        "Labels": dict(image.labels),
    }
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {name: value for name, value in said.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in diffs]},
    }


def write(images: Mapping[str, Image], out: IO[bytes]) -> None:
    """images: by reference, such as `localhost/rejoinder/feedback:1`."""
    manifest, written = [], set()
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for reference, image in images.items():
            tars = [packed(layer) for layer in image.layers]
            body = json.dumps(config(image, [digest for _, digest in tars])).encode()
            name = f"{hashlib.sha256(body).hexdigest()}.json"
            if name not in written:
                _add(archive, name, body)
                written.add(name)
            for path, digest in tars:
                if digest not in written:
                    archive.add(path, f"{digest}.tar")
                    written.add(digest)
            manifest.append({"Config": name, "RepoTags": [reference], "Layers": [f"{each}.tar" for _, each in tars]})
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def packed(layer: Path) -> tuple[Path, str]:
    """(archive of a layer's folder, its SHA-256); written beside the folder once."""
    path, said = layer.with_suffix(".tar"), layer.with_suffix(".sha256")
    with (layer.parent / f".{layer.name}.tar.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            part = layer.with_suffix(".part")
            options = ("--sort=name", "--numeric-owner", "--owner=0", "--group=0", "--one-file-system")
            subprocess.run(["tar", "-C", str(layer), *options, "-cf", str(part), "."], check=True)
            part.rename(path)
            with path.open("rb") as file:
                part.write_text(hashlib.file_digest(file, "sha256").hexdigest())
            part.rename(said)
    return path, said.read_text()


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(body)
    archive.addfile(info, io.BytesIO(body))
