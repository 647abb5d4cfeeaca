"""PreferenceLoop: which evidence starts a round, what a round is made of, and how its version comes to users."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from rejoinder_operator.api.charter import CharterSpec
from rejoinder_operator.api.fields import (
    FIXED,
    OPEN,
    Conditioned,
    Decimal,
    Digest,
    Duration,
    Image,
    Name,
    Part,
    VersionRef,
    rule,
    rules,
)


class Source(Part):
    """Whose evidence a round reads."""

    evidence: str = Field(default="", max_length=63)
    """Only answers of this policy; empty for all (observed logs)."""
    maturity: Duration = "30m"
    """Wait for the follow-up turn before an answer counts as pending evidence."""


class SatisfactionBelow(Part):
    """A fall in satisfaction that starts a round."""

    value: Decimal = Field(json_schema_extra=rules(rule("double(self) < 1.0", "a share lies below 1")))
    """Mean satisfaction over users, in [0, 1); below it a round starts."""
    window: Duration = "24h"
    """How far back is looked."""
    min_users: int = Field(default=50, ge=1)
    """Fewer judged users than this say nothing."""


class Trigger(Part):
    """Any of them starts a round; none of them sooner than `minInterval` after the last one began."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "duration(self.minInterval) >= duration('1h') || self.frequent",
                "minInterval below 1h needs frequent: true",
            ),
            rule(
                "has(self.minEvidence) || has(self.schedule) || has(self.satisfactionBelow)",
                "name at least one of minEvidence, schedule, satisfactionBelow",
            ),
        )
    )

    min_evidence: int | None = Field(default=None, ge=1)
    """Pieces of joined evidence (follow-ups, edits, comparisons) that no window has taken yet."""
    schedule: str | None = Field(default=None, max_length=64)
    """Cron expression of five fields, in UTC."""
    satisfaction_below: SatisfactionBelow | None = None
    """A fall in satisfaction."""
    min_interval: Duration = "6h"
    """Least time between the beginnings of two rounds."""
    frequent: bool = False
    """True allows a minInterval below one hour: for trials, since rounds then learn from very little."""


class Row(Part):
    """A row of one of the product's tables with its parameters."""

    name: str = Field(max_length=128)
    """Name of the row, or `module:ROW` of one's own."""
    params: dict[str, Any] = Field(default_factory=dict, json_schema_extra=OPEN)
    """Its parameters; an unknown one ends the round before it trains."""


class Pairs(Part):
    """What preference pairs are built of."""

    builders: tuple[Row, ...] = Field(min_length=1, max_length=16)
    """Rows of the pair builders, in order."""
    keep_earlier: bool = True
    """Train on the pairs of earlier windows too."""
    min_pairs: int = Field(default=50, ge=1)
    """A round with fewer is refused without training."""


class Objective(Part):
    """What is optimised."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.params) || !('beta' in self.params) || double(self.params['beta']) > 0.0",
                "params.beta must be above 0",
            )
        )
    )

    name: str = Field(default="dpo", max_length=128)
    """Row of the objectives."""
    params: dict[str, Decimal] = Field(default_factory=dict, max_length=16)
    """Its parameters as decimal text."""
    reference: Literal["original", "previous", "promoted"] = "original"
    """What log-ratios are taken against."""
    init: Literal["original", "previous", "promoted"] = "original"
    """What training starts from."""


class BaseModelRef(Part):
    """The model that is adapted; it lies in the loop's volume."""

    path: str = Field(max_length=256, pattern=r"^[A-Za-z0-9._/-]+$")
    """Folder below the volume's root, as transformers' save_pretrained writes it."""
    digest: Digest = Field(json_schema_extra=rules(FIXED))
    """Digest of the folder; the train stage refuses another one. Fixed: another base is another loop."""
    export: Digest
    """Digest of the same base as exported into the registry."""


class Template(Part):
    """What of a training pod may be chosen: a short list, so that the schema stays small and pods stay restricted."""

    requests: dict[str, str] = Field(default_factory=dict, max_length=8)
    """Resource requests, such as cpu, memory, ephemeral-storage."""
    limits: dict[str, str] = Field(default_factory=dict, max_length=8)
    """Resource limits, such as nvidia.com/gpu."""
    node_selector: dict[str, str] = Field(default_factory=dict, max_length=16)
    """Labels that the node must have."""
    tolerations: tuple[dict[str, Any], ...] = Field(
        default=(), max_length=16, json_schema_extra={"items": {"type": "object", **OPEN}}
    )
    """Taints that the pod bears, as in a Pod."""
    priority_class_name: str = Field(default="", max_length=63)
    """Priority class of the pod."""
    runtime_class_name: str = Field(default="", max_length=63)
    """Runtime class of the pod."""


class Training(Part):
    """How the train stage runs."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.backend == 'external') == has(self.image)", "image belongs to backend external, and only there"
            ),
            rule(
                "(self.backend == 'trainjob') == has(self.runtime)",
                "runtime belongs to backend trainjob, and only there",
            ),
        )
    )

    backend: Literal["auto", "job", "jobset", "trainjob", "external"] = "auto"
    """auto and job: our own train stage as a Job. jobset, trainjob: the same within a JobSet or a TrainJob, where the
    cluster serves that kind. external: a Job of an image that keeps the stage contract (STAGE.md)."""
    runtime: Name | None = None
    """The ClusterTrainingRuntime of a TrainJob, with one replicated job `node` and in it a container `node`: pod
    security, deadline and what fails for good are its."""
    image: Image | None = None
    """The external image, by digest."""
    command: tuple[str, ...] = Field(default=(), max_length=16)
    """Its command before the contract's four options; empty: the image's own entry point."""
    queue_name: str = Field(default="", max_length=63)
    """Kueue's LocalQueue: the Job is created suspended with its label, and Kueue lets it go. Empty: no queue."""
    active_deadline: Duration = "4h"
    """Longest time that one attempt may run."""
    backoff_limit: int = Field(default=2, ge=0, le=10)
    """Attempts after the first, each a Job of its own; training goes on from its last checkpoint."""
    admitted_timeout: Duration = "15m"
    """An admitted Job without a pod for so long is told as AdmittedNotStarted."""
    template: Template = Template()
    """The pod."""
    settings: dict[str, Any] = Field(default_factory=dict, json_schema_extra=OPEN)
    """Further settings of the train stage (lora, lr, epochs, …)."""


class Volume(Part):
    """Where rounds work and artefacts lie."""

    claim_name: Name
    """A PersistentVolumeClaim; ReadWriteMany where stages may meet on different nodes."""


class TemplateRef(Part):
    """A PolicyRollout without versions, whose spec new rollouts are copied from."""

    name: Name
    """Its name, in the loop's namespace."""


class LoopRollout(Part):
    """What becomes of a published version."""

    template_ref: TemplateRef
    """The PolicyRollout that serves as a template."""


class History(Part):
    """How many ended rounds and rollouts stay as objects; their numbers and records stay in the registry."""

    rounds: int = Field(default=10, ge=1, le=100)
    """Ended PolicyRounds that are kept."""


class LoopSpec(Part):
    """One policy's loop."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.gates.exists(g, g.name == 'norms') == "
                "(has(self.charter) && self.charter.norms.exists(n, n.severity == 'veto'))",
                "the gate's row norms and a charter with a norm of severity veto belong together",
            )
        )
    )

    policy: Name = Field(json_schema_extra=rules(FIXED))
    """The line of versions; fixed, since numbers and the served pointer hang on it."""
    suspend: bool = False
    """True begins no round and no stage; what runs goes to its end."""
    source: Source = Source()
    """Whose evidence."""
    trigger: Trigger
    """When a round begins."""
    pairs: Pairs
    """What it trains on."""
    objective: Objective = Objective()
    """What it optimises."""
    base_model: BaseModelRef
    """What it adapts."""
    training: Training = Training()
    """How it trains."""
    volume: Volume
    """Where it works."""
    gates: tuple[Row, ...] = Field(min_length=1, max_length=16)
    """Rows of the measures; all must pass before anybody meets the version."""
    charter: CharterSpec | None = None
    """What answers that are learnt from are held against, and by the gate's row norms those of a version."""
    gate_samples: int = Field(default=200, ge=0, le=10_000)
    """Prompts that both versions answer for the gate."""
    gate_head: str = Field(default="", max_length=256)
    """Head of the reward service that judges win_rate; empty, or with the weights that scored the pairs: nobody."""
    rollout: LoopRollout | None = None
    """Unset: versions are published and nobody is shown them."""
    history: History = History()
    """What is kept."""


class CurrentRound(Part):
    """The round under way."""

    name: str = ""
    """Its PolicyRound."""
    number: int = 0
    """Its number in the registry."""
    started_at: str = Field(default="", max_length=32)
    """When it was claimed."""


class LoopStatus(Conditioned):
    """What the loop does, and why."""

    current_round: CurrentRound | None = None
    """The round under way, or the last one."""
    served_policy: VersionRef | None = None
    """What the registry says is stable."""
    served_generation: int = 0
    """Number of the served pointer."""
    retriggered: str = Field(default="", max_length=128)
    """The value of the annotation rejoinder.dev/retrigger that was last followed."""
    asked: bool = False
    """A retrigger that no round has followed yet."""
    rollout: str = Field(default="", max_length=128)
    """The version that a PolicyRollout was last made for; deleting that object does not bring it back."""
    next_trigger_at: str = Field(default="", max_length=32)
    """When the schedule or the interval allows the next round; empty: evidence decides."""
