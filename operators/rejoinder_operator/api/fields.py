"""What all kinds share: the base of a part, texts with a form, CEL rules, conditions.

Shares and margins are decimal text ("0.72"), never floats: two writers of one object must agree byte for byte.
Durations are texts as CEL reads them ("30m", "1h30m", "72h").
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

GROUP, VERSION = "rejoinder.dev", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
#: What we sign our fields and children with.
MANAGER = "rejoinder-operator"

RULES = "x-kubernetes-validations"
#: A field whose inside the schema leaves open.
OPEN: JsonDict = {"x-kubernetes-preserve-unknown-fields": True}


def rule(cel: str, message: str) -> dict[str, str]:
    """One CEL rule. The message is what `kubectl apply` prints."""
    return {"rule": cel, "message": message}


def rules(*given: dict[str, str]) -> dict[str, Any]:
    """For `json_schema_extra` of a field or a part."""
    return {RULES: list(given)}


FIXED = rule("self == oldSelf", "cannot be changed; make another object")


class Part(BaseModel):
    """A piece of a kind: frozen, camelCase outside, the sentence under each field is its description.

    Unknown fields are ignored: the API server prunes what this version does not know, and a newer schema may be there.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


Name = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Decimal = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(\.[0-9]+)?(e-[0-9]+)?$")]
Duration = Annotated[str, Field(max_length=24, pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", min_length=2)]
Digest = Annotated[str, Field(max_length=71, pattern=r"^(sha256:)?[0-9a-f]{64}$")]
#: An image by digest; a tag may move under a running round.
Image = Annotated[str, Field(max_length=512, pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")]

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def seconds(text: str) -> float:
    """Seconds of a duration that the schema has let through."""
    return sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)([hms])", text))


def bare(digest: str) -> str:
    """A digest as the registry writes it, without the algorithm's name."""
    return digest.removeprefix("sha256:")


class VersionRef(Part):
    """A version by name, and by the digest that is its identity."""

    version: str = Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of a published version."""
    digest: Digest
    """SHA-256 of its artefact as the registry has it; checked before each step."""


class Condition(Part):
    """One condition, as Kubernetes' own kinds have them."""

    type: str = Field(max_length=64)
    """Name of the condition; one entry a type."""
    status: str = Field(pattern="^(True|False|Unknown)$")
    """True, False or Unknown."""
    reason: str = Field(max_length=64, pattern=r"^[A-Za-z]([A-Za-z0-9]*)$")
    """A stable word for programs."""
    message: str = Field(default="", max_length=1024)
    """The same for people, with the evidence. Names nobody's words."""
    observed_generation: int = 0
    """metadata.generation that this speaks of."""
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    """When `status` last became another."""


class Conditioned(Part):
    """What every status has."""

    observed_generation: int = 0
    """metadata.generation that was last acted on."""
    phase: str = Field(default="", max_length=32)
    """One word for people; programs read the conditions."""
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """What holds, one entry a type."""
