"""PolicyRollout: how one version comes to users, what is measured on the way, and what happens then."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from rejoinder_operator.api.charter import CharterSpec
from rejoinder_operator.api.fields import (
    FIXED,
    OPEN,
    Conditioned,
    Decimal,
    Duration,
    Name,
    Part,
    VersionRef,
    rule,
    rules,
)


def _share(most: str = "1.0") -> dict[str, Any]:
    return rules(rule(f"double(self) > 0.0 && double(self) < {most}", f"lies between 0 and {most}"))


class Target(Part):
    """What is rolled out."""

    policy: Name
    """The line of versions."""


class StepSpec(Part):
    """One exposure."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("duration(self.duration) <= duration(self.deadline)", "duration must not exceed deadline")
        )
    )

    weight: int = Field(ge=1, le=99)
    """Percent of the users outside the holdout. Promotion follows the last step; 100 is no step."""
    duration: Duration = "1h"
    """Least time spent here."""
    deadline: Duration = "48h"
    """Most time spent here; then onDeadline decides."""
    on_inconclusive: Literal["Pause", "Advance"] = "Pause"
    """Advance lets a measured step without harm pass when its duration is over; never the last one."""


class VetoSpec(Part):
    """A harm that is measured on answers and stops a rollout whatever satisfaction says."""

    model_config = ConfigDict(
        json_schema_extra=rules(rule("!has(self.sees) || self.name == 'audit'", "sees is the audit's alone"))
    )

    name: Literal["failures", "length", "refusals", "norms", "audit"]
    """failures: answers that failed or were cancelled. length: answers that grow. refusals: answers that refuse. norms:
    answers that break a norm of the charter. audit: a second judge that is less pleased with the canary than the first
    one's words explain."""
    base_rate: Decimal = Field(default="0.05", json_schema_extra=_share())
    """Its share on stable; the audit asks for none."""
    two_sided: bool = False
    """True fires on any difference between the arms, not on more harm alone."""
    min_units: int | None = Field(default=None, ge=1, le=1_000_000)
    """Measured units per arm below which nothing is promoted; 20 for the audit and for norms, 1 for any other."""
    sees: Decimal | None = Field(
        default=None,
        json_schema_extra=rules(rule("double(self) > 0.0 && double(self) <= 1.0", "lies above 0 and is at most 1")),
    )
    """Of the audit alone: by how much the second judge's mean moves where the first's moves by one; by default what was
    measured for the second judge."""


class Analysis(Part):
    """What the verdict is made of. Both arms are judged by the same pinned extractor."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.vetoes.exists(v, v.name == 'norms') == "
                "(has(self.charter) && self.charter.norms.exists(n, n.severity == 'veto'))",
                "the veto norms and a charter with a norm of severity veto belong together",
            )
        )
    )

    maturity: Duration = "30m"
    """Wait for a follow-up before an answer counts."""
    alpha: Decimal = Field(default="0.05", json_schema_extra=_share("0.5"))
    """Error of the whole verdict, over all looks at it."""
    margin: Decimal = Field(default="0.05", json_schema_extra=_share("0.5"))
    """Loss of satisfaction that counts as none."""
    min_units: int = Field(default=50, ge=1, le=1_000_000)
    """Judged units per arm below which nothing counts as measured."""
    turns_cap: int = Field(default=8, ge=1, le=10_000)
    """Judged turns of one unit that count."""
    base_rate: Decimal = Field(default="0.7", json_schema_extra=_share())
    """Stable's satisfaction before the rollout."""
    reply_rate: Decimal = Field(default="0.5", json_schema_extra=_share())
    """Share of stable's answers that are followed up."""
    reply_margin: Decimal = Field(default="0.08", json_schema_extra=_share("0.5"))
    """Shift of the reply rate that must be ruled out."""
    vetoes: tuple[VetoSpec, ...] = Field(
        default=(VetoSpec(name="failures", base_rate="0.01"), VetoSpec(name="length")),
        max_length=5,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """Vetoes; one that nothing measures is refused."""
    charter: CharterSpec | None = None
    """What the veto norms holds answers against."""


class Shadow(Part):
    """Before the first user: what a share of stable's users asked is answered again by both versions, scored and shown
    to nobody."""

    percent: int = Field(default=5, ge=1, le=100)
    """Of stable's logged answers; each costs two more, written while nobody waits for another."""
    duration: Duration = "30m"
    """How long it must be kept going: time in which it stands (suspended, frozen, loading, another rollout's turn,
    nobody there to look) does not count."""
    min_pairs: int = Field(default=50, ge=1, le=1_000_000)
    """Pairs below which a veto counts as unmeasured."""
    on_unmeasured: Literal["Hold", "Advance"] = "Hold"
    """While a veto has too few: Hold goes on until it has enough or a person exposes it unmeasured, by the annotation
    rejoinder.dev/approve with the generation that the status shows then; Advance exposes."""


class Watch(Part):
    """After the promotion."""

    duration: Duration = "72h"
    """How long the replaced version stays loaded, and harm still takes the new one back."""


class RouteBackend(Part):
    """Where a share of the requests goes."""

    name: Name
    """Of a Service or an InferencePool, in the same namespace."""
    port: int = Field(ge=1, le=65535)
    """Its port."""


class Traffic(Part):
    """A route of the Gateway API that is given the rollout's weights. It follows and decides nothing: arms stay the
    policy's, a request that the route sends elsewhere has no verdict, and its weights do not lapse."""

    route: Name
    """The route's name; the operator makes it, and nobody else writes it."""
    kind: Literal["HTTPRoute", "GRPCRoute"] = "HTTPRoute"
    """Its kind."""
    gateway: Name
    """The Gateway that it belongs to, in the same namespace."""
    hostnames: tuple[str, ...] = Field(default=(), max_length=16)
    """Whose requests; empty for all of the Gateway's."""
    backends: Literal["Service", "InferencePool"] = "Service"
    """What stable and canary are."""
    stable: RouteBackend
    """Serves the stable version; after a promotion what was the canary's backend, so the next rollout names them
    swapped."""
    canary: RouteBackend
    """Serves the canary, and after a promotion everybody."""


class RolloutSpec(Part):
    """A rollout; without versions it is a template for a loop's rollouts."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("has(self.stable) == has(self.canary)", "name both stable and canary, or neither for a template"),
            rule("!has(self.canary) || self.canary.digest != self.stable.digest", "canary is what stable is already"),
            rule("has(self.canary) == has(oldSelf.canary)", "a template stays one"),
            rule("self.unit == oldSelf.unit", "unit cannot be changed: users would be drawn anew"),
            rule(
                "!has(self.canary) || (has(self.shadow) == has(oldSelf.shadow)"
                " && (!has(self.shadow) || self.shadow == oldSelf.shadow))",
                "shadow cannot be changed: it has a part of the analysis's error",
            ),
            rule(
                "!has(self.canary) || self.analysis == oldSelf.analysis",
                "analysis cannot be changed: its error is that of one analysis; abort, and make another rollout",
            ),
        )
    )

    target: Target = Field(json_schema_extra=rules(FIXED))
    """What is rolled out."""
    stable: VersionRef | None = Field(default=None, json_schema_extra=rules(FIXED))
    """The version it is compared with; where another is served by then, the rollout ends as Superseded."""
    canary: VersionRef | None = Field(default=None, json_schema_extra=rules(FIXED))
    """The version that comes to users."""
    unit: Literal["user", "conversation"] = "user"
    """Unit of assignment."""
    lease: Duration = Field(
        default="90s",
        json_schema_extra=rules(
            rule("duration(self) >= duration('45s')", "a lease below 45s does not outlive the operator's own fail-over")
        ),
    )
    """The canary lapses unless renewed within it."""
    suspend: bool = False
    """True takes the canary off while it lasts."""
    freeze: bool = False
    """True leaves everybody on the arm they have; nothing advances, nothing is promoted. Harm is still acted on."""
    approval: Literal["none", "canary", "promotion"] = "none"
    """Where a person signs, by the annotation rejoinder.dev/approve; a shadow phase that measured too little is signed
    the same way."""
    promote_on: Literal["notWorse", "better"] = "notWorse"
    """What must be shown."""
    on_deadline: Literal["Stable", "Hold"] = "Stable"
    """Stable rolls back, Hold waits for a person."""
    load_deadline: Duration = "30m"
    """Until every replica must report the canary's digest."""
    shadow: Shadow | None = None
    """A phase before the first step; none by default. Not where replicas are gateways before another server."""
    steps: tuple[StepSpec, ...] = Field(
        default=(StepSpec(weight=5), StepSpec(weight=20), StepSpec(weight=50)),
        min_length=1,
        max_length=20,
        json_schema_extra=rules(
            rule(
                "self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
                "weights must rise",
            ),
            rule("self[size(self) - 1].onInconclusive == 'Pause'", "the last step never advances on inconclusive"),
        ),
    )
    """Exposures, weights rising; promotion follows the last."""
    analysis: Analysis = Analysis()
    """What is measured."""
    watch: Watch = Watch()
    """After the promotion."""
    traffic: Traffic | None = None
    """A route that is given the weights as well."""


class Weights(Part):
    """Percent of users outside the holdout."""

    stable: int = 100
    """On stable."""
    canary: int = 0
    """On the canary."""


class ArmVerdict(Part):
    """One arm as the verdict saw it."""

    n: int = 0
    """Judged units."""
    value: Decimal = "0"
    """Mean satisfaction."""


class VetoStatus(Part):
    """One veto as the verdict saw it."""

    name: str = Field(max_length=32)
    """Which."""
    n: tuple[int, ...] = Field(default=(), max_length=2)
    """Units of stable and canary on which it was measured."""
    harm: tuple[str, ...] = Field(default=(), max_length=2)
    """Their mean harm; of the audit by how much the first judge scores higher than the second."""
    unread: int = 0
    """Of the audit: turns of the sample without a second reading."""
    log_e: str = Field(default="0", max_length=16)
    """Logarithm of its greatest E-value; it fires at logNeeded."""
    log_needed: str = Field(default="0", max_length=16)
    """Where it fires."""
    state: Literal["Clear", "Fired", "Unmeasured"]
    """Fired rolls back; while one is unmeasured nothing is promoted."""


class NormStatus(Part):
    """One norm of the charter as the verdict saw it."""

    id: str = Field(max_length=63)
    """Which."""
    applied: tuple[int, ...] = Field(default=(), max_length=2)
    """Answers of stable and canary to which it applied."""
    broken: tuple[int, ...] = Field(default=(), max_length=2)
    """Those of them that broke it."""


class CharterStatus(Part):
    """The charter that answers were held against."""

    version: str = Field(default="", max_length=64)
    """Its owners' name of it."""
    digest: str = Field(default="", max_length=71)
    """Of all of it."""
    norms: tuple[NormStatus, ...] = Field(default=(), max_length=64)
    """Every norm with its counts."""


class VerdictStatus(Part):
    """The verdict that something was last decided on. Live figures are metrics and the HTTP answer."""

    outcome: Literal["better", "worse", "inconclusive", "unmeasured"]
    """What the evidence says."""
    reasons: tuple[str, ...] = Field(default=(), max_length=16)
    """Why, stable words."""
    promotable: bool = False
    """Not worse by the margin is shown, and nothing fired."""
    stable: ArmVerdict = ArmVerdict()
    """Stable's figures."""
    canary: ArmVerdict = ArmVerdict()
    """The canary's figures."""
    interval: tuple[str, ...] = Field(default=(), max_length=2)
    """Of the difference, for people."""
    vetoes: tuple[VetoStatus, ...] = Field(default=(), max_length=5)
    """Every veto with its evidence."""
    charter: CharterStatus | None = None
    """Of a rollout that has one."""
    extractor: str = Field(default="", max_length=256)
    """Pinned extractors."""
    digest: str = Field(default="", max_length=71)
    """What the promotion's record names."""
    at: str = Field(default="", max_length=32)
    """When."""


class ShadowVetoStatus(Part):
    """One veto on pairs of answers that nobody saw."""

    name: str = Field(max_length=32)
    """Which."""
    pairs: int = 0
    """On which it was measured."""
    harm: tuple[int, ...] = Field(default=(), max_length=2)
    """Those in which stable's answer, and the canary's, did harm."""
    log_e: str = Field(default="0", max_length=16)
    """Logarithm of its greatest E-value; it fires at logNeeded."""
    log_needed: str = Field(default="0", max_length=16)
    """Where it fires."""
    state: Literal["Clear", "Fired", "Unmeasured"]
    """Fired ends the rollout before anybody has met the canary; Unmeasured has too few pairs to say anything."""


class ShadowStatus(Part):
    """The shadow phase as something was last decided on it."""

    pairs: int = 0
    """Of answers by either version."""
    dropped: int = 0
    """Draws that made no pair: no room, too late, not loaded."""
    vetoes: tuple[ShadowVetoStatus, ...] = Field(default=(), max_length=5)
    """Every veto with its evidence."""


class RolloutStatus(Conditioned):
    """Where the rollout is, and why."""

    generation: int = 0
    """Of the arms table in force: what the annotations promote, approve and abort must name."""
    term: int = 0
    """Of the arms table in force."""
    weights: Weights = Weights()
    """What is written to replicas."""
    routed: Weights | None = None
    """What the route was last given."""
    row: str = Field(default="", max_length=32)
    """Row of the decision table that last changed something."""
    held: str = Field(default="", max_length=64)
    """Why nothing moves."""
    reason: str = Field(default="", max_length=128)
    """Why it ended."""
    verdict: VerdictStatus | None = None
    """What was last decided on."""
    shadow: ShadowStatus | None = None
    """What was scored before the first user."""
    engine: dict[str, Any] | None = Field(default=None, json_schema_extra=OPEN)
    """What the decision remembers between two looks; not for people."""
