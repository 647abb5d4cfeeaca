"""Row 15, WildFeedback (arXiv 2408.15549) in miniature: pairs made of what people say next, and four rounds of them.

The follow-ups of chat.py go through the shipped extractor, the `wildfeedback` builder and its guards. Measured are
how the pairs agree with the tastes that nobody but the simulator knows, and what rounds of DPO on them do to the
satisfaction of fresh people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rejoinder.core.types import Preference, Signal
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.pairs.context import Context, Draft
from rejoinder.rounds.pairs.guards import Guards, GuardSettings
from rejoinder.rounds.pairs.summarise import SUMMARISERS
from rejoinder.simulate.tastes import Person, Reading, people
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures.chat import ACTIONS, KINDS, Policy, Said, World, action_of, habits, read, traffic
from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

USERS, LOOP_USERS, LOOP_ROUNDS, FRESH_USERS = 200, 150, 4, 300
Read = tuple[Sequence[Said], Sequence[Signal]]
Change = Callable[[Sequence[Said], Sequence[Signal], np.random.Generator], Read]


def as_it_was(said: Sequence[Said], signals: Sequence[Signal], rng: np.random.Generator) -> Read:
    return said, signals


def shuffled(said: Sequence[Said], signals: Sequence[Signal], rng: np.random.Generator) -> Read:
    """A control: every turn keeps its words and gets another's signal."""
    return said, [signals[i] for i in rng.permutation(len(signals))]


def permuted(said: Sequence[Said], signals: Sequence[Signal], rng: np.random.Generator) -> Read:
    """A control: every answer gets another conversation's follow-up, words and signal together."""
    order = rng.permutation(len(said))
    turns = [
        replace(s, turn=replace(s.turn, feedback=replace(s.turn.feedback, kind=said[i].turn.feedback.kind)))
        for s, i in zip(said, order, strict=True)
    ]
    return turns, [signals[i] for i in order]


def pairs(
    said: Sequence[Said], signals: Sequence[Signal], policy: Policy, seed: int, choose: str = "guidance"
) -> list[Preference]:
    """What the builder makes and the guards let pass."""
    evidence = [
        Evidence(s.turn.feedback.event_id, "t", s.turn.feedback, s.turn.interaction, signal)
        for s, signal in zip(said, signals, strict=True)
    ]
    summariser = SUMMARISERS["embedded"].make()
    context = Context("assist", "now", 1, seed, policy, None, summariser, workers=1)
    row = BUILDERS["wildfeedback"]
    guards = Guards(GuardSettings())
    histories = {e.id: "\n".join(m.content for m in e.interaction.messages) for e in evidence}
    drafts = [
        made for made in row.make(evidence, row.with_params({"choose": choose}), context) if isinstance(made, Draft)
    ]
    return [d.preference for d in drafts if not guards.refuse(d, histories[d.preference.provenance.evidence])]


def agreement(said: Sequence[Said], built: Sequence[Preference]) -> float:
    """Share of pairs whose chosen answer satisfies its own user better than the rejected one, ties one half."""
    by_user: Mapping[str, Said] = {s.person.id: s for s in said}
    wins = []
    for pair in built:
        who = by_user[pair.user_id]
        better, worse = (
            who.person.satisfaction(who.topic.kind, who.topic.read(t)) for t in (pair.chosen, pair.rejected)
        )
        wins.append(0.5 if better == worse else float(better > worse))
    return float(np.mean(wins))


@dataclass(frozen=True)
class Labels:
    """(S,) agreement with hidden tastes: of the builder's pairs; of the same pairs with an unguided resample chosen; of
    pairs from permuted follow-ups; of pairs from shuffled signals."""

    found: Floats
    unguided: Floats
    permuted: Floats
    shuffled: Floats


def labels(world: World, users: int, seeds: Sequence[int]) -> Labels:
    """Of one round under the untrained policy."""
    return Labels(*np.array([_labels(world, users, seed) for seed in seeds]).T)


def _labels(world: World, users: int, seed: int) -> tuple[float, ...]:
    rng = np.random.default_rng([15, seed])
    policy, deaf = Policy(world, habits()), Policy(world, habits(), deaf=True)
    said = traffic(world, habits(), users, rng)
    signals = read(world, said)
    built = pairs(said, signals, policy, seed)
    same = {pair.id for pair in built}
    resampled = [pair for pair in pairs(said, signals, deaf, seed, choose="reward") if pair.id in same]
    others = [pairs(*change(said, signals, rng), policy, seed) for change in (permuted, shuffled)]
    return tuple(agreement(said, made) for made in (built, resampled, *others))


def informative(found: Floats, unguided: Floats) -> Claim:
    """The weaker claim that holds: the labels say more than an unguided resample's."""
    return exceeds("agreement over an unguided resample", found - unguided, 0.0)


def label_claims(found: Floats, unguided: Floats) -> list[Claim]:
    """Of (S,) agreements: the builder's, and that of the builder whose policy does not hear the wish."""
    return [
        exceeds("pair labels that agree with the hidden taste", found, 0.85),
        exceeds("agreement over an unguided resample", found - unguided, 0.15),
    ]


#: `python -m tests.miniatures.tune wildfeedback`: most satisfaction after the rounds, three seeds from 1000.
DPO = Arm("dpo", {"beta": 0.1}, lr=0.05, steps=100)


def rounds(world: World, users: int, count: int, seed: int, change: Change = as_it_was, arm: Arm = DPO) -> list[float]:
    """Satisfaction of fresh people before and after each of `count` rounds; pairs are kept, the reference original.

    Every round `users` new people ask the policy as it then is.
    """
    reference = torch.from_numpy(habits()).log()
    logits, kept = reference.clone(), []
    fresh = people(FRESH_USERS, "fresh", np.random.default_rng([15, seed, 0]))
    curve = [satisfaction(fresh, habits())]
    for number in range(1, count + 1):
        rng = np.random.default_rng([15, seed, number])
        shares = logits.softmax(-1).numpy()
        said = traffic(world, shares, users, rng)
        turns, signals = change(said, read(world, said), rng)
        built = pairs(turns, signals, Policy(world, shares), seed + 1000 * number)
        kept += [cell for pair in built for cell in [_cells(world, pair)] if cell[1] != cell[2]]
        logits = learn(reference[None], _viewer(torch.tensor(kept), reference), arm)[0]
        curve.append(satisfaction(fresh, logits.softmax(-1).numpy()))
    return curve


def satisfaction(persons: Sequence[Person], shares: Floats) -> float:
    """Mean probability of being satisfied, every kind asked equally often."""
    readings = [Reading(style, right) for style, right in ACTIONS]
    pleased = np.array([[[p.satisfaction(kind, r) for r in readings] for kind in KINDS] for p in persons])
    return float((pleased.mean(0) * shares).sum(-1).mean())


def _cells(world: World, pair: Preference) -> tuple[int, int, int]:
    """(kind, chosen action, rejected action)"""
    topic = world.topics[world.find(pair.prompt[-1].content)]
    chosen, rejected = (action_of(topic.read(text)) for text in (pair.chosen, pair.rejected))
    return KINDS.index(topic.kind), chosen, rejected


def _viewer(cells: Tensor, reference: Tensor) -> Callable[[Tensor], PairLogps]:
    kind, chosen, rejected = cells.unbind(-1)

    def view_of(logits: Tensor) -> PairLogps:
        now = logits[0].log_softmax(-1)
        return pair_view(now[kind, chosen], now[kind, rejected], reference[kind, chosen], reference[kind, rejected])

    return view_of


def loop_claims(gained: Floats, control: Floats) -> list[Claim]:
    """Of (S,) gains in satisfaction over the rounds, with the follow-ups as they were and permuted."""
    return [
        exceeds("satisfaction gained over the rounds", gained, 0.05),
        exceeds("gained over permuted follow-ups", gained - control, 0.0),
        exceeds("permuted follow-ups gain less than three points", -control, -0.03),
        exceeds("permuted follow-ups lose less than three points", control, -0.03),
    ]


def measure(world: World, seeds: Sequence[int]) -> Found:
    """The labels. The control joins answers with other conversations' follow-ups."""
    got = labels(world, USERS, seeds)
    beside = {"unguided": got.unguided, "permuted follow-ups": got.permuted, "shuffled signals": got.shuffled}
    return Found(
        label_claims(got.found, got.unguided),
        label_claims(got.permuted, got.unguided),
        {name: interval(values) for name, values in beside.items()},
    )


def measure_loop(world: World, seeds: Sequence[int]) -> Found:
    """The rounds, on permuted follow-ups for the control: what they gain over themselves is nothing."""
    curves, control = (
        np.array([rounds(world, LOOP_USERS, LOOP_ROUNDS, seed, change) for seed in seeds])
        for change in (as_it_was, permuted)
    )
    gained, sham = curves[:, -1] - curves[:, 0], control[:, -1] - control[:, 0]
    beside = {f"satisfaction after round {i}": interval(curves[:, i]) for i in range(curves.shape[1])}
    return Found(loop_claims(gained, sham), loop_claims(sham, sham), beside)
