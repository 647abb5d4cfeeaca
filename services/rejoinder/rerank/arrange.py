"""From scores to a slate, with the probability that each candidate stood where it stood.

temperature 0: by score, ties in incoming order; every propensity is 1.
temperature T > 0: a Plackett-Luce draw, the first `k` of n. With weights w_i = exp(score_i / T) the first place goes to
i with probability w_i / Σ w, the next to one of the rest likewise, and so on (Luce 1959; Plackett 1975).

**Which probability is logged.** For the candidate shown at position j, `propensity` is the *marginal* probability that
this candidate stands at this position over all draws with these scores, whatever stands elsewhere. It is not the
probability given what stands above it, and the slate's propensities do not multiply to the slate's probability. It is
what an inverse-propensity estimate of position-wise outcomes divides by: E[1(i at j) click_j / P(i at j)] is the click
rate i has at position j. Over all n positions a candidate's propensities sum to 1, and over
all candidates those of one position do.

How it is computed: in a race where candidate m arrives at an exponential time of rate w_m, the order of arrival is the
Plackett-Luce order. So P(i at j) = ∫ w_i e^(-w_i t) P(j-1 of the others arrived by t) dt, and the count of the others
is Poisson-binomial. With t = e^s the integrand is analytic in a strip, and the trapezoid rule in s is exact to about
1e-12 (Trefethen and Weideman 2014); tests compare with enumeration of all orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Log weights further than this below the greatest are raised to it, so that every propensity is a number above 0; the
#: draw and its probabilities are of the weights so raised. Temperatures that low draw nothing else than the best.
SPREAD = 500.0
_STEP = 0.25
_LEFT, _RIGHT = 34.0, 4.0


@dataclass(frozen=True)
class Slate:
    """order: indices of the candidates in the order to show (k,). propensity: see the module, each in (0, 1]."""

    order: tuple[int, ...]
    propensity: tuple[float, ...]


def deterministic(scores: np.ndarray, k: int) -> Slate:
    """The k best by score."""
    order = np.argsort(-scores, kind="stable")[:k]
    return Slate(tuple(int(i) for i in order), (1.0,) * len(order))


def plackett_luce(scores: np.ndarray, k: int, temperature: float, rng: np.random.Generator) -> Slate:
    """A draw of the first k places. scores: (n,); temperature > 0, in units of the scores."""
    log_weights = np.maximum((scores - scores.max()) / temperature, -SPREAD)
    # Adding Gumbel noise and sorting is the same draw as choosing place after place (Yellott 1977).
    order = np.argsort(-(log_weights + rng.gumbel(size=len(scores))), kind="stable")[:k]
    return Slate(tuple(int(i) for i in order), tuple(float(p) for p in marginals(log_weights, order)))


def marginals(log_weights: np.ndarray, order: np.ndarray) -> np.ndarray:
    """P(candidate order[j] stands at position j) for each j (k,). log_weights: (n,), spread at most SPREAD.

    Time O(Q · k · (n + k)) in numpy, Q nodes of the integral, 4 per unit of spread and 150 more.
    """
    k = len(order)
    lowest = log_weights[order].min()
    nodes = np.arange(-log_weights.max() - _LEFT, -lowest + _RIGHT, _STEP)
    arrivals = np.exp(log_weights[:, None] + nodes)  # (n, Q): expected by e^s
    late, early = np.exp(-arrivals), -np.expm1(-arrivals)
    shown = np.zeros(len(log_weights), dtype=bool)
    shown[order] = True
    base = np.zeros((len(nodes), k))
    base[:, 0] = 1.0
    # Whoever is _LEFT below everybody shown arrives before one of them with a probability below rounding.
    for other in np.flatnonzero(~shown & (log_weights > lowest - _LEFT)):
        base = _joined(base, late[other], early[other])
    # Everybody but shown candidate j = those not shown and those above it (before), with those below it (after).
    before = [base]
    for candidate in order[:-1]:
        before.append(_joined(before[-1], late[candidate], early[candidate]))
    after = [np.zeros_like(base)]
    after[0][:, 0] = 1.0
    for candidate in order[:0:-1]:
        after.append(_joined(after[-1], late[candidate], early[candidate]))
    after.reverse()
    # (k, Q): exactly j of the others arrived.
    at_place = np.stack([(before[j][:, : j + 1] * after[j][:, j::-1]).sum(1) for j in range(k)])
    return np.minimum(_STEP * (arrivals[order] * late[order] * at_place).sum(1), 1.0)


def _joined(counts: np.ndarray, late: np.ndarray, early: np.ndarray) -> np.ndarray:
    """Counts (Q, k) of arrivals with one more racer, who is late or early with these probabilities (Q,)."""
    more = counts * late[:, None]
    more[:, 1:] += counts[:, :-1] * early[:, None]
    return more
