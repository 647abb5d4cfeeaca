"""What people said of pairs: the human side of the pair sets, beside the versions that are made of them.

A pair is known by a digest of tenant and id, so that nothing of an event stands here. Each word is an object of its
own, created exclusively; of several about one pair the latest holds.

    reviews/<policy>/<name>.json   {"pair", "verdict": accepted | rejected, "by", "at"}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from rejoinder.core.errors import UnknownRow
from rejoinder.core.ids import digest_of, uuid7
from rejoinder.core.types import Preference
from rejoinder.registry.store import Store, create_json, read_json

ACCEPTED, REJECTED = "accepted", "rejected"
VERDICTS = (ACCEPTED, REJECTED)
#: How often a person who looks at two answers is wrong: annotators of summaries agreed with one another on about 73 %
#: of comparisons (arXiv 2009.01325), as of two people of whom each errs once in six.
SLIP = 1 / 6


@dataclass(frozen=True)
class Review:
    """pair: as `pair_digest` has it. by: who said so. at: seconds since the epoch."""

    pair: str
    verdict: str
    by: str
    at: float


def pair_digest(pair: Preference) -> str:
    return digest_of(["pair", pair.tenant, pair.id])


def record(store: Store, policy: str, review: Review) -> None:
    """Raises UnknownRow for a verdict that is none."""
    if review.verdict not in VERDICTS:
        raise UnknownRow("verdict", review.verdict, VERDICTS)
    create_json(store, f"reviews/{policy}/{uuid7(review.at)}.json", asdict(review))


def reviews(store: Store, policy: str) -> dict[str, Review]:
    """Pair → what holds about it."""
    found = [Review(**read_json(store, f"reviews/{policy}/{name}")) for name in store.names(f"reviews/{policy}")]
    return {review.pair: review for review in sorted(found, key=lambda review: review.at)}


def reviewed(pairs: Iterable[Preference], verdicts: Mapping[str, str]) -> list[Preference]:
    """The pairs without those that were rejected; of the accepted ones the doubt is what is left of it after a person
    agreed, by Bayes' rule. verdicts: pair → verdict."""
    out = []
    for pair in pairs:
        verdict = verdicts.get(pair_digest(pair))
        if verdict == ACCEPTED:
            wrong, right = pair.flip_probability * SLIP, (1 - pair.flip_probability) * (1 - SLIP)
            out.append(replace(pair, flip_probability=wrong / (wrong + right)))
        elif verdict != REJECTED:
            out.append(pair)
    return out
