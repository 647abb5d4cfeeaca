"""The images of services/Dockerfile made without a daemon; what an instruction changes is a layer, kept by content.

A layer is a folder in the user's cache, named after what it is made of: the layers below, the instruction, the bytes it
copies. RUN runs in the stage's own root, in a mount namespace that ends with it. Needs root and the network only
where a layer is not there yet. What the Dockerfile may say here is `INSTRUCTIONS`; anything else raises.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from loadtests.processes import ends_with_us
from tests.cluster.gobuild import cache, remove
from tests.cluster.images import base
from tests.cluster.images.dockerfile import Target, read

INSTRUCTIONS = ("ARG", "ENV", "COPY", "RUN", "WORKDIR", "USER", "LABEL", "ENTRYPOINT", "HEALTHCHECK")
#: Seconds of one RUN: a whole lock is fetched and compiled.
PATIENCE_S = 1200.0
#: Raised when the same instruction makes other files.
_CODE = "layers/1"
#: Layers that are kept, those of the last hour beside: every image has 25 together, most of them small.
_KEPT, _RECENT_S = 50, 3600.0
#: What RUN sees of this machine beside the stage's files: how it reaches the registries it is set up for.
_LENT = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl", "/etc/pip.conf")
_PASSED = (
    "PIP_",
    "SSL_CERT",
    "REQUESTS_CA",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


@dataclass(frozen=True)
class Image:
    """What a stage has come to. layers: folders, lowest first."""

    layers: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = ""
    entry: tuple[str, ...] = ()


class Builder:
    """context: the folder that COPY reads. given: stage → path in it → a folder that is taken instead of running the
    stage: what is dear to make and lies here already. values: of build arguments."""

    def __init__(
        self,
        context: Path,
        given: Mapping[str, Mapping[str, Path]],
        values: Mapping[str, str],
        targets: Mapping[str, Target] | None = None,
    ) -> None:
        self._context, self._given, self._values = context, given, values
        self._targets = targets or read()
        self._built: dict[str, Image] = {}
        self._folder = cache() / "images"

    def image(self, name: str) -> Image:
        """The target's image, built as far as it is not there."""
        if name not in self._built:
            self._built[name] = self._build(name, self._targets[name])
        return self._built[name]

    def _build(self, name: str, target: Target) -> Image:
        if target.base in self._targets:
            now = replace(self.image(target.base), entry=())
        else:
            bottom = base.made(self._folder / "base")
            now = Image((bottom,), {"PATH": base.PATH}, {"PYTHON_IMAGE": f"localhost/python@sha256:{bottom.name}"})
        for instruction, rest in target.lines:
            if instruction not in INSTRUCTIONS:
                raise NotImplementedError(f"{name}: {instruction}")
            now = getattr(self, f"_{instruction.lower()}")(now, rest)
        return now

    def _arg(self, now: Image, rest: str) -> Image:
        name, _, default = rest.partition("=")
        known = {**self._values, **({"PYTHON_IMAGE": now.arguments["PYTHON_IMAGE"]} if name == "PYTHON_IMAGE" else {})}
        return replace(now, arguments={**now.arguments, name: known.get(name, default)})

    def _env(self, now: Image, rest: str) -> Image:
        return replace(now, environment={**now.environment, **_pairs(now, rest)})

    def _label(self, now: Image, rest: str) -> Image:
        return replace(now, labels={**now.labels, **_pairs(now, rest)})

    def _workdir(self, now: Image, rest: str) -> Image:
        return replace(now, folder=rest)

    def _user(self, now: Image, rest: str) -> Image:
        return replace(now, user=rest)

    def _entrypoint(self, now: Image, rest: str) -> Image:
        return replace(now, entry=tuple(json.loads(rest)))

    def _healthcheck(self, now: Image, rest: str) -> Image:
        if rest != "NONE":
            raise NotImplementedError(f"HEALTHCHECK {rest}")
        return now

    def _copy(self, now: Image, rest: str) -> Image:
        *sources, target = rest.split()
        stage = sources.pop(0).removeprefix("--from=") if sources[0].startswith("--from=") else ""
        given = self._given.get(stage, {})
        lent = [folder for path in sources if (folder := _within(given, path))] if stage else []
        if lent:
            # No source of ours is in them: the same layer, whatever it is laid on.
            alone = self._layer(
                replace(now, layers=()), ["COPY", target, *map(_digest, lent)], lambda into: _copied(lent, into, target)
            )
            return replace(now, layers=(*now.layers, *alone.layers))
        if stage:
            other = self.image(stage)
            return self._layer(
                now, ["COPY", target, *sources, _key(other)], lambda into: _taken(other, sources, into, target)
            )
        found = [self._context / path for path in sources]
        return self._layer(now, ["COPY", target, *map(_digest, found)], lambda into: _copied(found, into, target))

    def _run(self, now: Image, rest: str) -> Image:
        said = {**now.environment, **now.arguments}
        return self._layer(
            now, ["RUN", rest, *sorted(f"{k}={v}" for k, v in said.items())], lambda into: _run(now, rest, into)
        )

    def _layer(self, now: Image, said: Sequence[str], make: object) -> Image:
        key = hashlib.sha256(json.dumps([_CODE, _key(now), *said]).encode()).hexdigest()[:32]
        folder = self._folder / "layers" / key
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f".{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            anew = not folder.exists()
            if anew:
                # Made beside its place and moved in whole: what was killed leaves no half layer.
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as part:
                    made = Path(part) / "files"
                    made.mkdir(mode=0o755)
                    make(made)  # type: ignore[operator]
                    made.rename(folder)
            os.utime(folder)
        if anew:
            forget(folder.parent)
        return replace(now, layers=(*now.layers, folder))


def forget(folder: Path, kept: int = _KEPT) -> None:
    """Takes away the folders in it that nobody has used for longest, with their archives, and what was left by those
    who were killed."""
    last = time.time() - _RECENT_S
    aged = sorted((_used(each), each) for each in folder.iterdir() if each.is_dir())
    whole = [(when, each) for when, each in aged if not each.name.startswith(".")]
    left = [(when, each) for when, each in aged if each.name.startswith(".")]
    for when, each in left + whole[:-kept]:
        if when > last:
            continue
        with (folder / f".{each.name}.lock").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if each.exists() and _used(each) == when:
                for beside in (".sha256", ".tar"):
                    each.with_name(each.name + beside).unlink(missing_ok=True)
                remove(each)


def _used(folder: Path) -> float:
    """When it was last; now, where somebody takes it away meanwhile."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _key(image: Image) -> str:
    return "/".join(layer.name for layer in image.layers)


def _pairs(now: Image, rest: str) -> dict[str, str]:
    known = {**now.environment, **now.arguments}
    return dict(Template(word).safe_substitute(known).split("=", 1) for word in shlex.split(rest))


def _within(given: Mapping[str, Path], path: str) -> Path | None:
    """The folder here that stands for a path of a stage."""
    for inside, folder in given.items():
        if path == inside or path.startswith(f"{inside}/"):
            return folder / path[len(inside) :].lstrip("/")
    return None


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def _digest(path: Path) -> str:
    """Of a file, or of a folder's files with their paths, without compiled sources. Raises FileNotFoundError."""
    if not path.exists():
        raise FileNotFoundError(path)
    found = hashlib.sha256()
    for each in _files(path):
        found.update(f"{each.relative_to(path)}\0{each.stat().st_mode & 0o111}\0".encode())
        found.update(hashlib.sha256(each.read_bytes()).digest())
    return found.hexdigest()


def _copied(sources: Sequence[Path], into: Path, target: str) -> None:
    """As COPY: a folder's content, or a file; readable for everybody, whatever this machine's umask made of it."""
    for source in sources:
        place = into / target.lstrip("/")
        if source.is_file() and target.endswith("/"):
            place = place / source.name
        for each in _files(source):
            file = place / each.relative_to(source) if source.is_dir() else place
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each, file)
            file.chmod(0o755 if each.stat().st_mode & 0o111 else 0o644)
    for each in [into, *into.rglob("*")]:
        if each.is_dir():
            each.chmod(0o755)


def _taken(image: Image, sources: Sequence[str], into: Path, target: str) -> None:
    """From another stage, as it stands there."""
    lines = []
    for source in sources:
        place = shlex.quote(f"{into}/{target.lstrip('/')}")
        # Whether a folder or a file is known only once the stage's root is mounted.
        lines.append(
            f'if [ -d "$ROOT{source}" ]; then mkdir -p {place} && cp -a "$ROOT{source}/." {place}; '
            f'else mkdir -p "$(dirname {place}x)" && cp -a "$ROOT{source}" {place}; fi'
        )
    _mounted(image, None, "\n".join(lines), {})


def _run(image: Image, command: str, into: Path) -> None:
    lent = [path for path in _LENT if Path(path).exists() and (image.layers[0] / path.lstrip("/")).exists()]
    binds = [f'mount --bind {path} "$ROOT{path}"' for path in lent]
    script = "\n".join(
        (
            'mount --rbind /dev "$ROOT/dev"',
            'mount -t proc proc "$ROOT/proc"',
            *binds,
            'exec env PATH="$IMAGE_PATH" "$(command -v chroot)" "$ROOT" /bin/sh -ec "$COMMAND"',
        )
    )
    passed = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
    passed.pop("PIP_FIND_LINKS", None)
    said = {**passed, **image.environment, **image.arguments, "COMMAND": command}
    _mounted(image, into, script, {**said, "IMAGE_PATH": said.pop("PATH")})
    for each in into.rglob("*"):
        if each.is_char_device():
            raise NotImplementedError(f"RUN takes {each.name} away, which no archive of ours says")


def _mounted(image: Image, upper: Path | None, script: str, environment: Mapping[str, str]) -> None:
    """Runs a shell with the image's root at $ROOT, writable into `upper`. The mounts end with it."""
    with tempfile.TemporaryDirectory(dir=cache() / "images" / "layers", prefix=".root-") as folder:
        root, work = Path(folder) / "root", Path(folder) / "work"
        root.mkdir()
        work.mkdir()
        lower = ":".join(str(layer) for layer in reversed(image.layers))
        options = f"lowerdir={lower}" + (f",upperdir={upper},workdir={work}" if upper else "")
        if not upper:
            # One layer alone would be refused.
            options = f"lowerdir={work}:{lower}"
        command = ["unshare", "-m", "-p", "-f", "--kill-child", "--propagation", "private", "/bin/sh", "-ec"]
        command += [f'ROOT={root}\nmount -t overlay overlay -o {options} "$ROOT"\n{script}']
        whole = {**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(
            command,
            env=whole,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            preexec_fn=ends_with_us(signal.SIGKILL),
        )
    if done.returncode:
        raise RuntimeError(f"{environment.get('COMMAND', script)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
