"""The shadow phase: what a share of stable's users asked is answered again by both versions, shown to nobody, and
scored.

A pair is an answer of either version to the same words, written beside each other under the same limits; one that does
not come takes the other with it. So which pairs there are is no matter of what either version says, as it would be if
the shown answer were held against: a long one is left or runs out of time more often. Its score under a veto is d = 1
where the candidate alone does harm, -1 where stable alone does, else 0. Under *the candidate does no more harm* the
mean of d is at most 0 whatever came before, so each

    E = mean over l of prod [1 + .95 l d] = mean over l of (1 + .95 l)^(candidate alone) (1 - .95 l)^(stable alone)

is a supermartingale that starts at 1 (the bets of `sequential`, on pairs): P(ever >= 1/alpha) <= alpha however often it
is looked at. It depends on counts alone, so counts are all that a replica tells. Of each unit of assignment one pair
counts, since a user's turns are no independent coins; two replicas may meet one user, so each replica's pairs are a
test of their own, and the k-th of them has the part 1/(k(k+1)) of the error, as in `sample_ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder.core.errors import BadSettings
from rejoinder.rollout.sample_ratio import MOST_PROCESSES, discount
from rejoinder.rollout.sequential import LAMBDAS, NI_CLIP, log_mean_exp
from rejoinder.rollout.vetoes import FAILURES, GROWTH, LENGTH, NORMS, REFUSALS, Veto

#: The vetoes that two answers can be held against without anybody's reply.
SCORED = (FAILURES, LENGTH, REFUSALS, NORMS)


@dataclass(frozen=True)
class Marks:
    """All that is kept of an answer. failed: there is none, or it has no words. tokens: written; cut: at their limit.
    refused, broken: None where nobody asks, or no norm applies."""

    failed: bool
    tokens: int = 0
    cut: bool = False
    refused: bool | None = None
    broken: bool | None = None


@dataclass(frozen=True)
class Count:
    """Pairs of one veto, and in how many which answer did harm: that of the version that is shown (stable) alone, the
    candidate's alone, both."""

    veto: str = ""
    pairs: int = 0
    shown: int = 0
    candidate: int = 0
    both: int = 0

    def __add__(self, other: Count) -> Count:
        sums = (getattr(self, name) + getattr(other, name) for name in ("pairs", "shown", "candidate", "both"))
        return Count(self.veto, *sums)

    def log_e(self, two_sided: bool = False) -> float:
        """Log of the E-value for more harm by the candidate; two_sided: of the louder side."""
        worse = _log_e(self.candidate, self.shown)
        return max(worse, _log_e(self.shown, self.candidate)) if two_sided else worse


def _log_e(ones: int, others: int) -> float:
    return log_mean_exp([ones * math.log1p(NI_CLIP * x) + others * math.log1p(-NI_CLIP * x) for x in LAMBDAS])


@dataclass(frozen=True)
class Scored:
    """What one process has scored of one rollout, in totals. epoch: names its life, and in it this rollout's turn.
    vetoes: every count by its veto's name. dropped: draws that made no pair. tokens: written in all pairs, by the
    version that is shown and by the candidate."""

    epoch: str = ""
    salt: str = ""
    pairs: int = 0
    vetoes: tuple[Count, ...] = ()
    dropped: int = 0
    shown_tokens: int = 0
    candidate_tokens: int = 0


def harms(shown: Marks, again: Marks) -> dict[str, tuple[bool, bool]]:
    """By veto, whether stable's answer and the candidate's do harm, where both can be measured.

    Length is a matter of the two alone, so it needs no bound from earlier answers: more than twice as long as the
    other, or cut at the limit where the other was not.
    """
    found = {FAILURES: (shown.failed, again.failed)}
    if shown.failed or again.failed:
        return found
    found[LENGTH] = (_grew(shown, again), _grew(again, shown))
    if shown.refused is not None and again.refused is not None:
        found[REFUSALS] = (shown.refused, again.refused)
    if shown.broken is not None and again.broken is not None:
        found[NORMS] = (shown.broken, again.broken)
    return found


def _grew(one: Marks, other: Marks) -> bool:
    return one.tokens > GROWTH * other.tokens or (one.cut and not other.cut)


@dataclass(frozen=True)
class ShadowVeto:
    """One veto for people. log_e: the greatest so far, discounted. measured: on enough pairs for its silence to say
    anything. count: summed over processes."""

    name: str
    log_e: float
    log_needed: float
    fired: bool
    measured: bool
    count: Count


@dataclass
class _Process:
    """owns: the totals of one process as they were last read. place: it was the place-th to speak."""

    place: int
    scored: Scored = field(default_factory=Scored)


class ShadowEvidence:
    """owns: the totals of every process that scored pairs, each veto's greatest discounted E, and for how long the
    phase was kept going (`kept_s`, seconds). heard: whether any replica was at this rollout when it was last told to.

    No process is ever forgotten: one that spoke again would count twice. Beyond `MOST_PROCESSES` lives no new one is
    taken up.
    """

    def __init__(self, vetoes: tuple[Veto, ...]) -> None:
        self.vetoes = tuple(veto for veto in vetoes if veto.name in SCORED)
        self._processes: dict[str, _Process] = {}
        self._peaks = {veto.name: 0.0 for veto in self.vetoes}
        self.kept_s, self.heard = 0.0, True
        self._looked_at: float | None = None

    def kept(self, now: float, most_s: float) -> None:
        """At `now` replicas go on; most_s: how long they do so by themselves after a look."""
        if self._looked_at is not None:
            # Whole microseconds: a hundred looks a second apart are a hundred seconds.
            self.kept_s = round(self.kept_s + min(max(0.0, now - self._looked_at), most_s), 6)
        self._looked_at = now

    def stands(self) -> bool:
        """No replica goes on: until the next `kept` no time counts. Whether it had been going."""
        going, self._looked_at = self._looked_at is not None, None
        return going

    def take(self, scored: Scored) -> bool:
        """A process's totals as they are now; whether they say anything new. No total is ever taken back."""
        if not scored.epoch or not (scored.pairs or scored.dropped):
            return False
        process = self._processes.get(scored.epoch)
        if process is None:
            if len(self._processes) >= MOST_PROCESSES:
                return False
            process = self._processes[scored.epoch] = _Process(len(self._processes) + 1)
        if scored.pairs < process.scored.pairs or scored.dropped < process.scored.dropped:
            return False
        new = scored != process.scored
        process.scored = scored
        counts = {count.veto: count for count in scored.vetoes}
        for veto in self.vetoes:
            log_e = counts.get(veto.name, Count()).log_e(veto.two_sided) - discount(process.place)
            self._peaks[veto.name] = max(self._peaks[veto.name], log_e)
        return new

    @property
    def total(self) -> Scored:
        """Summed for people: a unit that two processes met is in it twice."""
        total = Scored()
        for process in self._processes.values():
            total = _sum(total, process.scored)
        return total

    def fired(self, alpha: float) -> tuple[str, ...]:
        """Names of the vetoes that ever reached k/alpha; alpha is the part of the error that all of them share."""
        return tuple(veto.name for veto in self.vetoes if self._peaks[veto.name] >= self._needed(veto, alpha))

    def views(self, alpha: float, min_pairs: int) -> tuple[ShadowVeto, ...]:
        """Every veto for people; alpha as in `fired`, min_pairs: below which one is not measured."""
        fired, counts = self.fired(alpha), {count.veto: count for count in self.total.vetoes}
        return tuple(
            ShadowVeto(
                veto.name,
                self._peaks[veto.name],
                self._needed(veto, alpha),
                veto.name in fired,
                (count := counts.get(veto.name, Count(veto.name))).pairs >= min_pairs,
                count,
            )
            for veto in self.vetoes
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "processes": [[process.place, _plain(process.scored)] for process in self._processes.values()],
            "peaks": dict(self._peaks),
            "kept_s": self.kept_s,
            "looked_at": self._looked_at,
        }

    def restore(self, value: Mapping[str, Any]) -> None:
        """Takes up the state of an earlier process with the same vetoes; BadSettings where they differ."""
        if set(value["peaks"]) != set(self._peaks):
            raise BadSettings("the vetoes changed under a running rollout")
        found = [_Process(place, _scored(scored)) for place, scored in value["processes"]]
        self._processes = {process.scored.epoch: process for process in found}
        self._peaks = dict(value["peaks"])
        # A process of before its time was counted has none: it begins at nothing.
        self.kept_s, self._looked_at = value.get("kept_s", 0.0), value.get("looked_at")

    def _needed(self, veto: Veto, alpha: float) -> float:
        # Two sides are two tests at half the error each.
        return math.log((2 if veto.two_sided else 1) * len(self.vetoes) / alpha)


def _sum(one: Scored, other: Scored) -> Scored:
    counts = {count.veto: count for count in one.vetoes}
    for count in other.vetoes:
        counts[count.veto] = counts.get(count.veto, Count(count.veto)) + count
    return Scored(
        pairs=one.pairs + other.pairs,
        vetoes=tuple(counts.values()),
        dropped=one.dropped + other.dropped,
        shown_tokens=one.shown_tokens + other.shown_tokens,
        candidate_tokens=one.candidate_tokens + other.candidate_tokens,
    )


def _plain(scored: Scored) -> dict[str, Any]:
    return vars(scored) | {"vetoes": [list(vars(count).values()) for count in scored.vetoes]}


def _scored(value: Mapping[str, Any]) -> Scored:
    return Scored(**{**value, "vetoes": tuple(Count(*count) for count in value["vetoes"])})


@dataclass(frozen=True)
class ShadowView:
    """What `decide` is told of the phase. pairs: of all replicas, under the veto that was measured on the fewest.
    fired: vetoes that showed harm. kept_s: seconds that it was kept going. heard: False where no replica is at it."""

    pairs: int = 0
    fired: tuple[str, ...] = ()
    kept_s: float = 0.0
    heard: bool = True
