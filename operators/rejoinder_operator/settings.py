"""What can be turned on the operator. `REJOINDER_OPERATOR__ROUNDS__IMAGE=…` sets `rounds.image`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from rejoinder.core.errors import BadSettings
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.kafkatheme import KafkaGuestTheme
from rejoinder.runtime.settings import ServerSettings, Theme


class WatchTheme(Theme):
    namespaces: tuple[str, ...] = ()
    """Namespaces that are watched; empty for all, which needs a ClusterRole."""
    workers: int = Field(default=4, ge=1, le=64)
    """Objects that are looked at at a time; rollouts have as many workers of their own, so that a canary's lease never
    waits for a loop."""
    resync_s: float = Field(default=600.0, gt=0)
    """Seconds between two whole looks at everything: what an event was lost for is found then."""
    kubeconfig: Path | None = None
    """Unset: the pod's service account."""


class ElectionTheme(Theme):
    namespace: str = "default"
    """Where the Lease lies: the operator's own namespace."""
    name: str = "rejoinder-operator"
    """Its name; installations that watch other namespaces need another one each."""
    identity: str = Field(default="", max_length=128)
    """Of this process, unique: the pod's name. Empty: the host's name."""
    duration_s: float = Field(default=15.0, ge=5)
    """Seconds a silent leader is waited for; a canary's lease must outlive it and a start."""
    renew_s: float = Field(default=10.0, ge=2)
    """Seconds without a renewal after which this process leads no more."""
    retry_s: float = Field(default=2.0, gt=0)
    """Seconds between two looks at the Lease."""


class RoundsTheme(Theme):
    image: str = ""
    """Image of the stages prepare, train and finish, by digest; without one no round can begin."""
    service_account: str = "default"
    """Of the stages' pods; it needs no rights."""
    config_map: str = "rejoinder-rounds"
    """ConfigMap with `rounds.yaml`, the settings of our stages, in each loop's namespace."""
    secret: str = ""
    """Secret that is mounted at /etc/rejoinder/secrets in our stages."""
    backends: tuple[Literal["jobset", "trainjob"], ...] = ()
    """Kinds beside Job as which a loop may train; each needs rights, and is used where the cluster serves it."""
    evidence_s: float = Field(default=300.0, ge=1)
    """Seconds between two questions to the ledger about a waiting loop."""


class PolicyTheme(Theme):
    registry: str = "registry"
    """Folder or fsspec address of the registry: claims, versions, the served pointer, evidence."""
    replicas: str = "rejoinder-policy-headless:50052"
    """`name:port` of the policy service's headless Service: each address behind it is a replica."""
    holdout_share: float = Field(default=0.05, ge=0, le=1)
    """Share of users never canaried, in a policy's first table; later ones keep what the table says."""


class SourceTheme(CallerTheme):
    log: Literal["sqlite", "kafka"] = "kafka"
    """Which log's `arms` topic is read and written. kafka: log_file and owner are not looked at."""
    kafka: KafkaGuestTheme = KafkaGuestTheme()
    """The log on Apache Kafka; by default its topics are the feedback service's to make."""
    log_file: Path = Path("rejoinder-data/log.db")
    """The log's SQLite file, where everything stands in one pod."""
    owner: str = "127.0.0.1:50051"
    """Address of the log's owner (the feedback service), through which tables are written there."""
    ledger: str = "127.0.0.1:50055"
    """Address of the ledger."""
    judges: tuple[str, ...] = ("minilm",)
    """Extractors whose signals count; their versions are pinned when a rollout begins."""
    behind_s: float = Field(default=300.0, gt=0)
    """An extractor that is this far behind the log is away: the verdict is unmeasured."""


class VerdictsTheme(Theme):
    host: str = "127.0.0.1"
    """Address of the HTTP answers for Argo Rollouts and Flagger."""
    port: int | None = Field(default=None, ge=0, le=65535)
    """Their port; 0 takes a free one, unset opens none."""


class OperatorSettings(Theme):
    server: ServerSettings = ServerSettings(port=50058)
    """The chassis."""
    watch: WatchTheme = WatchTheme()
    """Which objects."""
    election: ElectionTheme = ElectionTheme()
    """Who leads."""
    rounds: RoundsTheme = RoundsTheme()
    """How rounds run."""
    policy: PolicyTheme = PolicyTheme()
    """What is rolled out."""
    source: SourceTheme = SourceTheme()
    """Where everything is read and written."""
    verdicts: VerdictsTheme = VerdictsTheme()
    """Who else may ask."""
    failpoint: str = ""
    """For tests of this process alone: `before:NAME` or `after:NAME` of a write, at which it kills itself."""

    def check(self) -> None:
        """Raises BadSettings where two settings cannot both be."""
        election = self.election
        if not election.retry_s < election.renew_s < election.duration_s:
            raise BadSettings("election: retry_s < renew_s < duration_s must hold, or two processes lead at once")
        if self.rounds.image and "@sha256:" not in self.rounds.image:
            raise BadSettings("rounds.image must be named by digest (@sha256:…): a tag may move under a running round")
