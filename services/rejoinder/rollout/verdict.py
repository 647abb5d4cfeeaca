"""better, worse, inconclusive or unmeasured: what the evidence says, its reasons and the figures it was read off.

|  # | holds                                                            | outcome      | reasons               |
|----|------------------------------------------------------------------|--------------|-----------------------|
|  1 | a deterministic check failed                                     | worse        | check:<name>          |
|  2 | the assignments' sample ratio is off                             | unmeasured   | sample_ratio:assigned |
|  3 | a veto fired (k share a fifth of alpha, a tenth after a shadow)  | worse        | veto:<name>           |
|  4 | matured units are off where assignments are not: lost traffic    | unmeasured   | sample_ratio:matured  |
|  5 | the weighted mean of all E-values for harm reached 1/alpha       | worse        | satisfaction, dsat    |
|  6 | the extractor is away, or the arms have different ones           | unmeasured   | extractor             |
|  7 | an arm has fewer than min_units judged units                     | unmeasured   | units                 |
|  8 | a deterministic check was not made                               | unmeasured   | check:<name>          |
|  9 | the reply rate is not known to have stayed, and the              | inconclusive | response_rate         |
|    | per-interaction rates are not both shown not worse               |              |                       |
| 10 | a veto was measured on too few units of an arm                   | unmeasured   | veto:<name>           |
| 11 | E_better is reached                                              | better       | satisfaction          |
| 12 | else                                                             | inconclusive | satisfaction          |

`promotable` is the separate claim that promotion rests on: rows 11 or 12, with non-inferiority by the margin shown (and
superiority, where the plan promotes on better). So *better* is never said where only *not worse* is known, and an
inconclusive verdict that is not promotable pauses. Harm once shown stays shown: an E-value's error holds for "ever".
The failures veto works on the log's own records; in row 3 it still speaks when row 4's traffic is lost, because
answers that a crashing canary loses are themselves evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rejoinder.core.ids import digest_of
from rejoinder.rollout.evidence import SILENCE_PART, Evidence, parts
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.sequential import SequentialTest
from rejoinder.rollout.vetoes import Check, VetoView


class Outcome(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Verdict:
    """promotable: non-inferiority shown and nothing fired. snapshot: the figures, JSON values only."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    promotable: bool = False
    snapshot: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What a promotion's record names."""
        return digest_of(
            {
                "outcome": self.outcome.value,
                "reasons": list(self.reasons),
                "promotable": self.promotable,
                "snapshot": dict(self.snapshot),
            }
        )


@dataclass(frozen=True)
class Look:
    """What is known beside the units. extractor_ok: both arms were judged by the same pinned version, and it is up.
    norms: by arm and norm of the plan's charter, the answers to which it applied and those that broke it."""

    extractor_ok: bool = True
    extractor: str = ""
    checks: tuple[Check, ...] = ()
    norms: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)


def verdict(evidence: Evidence, plan: RolloutPlan, look: Look = Look()) -> Verdict:
    """Reads the evidence; pure. The table is in the module's docstring."""
    figures = snapshot(evidence, plan, look)

    def said(outcome: Outcome, *reasons: str, promotable: bool = False) -> Verdict:
        return Verdict(outcome, reasons, promotable, figures)

    failed = tuple(f"check:{check.name}" for check in look.checks if check.ok is False)
    if failed:
        return said(Outcome.WORSE, *failed)
    if evidence.assigned.suspends:
        return said(Outcome.UNMEASURED, "sample_ratio:assigned")
    fired = evidence.vetoes.fired(parts(plan)["vetoes"] * plan.alpha)
    if fired:
        return said(Outcome.WORSE, *(f"veto:{name}" for name in fired))
    if evidence.matured.suspends:
        return said(Outcome.UNMEASURED, "sample_ratio:matured")
    harmed = _harm(evidence, plan)
    if harmed:
        return said(Outcome.WORSE, *harmed)
    if not look.extractor_ok:
        return said(Outcome.UNMEASURED, "extractor")
    if min(tally.judged for tally in evidence.silence.arms.values()) < plan.min_units:
        return said(Outcome.UNMEASURED, "units")
    unmade = tuple(f"check:{check.name}" for check in look.checks if check.ok is None)
    if unmade:
        return said(Outcome.UNMEASURED, *unmade)
    if not _silence_is_sound(evidence, plan):
        return said(Outcome.INCONCLUSIVE, "response_rate")
    unmeasured = tuple(f"veto:{name}" for name in evidence.vetoes.unmeasured())
    if unmeasured:
        return said(Outcome.UNMEASURED, *unmeasured)
    judged = evidence.silence.tests["judged"]
    better = judged.better.log_e >= math.log(1 / plan.alpha)
    not_worse = shown_not_worse(judged, plan.alpha)
    promotable = not_worse and (better or plan.promote_on == "not_worse")
    return said(Outcome.BETTER if better else Outcome.INCONCLUSIVE, "satisfaction", promotable=promotable)


def shown_not_worse(test: SequentialTest, alpha: float) -> bool:
    return test.not_worse.log_e >= math.log(1 / alpha)


def _harm(evidence: Evidence, plan: RolloutPlan) -> tuple[str, ...]:
    """Who showed harm: each part that got there alone, else the one that carries most of the mean."""
    if evidence.harm_peak < math.log(1 / plan.alpha):
        return ()
    words = {"judged": "satisfaction", "no_dsat": "dsat"}
    peaks = {name: evidence.silence.tests[name].worse.peak + math.log(parts(plan)[name]) for name in words}
    alone = tuple(word for name, word in words.items() if peaks[name] >= math.log(1 / plan.alpha))
    return alone or (words[max(peaks, key=peaks.__getitem__)],)


def reply_moved(evidence: Evidence, plan: RolloutPlan) -> bool:
    """The two-sided test of the reply rate has fired: half of its error on either side."""
    test = evidence.silence.tests["reply"]
    return max(test.worse.peak, test.better.peak) >= math.log(2 / (SILENCE_PART * plan.alpha))


def _silence_is_sound(evidence: Evidence, plan: RolloutPlan) -> bool:
    tests, alpha = evidence.silence.tests, SILENCE_PART * plan.alpha
    if all(shown_not_worse(tests[name], alpha) for name in ("no_dsat", "sat")):
        return True
    stayed = all(shown_not_worse(tests[name], alpha) for name in ("reply", "no_reply"))
    return stayed and not reply_moved(evidence, plan)


def _figures(view: VetoView) -> dict[str, Any]:
    plain = {name: getattr(view, name) for name in ("log_e", "log_needed", "fired", "measured")}
    return plain | {arm: vars(figures) for arm, figures in view.arms.items()}


def snapshot(evidence: Evidence, plan: RolloutPlan, look: Look) -> dict[str, Any]:
    """The figures of status, Event and record: counts, means, reply rates, bounds, interval, log E-values."""
    silence = evidence.silence
    arms = {name: vars(silence.view(name)) | {"bounds": list(silence.view(name).bounds)} for name in silence.arms}
    figures = {
        "arms": arms,
        "interval": [evidence.interval.low, evidence.interval.high],
        "log_e": {
            name: {"worse": test.worse.log_e, "better": test.better.log_e, "not_worse": test.not_worse.log_e}
            for name, test in (silence.tests | evidence.vetoes.tests).items()
        },
        "vetoes": {view.name: _figures(view) for view in evidence.vetoes.views(parts(plan)["vetoes"] * plan.alpha)},
        "sample_ratio_log_e": {"assigned": evidence.assigned.log_e, "matured": evidence.matured.log_e},
        "reply_moved": reply_moved(evidence, plan),
        "alpha": plan.alpha,
        "margin": plan.margin,
        "extractor": look.extractor,
        "checks": [vars(check) for check in look.checks],
    }
    if plan.charter is not None:
        norms = {arm: {name: list(counts) for name, counts in found.items()} for arm, found in look.norms.items()}
        figures["charter"] = {"version": plan.charter.version, "digest": plan.charter.digest, "norms": norms}
    return figures
