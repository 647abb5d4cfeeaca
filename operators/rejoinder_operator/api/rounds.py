"""PolicyRound: one immutable round, named after its number; everything it was made of, and how its stages stand."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from rejoinder_operator.api.fields import OPEN, Conditioned, Digest, Image, Name, Part, VersionRef
from rejoinder_operator.api.loops import BaseModelRef, Training, Volume


class LoopRef(Part):
    """Whose round it is."""

    name: Name
    """The PreferenceLoop, in the same namespace."""
    uid: str = Field(max_length=128)
    """Its uid: the holder of the claim in the registry."""


class RoundSpec(Part):
    """Written once, by the operator, when the number was claimed."""

    loop: LoopRef
    """Whose round it is."""
    policy: Name
    """The line of versions."""
    number: int = Field(ge=1)
    """Claimed in the registry by exclusive create; never used again."""
    stable: VersionRef | None = None
    """What was stable when the round began: the gate compares with it."""
    evidence: str = Field(default="", max_length=63)
    """Only answers of this policy; empty for all."""
    recipe: dict[str, Any] = Field(json_schema_extra=OPEN)
    """The recipe as it was when the round began."""
    recipe_digest: Digest
    """SHA-256 of its canonical JSON."""
    base_model: BaseModelRef
    """What it adapts."""
    image: Image
    """Image of the stages that are ours, by digest: code and environment."""
    training: Training
    """How it trains."""
    volume: Volume
    """Where it works."""


class Stage(Part):
    """One stage."""

    name: str = Field(max_length=16)
    """prepare, train or finish."""
    attempt: int = 1
    """Written before the attempt's Job is created."""
    job: str = Field(default="", max_length=63)
    """The attempt's Job."""
    state: str = Field(default="", max_length=32)
    """Begun, Queued, Running, AdmittedNotStarted, Succeeded or Failed."""
    began_at: str = Field(default="", max_length=32)
    """When the attempt began."""


class RoundStatus(Conditioned):
    """How far the round is."""

    stages: tuple[Stage, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """Stages that have begun, in order."""
    outcome: str = Field(default="", max_length=16)
    """published, refused or abandoned; empty while the round is open."""
    reasons: tuple[str, ...] = Field(default=(), max_length=32)
    """Why it was refused or abandoned, stable words."""
    version: VersionRef | None = None
    """What it published."""
    dataset_digest: str = Field(default="", max_length=71)
    """Digest of its pair sets."""
    offsets: dict[str, Any] = Field(default_factory=dict, json_schema_extra=OPEN)
    """The window's cut: topic, partition, end offset."""
