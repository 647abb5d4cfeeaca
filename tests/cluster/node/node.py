"""A whole Kubernetes on this machine, for a test: control plane, one node that runs pods, their names.

    with Node(images("feedback")) as node:
        node.call("POST", "/api/v1/namespaces", …)

etcd, kube-apiserver, kube-controller-manager, kube-scheduler, containerd, kubelet, kube-proxy and CoreDNS run in
network, mount and process namespaces of their own: the machine's interfaces, rules, mounts and settings stay as they
are, and one kill takes everything away. Control groups are the machine's; they have a name of their own and go last.
Needs root, and what `missing` names.

Not shown by it: network policies are accepted and not enforced; one node; no GPU, no load balancer, no CSI driver.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from loadtests.processes import ends_with_us
from tests.cluster.apiserver import Answer
from tests.cluster.images.build import PAUSE, pause
from tests.cluster.images.layers import Image
from tests.cluster.kubernetes import build
from tests.cluster.node import config, inside, store
from tests.cluster.node.space import Relay, Space
from tests.cluster.tools.build import path_of
from tests.needs import missing_of_a_node

#: The least containerd that speaks with this kubelet.
CONTAINERD = (1, 6)
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
TOOLS = ("helm", "coredns", "pause")
#: Seconds until something that takes one or two has happened, on a loaded machine.
PATIENCE_S = 120.0
_CGROUPS = Path("/sys/fs/cgroup")
_PREFIX = "rejoinder-node-"


def unfit() -> str:
    """What of the machine is not there and how it comes, in one line; "" where all is."""
    if os.geteuid() != 0:
        return "a node needs root"
    if not os.access(_CGROUPS / "memory", os.W_OK):
        return "a node needs control groups of version 1, each controller mounted below /sys/fs/cgroup for writing"
    if subprocess.run(["unshare", "-n", "-m", "-p", "-f", "true"], capture_output=True, check=False).returncode:
        return "a node needs namespaces of its own, which are refused here: a container lacks CAP_SYS_ADMIN"
    if packages := missing_of_a_node():
        return f"sudo apt-get install -y --no-install-recommends {' '.join(packages)}"
    said = subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\b(\d+)\.(\d+)\.", said)
    if version is None or (int(version[1]), int(version[2])) < CONTAINERD:
        return f"a node needs containerd {'.'.join(map(str, CONTAINERD))} or later; here is: {said.strip() or 'none'}"
    return ""


def missing() -> str:
    """As `unfit`, and what is built once (`python -m tests.cluster.node.prepare`)."""
    built = [build.folder() / program for program in PROGRAMS] + [path_of(name) for name in TOOLS]
    return unfit() or ("" if all(each.exists() for each in built) else "python -m tests.cluster.node.prepare")


@contextmanager
def ours(folder: Path) -> Iterator[None]:
    """While the block lasts, and this process, nobody sweeps the folder away."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Under its name only now: one that is not held is of somebody dead.
        (folder / ".lock").rename(folder / "lock")
        yield


def sweep() -> None:
    """Takes away folders and control groups of nodes whose test run was killed; their processes went with it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError, BlockingIOError), (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for group in _groups(folder.name):
                for path, _, _ in os.walk(group, topdown=False):
                    # The kernel may not be through with its last process: the next one takes it away.
                    with suppress(OSError):
                        os.rmdir(path)
            if not any(group.exists() for group in _groups(folder.name)):
                shutil.rmtree(folder)


def _groups(name: str) -> list[Path]:
    return [each / name for each in sorted(_CGROUPS.iterdir()) if each.is_dir() and not each.is_symlink()]


class Node:
    """owns: every process, from entering to leaving, their folder and their control groups."""

    def __init__(self, images: Mapping[str, Image]) -> None:
        self._images = {**images, PAUSE: pause()}
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._held = ExitStack()
        self._cgroup = self.folder.name
        self._unshare: subprocess.Popen[bytes] | None = None
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._volumes = 0
        self.init = 0

    # --- up and down

    def __enter__(self) -> Node:
        try:
            self._up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _up(self) -> None:
        folder = self.folder
        self._held.enter_context(ours(folder))
        sweep()
        for name in ("logs/pods", "cni", "certificates", "volumes"):
            (folder / name).mkdir(parents=True)
        store.share(self._held.enter_context(store.taken(self._images)), folder / "containerd")
        self._write()
        for each in self.cgroups():
            each.mkdir()
        # All pods together weigh as much as one process of this machine otherwise: a busy one would starve them.
        (_CGROUPS / "cpu" / self._cgroup / "cpu.shares").write_text("8192")
        self._enter()
        self.space = Space(self.init)
        self._start("etcd", "etcd", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync")
        self._start("containerd", "containerd", "-c", str(folder / "containerd.toml"))
        self._start("apiserver", *self._apiserver())
        self._until(lambda: self._ctr("version", check=False) == 0, "containerd")
        self._until(self._answers, "API server")
        for name, command in self._rest().items():
            self._start(name, *command)
        self._until(self._ready, "node")

    def close(self) -> None:
        """Processes by the kernel once the first one is killed, then their control groups and files."""
        if self._unshare is not None:
            if self.init:
                with suppress(ProcessLookupError):
                    os.kill(self.init, signal.SIGKILL)
            else:
                self._unshare.kill()
            self._unshare.wait()
            for process in self._daemons.values():
                process.wait()
            self._unshare = None
        for each in self.cgroups():
            self._gone(each)
        shutil.rmtree(self.folder, ignore_errors=False)
        self._held.close()

    def cgroups(self) -> list[Path]:
        """Its own control group under every controller."""
        return _groups(self._cgroup)

    def _gone(self, group: Path) -> None:
        """Control groups empty a moment after their last process."""
        end = time.monotonic() + PATIENCE_S
        for path, _, _ in os.walk(group, topdown=False):
            while True:
                try:
                    os.rmdir(path)
                    break
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.01)

    # --- what a test asks of it

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "json",
        user: str = "admin",
        accept: str = "application/json",
        raw: bool = False,
    ) -> Answer:
        """One request to the API server. kind: of the body, `json`, `merge-patch+json`, `apply-patch+yaml`. raw: the
        answer is text, in `body["text"]`."""
        context = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection(inside.NODE_IP, 6443)
        plain = self.space.connect(inside.NODE_IP, 6443)
        connection.sock = context.wrap_socket(plain, server_hostname=inside.NODE_IP)
        headers = {"Authorization": f"Bearer {user}-token", "Content-Type": f"application/{kind}", "Accept": accept}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        return Answer(answer.status, {"text": said.decode(errors="replace")} if raw else json.loads(said or b"{}"))

    def load(self, images: Mapping[str, Image]) -> None:
        """Further images into the node's store, by reference."""
        store.load(self.folder / "containerd.sock", images)

    def by_digest(self, reference: str) -> str:
        """A loaded image under its digest, as a round must name it."""
        ctr = ["ctr", "-a", str(self.folder / "containerd.sock"), "-n", "k8s.io", "images"]
        listed = subprocess.run([*ctr, "list", f"name=={reference}"], capture_output=True, text=True, check=True).stdout
        digest = next(word for word in listed.split() if word.startswith("sha256:"))
        named = f"{reference.rpartition(':')[0]}@{digest}"
        subprocess.run([*ctr, "tag", "--force", reference, named], capture_output=True, check=True)
        return named

    def volume(self) -> str:
        """A further volume on the node's disk, which a claim without a class takes; its name."""
        self._volumes += 1
        name = f"volume-{self._volumes}"
        (self.folder / "volumes" / name).mkdir()
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [config.NODE]}
        spec = {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(self.folder / "volumes" / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        }
        made = self.call("POST", "/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": spec})
        assert made.status == 201, made.body
        return name

    def command(self, *words: str) -> list[str]:
        """The command that runs another one in the cluster's network."""
        return ["nsenter", "-t", str(self.init), "-n", *words]

    def relay(self, host: str, port: int) -> Relay:
        """A port on this machine's loopback that leads to a service or a pod, once it does: the node's rules for a
        service are written a moment after its pod is ready."""
        self._until(partial(self._reaches, host, port), f"way to {host}:{port}")
        return Relay(socket.create_server(("127.0.0.1", 0)), partial(self.space.connect, host, port))

    def lend(self, port: int) -> Relay:
        """The same port of the node, which leads to this machine's loopback."""
        return Relay(self.space.listen(inside.NODE_IP, port), partial(socket.create_connection, ("127.0.0.1", port)))

    @property
    def ca(self) -> Path:
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def kubeconfig(self) -> Path:
        """An administrator's, for commands that run inside."""
        return self.folder / "admin.json"

    def log_of(self, namespace: str, pod: str, container: str = "", previous: bool = False) -> str:
        asked = f"tailLines=60&previous={str(previous).lower()}" + (f"&container={container}" if container else "")
        return str(self.call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{asked}", raw=True).body["text"])

    def until(
        self, holds: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S, say: Callable[[], str] | None = None
    ) -> None:
        """Waits on a condition that is read from outside. say: what a failure tells beside the daemons' logs."""
        self._until(holds, what, timeout_s, say)

    # --- its parts

    def _write(self) -> None:
        folder = self.folder
        (folder / "tokens.csv").write_text(config.tokens())
        (folder / "containerd.toml").write_text(config.containerd(folder))
        (folder / "cni" / "10-pods.conflist").write_text(config.network(folder))
        (folder / "kubelet.json").write_text(config.kubelet(folder, f"/{self._cgroup}"))
        (folder / "resolv.conf").write_text(f"nameserver {inside.NODE_IP}\n")
        users = {name.rpartition(":")[2]: name for name in config.USERS}
        for file, user in users.items():
            (folder / f"{file}.json").write_text(config.kubeconfig(user, self.ca))
        (folder / "Corefile").write_text(config.names(self.kubeconfig))
        subprocess.run(["openssl", "genrsa", "-out", str(folder / "sa.key"), "2048"], check=True, capture_output=True)

    def _enter(self) -> None:
        command = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private"]
        with (self.folder / "logs" / "inside.log").open("wb") as log:
            self._unshare = subprocess.Popen(
                [*command, sys.executable, "-I", inside.__file__, str(self.folder)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ends_with_us(signal.SIGKILL),
            )
        self._until((self.folder / "inside").exists, "namespaces")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        self.init = int(children[0])

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / "logs" / f"{name}.log").open("wb") as log:
            self._daemons[name] = subprocess.Popen(
                ["nsenter", "-t", str(self.init), "-n", "-m", "-p", *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _apiserver(self) -> Sequence[str]:
        folder = self.folder
        return (
            str(build.folder() / "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            "--secure-port=6443",
            "--bind-address=0.0.0.0",
            f"--advertise-address={inside.NODE_IP}",
            f"--cert-dir={self.ca.parent}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.key'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            f"--service-cluster-ip-range={inside.SERVICES}",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
        )

    def _rest(self) -> dict[str, Sequence[str]]:
        folder, programs = self.folder, build.folder()
        return {
            "controllers": (
                str(programs / "kube-controller-manager"),
                f"--kubeconfig={folder / 'kube-controller-manager.json'}",
                f"--root-ca-file={self.ca}",
                f"--service-account-private-key-file={folder / 'sa.key'}",
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--secure-port=0",
            ),
            "scheduler": (
                str(programs / "kube-scheduler"),
                f"--kubeconfig={folder / 'kube-scheduler.json'}",
                "--leader-elect=false",
                "--secure-port=0",
            ),
            "kubelet": (
                str(programs / "kubelet"),
                f"--config={folder / 'kubelet.json'}",
                f"--kubeconfig={folder / f'{config.NODE}.json'}",
                f"--root-dir={folder / 'kubelet'}",
                f"--cert-dir={folder / 'certificates'}",
                f"--hostname-override={config.NODE}",
                f"--node-ip={inside.NODE_IP}",
            ),
            # The zeros: otherwise it writes the whole machine's settings.
            "proxy": (
                str(programs / "kube-proxy"),
                f"--kubeconfig={folder / 'kube-proxy.json'}",
                f"--hostname-override={config.NODE}",
                "--proxy-mode=iptables",
                f"--cluster-cidr={inside.PODS}",
                "--conntrack-max-per-core=0",
                "--conntrack-min=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
            ),
            "names": (str(path_of("coredns")), "-conf", str(folder / "Corefile")),
        }

    def _ctr(self, *words: str, check: bool = True) -> int:
        command = ["ctr", "-a", str(self.folder / "containerd.sock"), *words]
        return subprocess.run(command, capture_output=True, check=check).returncode

    def _reaches(self, host: str, port: int) -> bool:
        try:
            self.space.connect(host, port, 1.0).close()
        except OSError:
            return False
        return True

    def _answers(self) -> bool:
        try:
            return self.ca.exists() and self.call("GET", "/api/v1/namespaces/default").status == 200
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def _ready(self) -> bool:
        """The node takes pods, and a namespace's default account is there for them."""
        found = self.call("GET", f"/api/v1/nodes/{config.NODE}")
        if found.status != 200:
            return False
        conditions = found.body.get("status", {}).get("conditions", ())
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        tainted = bool(found.body.get("spec", {}).get("taints"))
        account = self.call("GET", "/api/v1/namespaces/default/serviceaccounts/default").status == 200
        return ready and not tainted and account

    def _until(
        self, holds: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S, say: Callable[[], str] | None = None
    ) -> None:
        end = time.monotonic() + timeout_s
        while not holds():
            ended = [name for name, process in self._daemons.items() if process.poll() is not None]
            if self._unshare is not None and self._unshare.poll() is not None:
                ended.append("unshare")
            if ended or time.monotonic() > end:
                logs = "\n".join(
                    f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}"
                    for path in sorted((self.folder / "logs").glob("*.log"))
                )
                told = say() if say else ""
                raise AssertionError(f"no {what}; ended: {ended or 'nobody'}\n{told}\n{logs}")
            time.sleep(0.05)
