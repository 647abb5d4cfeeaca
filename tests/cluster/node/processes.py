"""What the chart's processes need beside them on the node: a Kafka broker, a PostgreSQL server, secrets, values."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rejoinder.ledger.stores.dialect import address

from tests import brokers, postgresql
from tests.cluster.node.inside import NODE_IP
from tests.cluster.node.node import Node

PROCESSES = ("feedback", "policy", "reward", "rerank", "ledger", "signals", "rollouts", "gateway", "operator")
#: What the machine of a test has to spare.
_SMALL = {"requests": {"cpu": "20m", "memory": "64Mi"}}


class Broker(brokers.Cluster):
    """One broker in the cluster's network, on the node's address."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.folder / "kafka", hosts={1: NODE_IP}, within={1: node.command()})
        self._node = node

    def _answers(self, node: int) -> bool:
        host, port = self.address.split(":")
        try:
            self._node.space.connect(host, int(port), 1.0).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Around:
    """kafka: bootstrap address. url: of an empty database. password: of its user. tokens: role → token."""

    kafka: str
    url: str
    password: str
    tokens: dict[str, str] = field(
        default_factory=lambda: {role: secrets.token_hex(16) for role in ("app", "internal")}
    )

    def make_secrets(self, node: Node, namespace: str) -> None:
        """Those that the values name."""
        roles = {"app": "[app]", "internal": "[internal, app, auditor]"}
        principals = "".join(
            f"- {{principal: {role}, token: {token}, roles: {roles[role]}, tenants: ['*']}}\n"
            for role, token in self.tokens.items()
        )
        key = secrets.token_hex(32)
        made = {
            "postgresql": {"password": self.password},
            "rejoinder-key": {"key": key},
            "rejoinder-auth": {"principals.yaml": principals, "internal-token": self.tokens["internal"]},
            "rejoinder-rounds": {"key": key, "token": self.tokens["internal"]},
        }
        for name, data in made.items():
            body = {
                "metadata": {"name": name},
                "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()},
            }
            assert node.call("POST", f"/api/v1/namespaces/{namespace}/secrets", body).status == 201

    def values(self) -> dict[str, Any]:
        """Each process once, with its own requests lowered; everything else is the chart's own."""
        small = {name: {"resources": _SMALL} | ({"replicas": 1} if name != "rollouts" else {}) for name in PROCESSES}
        return {
            **small,
            "gateway": {**small["gateway"], "enabled": True},
            "kafka": {"bootstrap": self.kafka, "partitions": 2, "replication": 1, "minInsync": 1},
            "postgresql": {"url": self.url, "existingSecret": "postgresql"},
            "erasure": {"existingSecret": "rejoinder-key"},
            "auth": {"existingSecret": "rejoinder-auth"},
            "migrations": {"resources": _SMALL},
            "selftest": {"resources": _SMALL},
        }


@contextmanager
def around(node: Node) -> Iterator[Around]:
    """A broker and a database, for as long as the block lasts."""
    (node.folder / "kafka").mkdir(exist_ok=True)
    server = postgresql.Server()
    with Broker(node) as broker:
        try:
            broker.start()
            server.start()
            where = server.database("template0")
            found = address(where.url)
            with node.lend(int(found.port or 0)):
                url = found.set(host=NODE_IP, password=None).render_as_string(hide_password=False)
                password = where.password_file.read_text().strip() if where.password_file else ""
                yield Around(broker.address, url, password)
        finally:
            server.stop()
