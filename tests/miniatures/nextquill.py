"""Row 127, NextQuill (arXiv 2506.02368) in miniature: what a history explains is learnt better where it weighs more.

A writer of twelve tokens. Where it stands (one of forty places) says what anybody writes next, with some noise; at a
fifth of the places it is what the user's history (one of twelve) says. One writer in twenty is taken for another. The
policy is a small network of the place and the history; without a history it sees the place alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rejoinder.training.views import HistoryLogps, PairLogps
from torch import Tensor

from tests.miniatures.fitting import Arm, learn
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

ROW, WRITERS, TOKENS = 127, 300, 12
PLACES, PERSONAL, HISTORIES, VOCABULARY = 40, 8, 12, 24
COMMON, WRONG = 0.9, 0.05
HIDDEN = 8
WARM = 60
Change = Callable[[HistoryLogps], HistoryLogps]

#: `python -m tests.miniatures.tune nextquill`: most tokens right on seeds 1000 to 1007, users' own and common ones
#: counting half each.
SFT = Arm("sft", lr=0.3, steps=150)
NEXTQUILL = Arm("nextquill", lr=0.3, steps=150)


@dataclass(frozen=True)
class World:
    """S seeds. common (S, PLACES): what most write there. own (S, HISTORIES, PERSONAL): what a history's user writes at
    the personal places, which are the first. place, token (S, WRITERS, TOKENS), history (S, WRITERS): what is learnt
    from; of some the history is another's. start (S, D): a network's parameters."""

    common: Tensor
    own: Tensor
    place: Tensor
    token: Tensor
    history: Tensor
    start: Tensor

    def logits(self, flat: Tensor) -> Tensor:
        """(S, HISTORIES + 1, PLACES, VOCABULARY); the last history is none."""
        places, histories, head = _split(flat)
        none = torch.zeros_like(histories[:, :1])
        seen = torch.cat([histories, none], 1)[:, :, None] + places[:, None]
        return torch.tanh(seen) @ head[:, None]

    def right(self, flat: Tensor) -> tuple[Floats, Floats]:
        """(S,) shares of the users' own tokens and of common ones that the policy would write, every history and
        place alike."""
        said = self.logits(flat)[:, :-1].argmax(-1)
        own = (said[..., :PERSONAL] == self.own).double().mean((1, 2))
        common = (said[..., PERSONAL:] == self.common[:, None, PERSONAL:]).double().mean((1, 2))
        return own.numpy(), common.numpy()


SIZES = ((PLACES, HIDDEN), (HISTORIES, HIDDEN), (HIDDEN, VOCABULARY))


def _split(flat: Tensor) -> list[Tensor]:
    parts = flat.split([a * b for a, b in SIZES], 1)
    return [part.view(len(flat), *size) for part, size in zip(parts, SIZES, strict=True)]


def world(seeds: Sequence[int]) -> World:
    made = [_drawn(np.random.default_rng([ROW, seed])) for seed in seeds]
    return World(*(torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True)))


def _drawn(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    common = rng.integers(VOCABULARY, size=PLACES)
    own = rng.integers(VOCABULARY, size=(HISTORIES, PERSONAL))
    place = rng.integers(PLACES, size=(WRITERS, TOKENS))
    writer = rng.integers(HISTORIES, size=WRITERS)
    noise = rng.integers(VOCABULARY, size=place.shape)
    written = np.where(rng.random(place.shape) < COMMON, common[place], noise)
    token = np.where(place < PERSONAL, own[writer[:, None], place.clip(max=PERSONAL - 1)], written)
    other = (writer + rng.integers(1, HISTORIES, size=WRITERS)) % HISTORIES
    history = np.where(rng.random(WRITERS) < WRONG, other, writer)
    start = rng.normal(size=sum(a * b for a, b in SIZES)) * 0.3
    return common, own, place, token, history, start


def shuffled(world: World, seeds: Sequence[int]) -> World:
    """Everybody's history is somebody's."""
    order = np.stack([np.random.default_rng([ROW, s, 2]).permutation(WRITERS) for s in seeds])
    return replace(world, history=world.history.gather(1, torch.from_numpy(order)))


def viewer(
    world: World, change: Change = lambda view: view, through_both: bool = False
) -> Callable[[Tensor], HistoryLogps]:
    """Parameters → what the trainer's loop would show. through_both: the pass without a history has a gradient too, as
    in the released trainer."""
    seeds, writers, tokens = world.place.shape
    row, nobody = torch.arange(seeds)[:, None, None], torch.full_like(world.place, HISTORIES)
    mask = torch.ones(seeds * writers, tokens, dtype=torch.bool)

    def view_of(flat: Tensor) -> HistoryLogps:
        logits = world.logits(flat)
        said = logits.log_softmax(-1)
        none = logits[:, -1:] if through_both else logits[:, -1:].detach()
        effect = (logits - none).log_softmax(-1)
        at = (row, world.history[..., None].expand_as(nobody), world.place, world.token)
        ours, moved = said[at], effect[at]
        others = said[row, nobody, world.place, world.token].detach()
        return change(HistoryLogps(*(t.flatten(0, 1) for t in (ours, others, moved)), mask))

    return view_of


def as_pairs(view: HistoryLogps) -> PairLogps:
    """The same answers for an objective that reads no history, beside no rejected one."""
    ones = torch.ones(len(view.chosen), dtype=view.chosen.dtype)
    return PairLogps(view.chosen, view.chosen, view.mask, ~view.mask, None, None, ones, 0 * ones, ones * torch.nan)


def imitated(world: World, arm: Arm) -> Tensor:
    """Parameters (S, D) by SFT."""
    view_of = viewer(world)
    return learn(world.start, lambda flat: as_pairs(view_of(flat)), arm)


def fit(world: World, arm: Arm, change: Change = lambda view: view, through_both: bool = False) -> Tensor:
    """Parameters (S, D) after WARM steps of SFT and the rest of the arm's by its objective."""
    warm = imitated(world, replace(arm, objective="sft", params={}, steps=WARM))
    return learn(warm, viewer(world, change, through_both), replace(arm, steps=arm.steps - WARM))


def random_weights(view: HistoryLogps, seed: int = 0) -> HistoryLogps:
    """As many tokens weigh much, but which do is drawn: of those likelier than the threshold, as the true ones are."""
    threshold = 0.05
    chance, without = view.chosen.detach().exp(), view.without.detach().exp()
    able = chance > threshold
    count = int((chance - without > threshold).sum())
    draw = torch.Generator().manual_seed(seed)
    order = torch.rand(chance.shape, generator=draw, dtype=torch.float64).masked_fill(~able, 2.0).flatten().argsort()
    taken = torch.zeros_like(able.flatten())
    taken[order[:count]] = True
    return replace(view, without=view.chosen.detach().masked_fill(taken.view_as(able), -torch.inf))


def recovered(world: World, flat: Tensor) -> Floats:
    """(S,) area under the curve of the tokens' weight, heavy or light, against whether a token is the user's own."""
    view = viewer(world)(flat)
    heavy = (view.chosen.exp() - view.without.exp() > 0.05).view_as(world.place).flatten(1).double()
    own = (world.place < PERSONAL).flatten(1).double()
    hits = (heavy * own).sum(1) / own.sum(1)
    alarms = (heavy * (1 - own)).sum(1) / (1 - own).sum(1)
    return ((1 + hits - alarms) / 2).numpy()


def claims(world: World, sft: Tensor, ours: Tensor) -> list[Claim]:
    (own, common), (own_before, common_before) = world.right(ours), world.right(sft)
    return [
        exceeds("users' own tokens right, NextQuill less SFT", own - own_before, 0.02),
        exceeds("common tokens right, NextQuill less SFT", common - common_before, -0.01),
        exceeds("area under the curve of weights against users' own tokens", recovered(world, ours), 0.8),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's histories are anybody's. Beside: weights of tokens that were drawn, and either term alone."""
    made = world(seeds)
    sft, ours = imitated(made, SFT), fit(made, NEXTQUILL)
    lost = fit(shuffled(made, seeds), NEXTQUILL)
    arms = {
        "SFT": sft,
        "NextQuill": ours,
        "weights alone": fit(made, replace(NEXTQUILL, params={"alpha": 0.0})),
        "effect alone": fit(made, replace(NEXTQUILL, params={"heavy": 0.5, "light": 0.5})),
        "weights of drawn tokens alone": fit(made, replace(NEXTQUILL, params={"alpha": 0.0}), random_weights),
        "effect and weights of drawn tokens": fit(made, NEXTQUILL, random_weights),
        "gradients through both passes": fit(made, NEXTQUILL, through_both=True),
    }
    own = {name: made.right(flat)[0] for name, flat in arms.items()}
    beside = {f"users' own tokens right, {name}": found for name, found in own.items()}
    beside |= {f"the same, {name} less SFT": own[name] - own["SFT"] for name in list(own)[2:]}
    beside["the same, weights alone less those of drawn tokens"] = (
        own["weights alone"] - own["weights of drawn tokens alone"]
    )
    beside["area under the curve, gradients through both passes"] = recovered(
        made, arms["gradients through both passes"]
    )
    return Found(
        claims(made, sft, ours), claims(made, sft, lost), {name: interval(found) for name, found in beside.items()}
    )
