"""etcd and kube-apiserver on loopback: the real answers about schemas, CEL, field managers, conflicts and roles.

No node and no controllers: a Job stays as it was created until a test writes its status, as the Job controller would.
Needs `etcd` (Debian: etcd-server) and the programs of `kubernetes/build.py`; no root.
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rejoinder.cli.supervisor import free_ports

from tests.cluster.kubernetes import build

ADMIN = "admin-token"
#: Seconds until both answer; some ten times what an idle machine needs.
PATIENCE_S = 120.0


def missing() -> str:
    """What is not there and how it comes; "" where all is."""
    if shutil.which("etcd") is None:
        return "sudo apt-get install -y etcd-server"
    if not (build.folder() / "kube-apiserver").exists():
        return "python -m tests.cluster.kubernetes.build kube-apiserver"
    return ""


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


class ControlPlane:
    """owns: both processes, from entering to leaving. users: name → groups; each has the token `NAME-token`."""

    def __init__(self, folder: Path, users: dict[str, tuple[str, ...]] | None = None) -> None:
        self._folder = folder
        self._users = {"admin": ("system:masters",)} | (users or {})
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = ""

    @property
    def ca(self) -> Path:
        return self._folder / "certs" / "apiserver.crt"

    def __enter__(self) -> ControlPlane:
        folder = self._folder
        (folder / "certs").mkdir(parents=True)
        client, peer, port = free_ports(3)
        key = folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        rows = [f'{name}-token,{name},{name},"{",".join(groups)}"' for name, groups in self._users.items()]
        (folder / "tokens.csv").write_text("\n".join(rows) + "\n")
        etcd = f"http://127.0.0.1:{client}"
        self._start(
            "etcd",
            *("etcd", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
        )
        self.url = f"https://127.0.0.1:{port}"
        self._start(
            "apiserver",
            str(build.folder() / "kube-apiserver"),
            f"--etcd-servers={etcd}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={folder / 'certs'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
        )
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def pause(self) -> None:
        """The API server stops answering, as behind a cut cable."""
        self._processes[1].send_signal(19)

    def go_on(self) -> None:
        self._processes[1].send_signal(18)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        user: str = "admin",
        kind: str = "json",
        accept: str = "application/json",
    ) -> Answer:
        """One request. kind: of the body, `json`, `merge-patch+json`, `apply-patch+yaml`."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Accept": accept,
                "Authorization": f"Bearer {user}-token",
                "Content-Type": f"application/{kind}",
            },
        )
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return Answer(answer.status, json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            said = error.read()
            # A group that is not served is told in plain text.
            return Answer(error.code, json.loads(said) if said.startswith(b"{") else {"message": said.decode()})

    def wait_for_kind(self, path: str) -> None:
        """Until the server serves a new kind's list."""
        self._until(lambda: self.call("GET", path).status == 200, path)

    def wait_for_discovery(self, prefix: str, plural: str) -> None:
        """Until the server tells of a new kind: a moment after it serves it."""

        def told() -> bool:
            found = self.call("GET", prefix).body.get("resources", ())
            return any(each["name"] == plural for each in found)

        self._until(told, f"{prefix} {plural}")

    def wait_for_right(self, user: str, namespace: str, **what: str) -> None:
        """Until the server lets a user do what a role that was just made says. what: verb, group, resource."""
        spec = {"user": user, "resourceAttributes": {"namespace": namespace, **what}}

        def allowed() -> bool:
            answer = self.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
            return answer.status == 201 and bool(answer.body["status"]["allowed"])

        self._until(allowed, f"right of {user} in {namespace}")

    def _start(self, name: str, *command: str) -> None:
        log = (self._folder / f"{name}.log").open("wb")
        self._processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder))
        log.close()

    def _wait(self) -> None:
        def ready() -> bool:
            try:
                # A namespace of its own beside `default`: both are made once the server is up.
                return self.ca.exists() and self.call("GET", "/api/v1/namespaces/default").status == 200
            except (urllib.error.URLError, OSError, ValueError):
                return False

        self._until(ready, "readiness")

    def _until(self, holds: Any, what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            dead = next((p for p in self._processes if p.poll() is not None), None)
            if dead is not None or time.monotonic() > end:
                logs = "\n".join(p.read_text(errors="replace")[-2000:] for p in self._folder.glob("*.log"))
                raise AssertionError(f"no {what}:\n{logs}")
            time.sleep(0.05)
