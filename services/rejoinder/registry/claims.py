"""Round numbers, single flight and stage outputs, all by exclusive create."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rejoinder.core.errors import ClaimTaken, NotFound
from rejoinder.registry.store import Store, create_json, read_json


@dataclass(frozen=True)
class Claim:
    """A round's number, held by a loop. outcome is "" while open: published | refused | abandoned when closed."""

    policy: str
    number: int
    loop_uid: str
    at: float
    outcome: str = ""


def _folder(policy: str, number: int) -> str:
    return f"rounds/{policy}/{number:06d}"


def claims(store: Store, policy: str) -> list[Claim]:
    """Every claim of a policy, by number."""
    found = []
    for name in store.names(f"rounds/{policy}"):
        base = f"rounds/{policy}/{name}"
        try:
            claim = read_json(store, f"{base}/claim.json")
        except NotFound:
            continue  # killed between the folder and the claim: nobody's number yet
        outcome = read_json(store, f"{base}/closed.json")["outcome"] if store.exists(f"{base}/closed.json") else ""
        found.append(Claim(**{**claim, "outcome": outcome}))
    return found


def closed(store: Store, policy: str, number: int) -> dict[str, Any]:
    """How a round ended: outcome, at, and facts (version, reasons, stages: name → key). Raises NotFound."""
    return read_json(store, f"{_folder(policy, number)}/closed.json")


def reported(store: Store, policy: str, number: int) -> dict[str, Any]:
    """{"outcome", "at", "version", "reasons", "stages": {name: output}} of a closed round. Raises NotFound."""
    ended = closed(store, policy, number)
    facts = ended["facts"]
    outputs = {name: stage_output(store, key) for name, key in facts.get("stages", {}).items()}
    stages = {name: output for name, output in outputs.items() if output is not None}
    return {"outcome": ended["outcome"], "at": ended["at"], **facts, "stages": stages}


def claim_round(store: Store, policy: str, loop_uid: str, now: float) -> Claim:
    """The open claim of this loop, or a new number.

    Raises ClaimTaken while another loop's claim is open (single flight), or when it won the same number.
    """
    known = claims(store, policy)
    for claim in known:
        if not claim.outcome:
            if claim.loop_uid == loop_uid:
                return claim
            raise ClaimTaken("another loop has a round of this policy open", policy=policy, number=claim.number)
    claim = Claim(policy, max((c.number for c in known), default=0) + 1, loop_uid, now)
    value = asdict(claim)
    del value["outcome"]
    create_json(store, f"{_folder(policy, claim.number)}/claim.json", value)
    return claim


def close_round(store: Store, claim: Claim, outcome: str, now: float, facts: dict[str, Any] | None = None) -> None:
    """Ends a claim; a second ending raises ClaimTaken. The number stays used: a gap is an abandoned claim."""
    value = {"outcome": outcome, "at": now, "facts": facts or {}}
    create_json(store, f"{_folder(claim.policy, claim.number)}/closed.json", value)


def stage_output(store: Store, key: str) -> dict[str, Any] | None:
    """The first complete output of a stage whose inputs have this digest; None while there is none."""
    try:
        return read_json(store, f"stages/{key}.json")
    except NotFound:
        return None


def publish_stage(store: Store, key: str, output: dict[str, Any]) -> dict[str, Any]:
    """Publishes a stage's output; when another runner was first, its output is taken over and returned."""
    try:
        create_json(store, f"stages/{key}.json", output)
    except ClaimTaken:
        return read_json(store, f"stages/{key}.json")
    return output
