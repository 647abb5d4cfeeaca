"""The loop that trains the signal encoder, on one or two CPU threads in minutes.

Each batch mixes rated chats, labelled turns and composed ones. Losses: polarity by cross-entropy where a person read
the words; where only a rating is known, the odds of SAT against DSAT alone (whether the words say anything stays
open); level and rating by cross-entropy over 1 to 5; rubric by binary cross-entropy of the soft maximum and of every
token.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from rejoinder.core.turntext import Budget, TurnRow, layout, marks
from rejoinder.training.extractor.model import SignalEncoder
from rejoinder.training.extractor.text import LABELS, Turn, Written, answers_of, compose


@dataclass(frozen=True)
class Params:
    """rank: of the updates. rate: peak learning rate; head_speed: times that for the heads.

    steps: of one batch = rated + labelled + composed rows. parts: pieces a batch is computed in.
    *_weight: of the losses; pole_weight .3 taught all talk between people the leniency of rated chats.
    seed: of order, dropout and composition.
    """

    rank: int = 16
    rate: float = 1e-3
    head_speed: float = 3.0
    steps: int = 300
    rated: int = 6
    labelled: int = 6
    composed: int = 20
    parts: int = 4
    level_weight: float = 0.5
    rating_weight: float = 1.0
    pole_weight: float = 0.0
    token_weight: float = 1.0
    seed: int = 7


@dataclass(frozen=True)
class Sources:
    """What to learn from. rated may be empty; poles: reason → SAT or DSAT, in the order of the rubric head."""

    rated: Sequence[Turn]
    labelled: Sequence[Turn]
    own: Written
    poles: Mapping[str, str]


@dataclass(frozen=True)
class Rows:
    """One batch. ids, mask, types: (B, T) int64. tokens: (B, T, R) 1 where a token lies in a span of the reason."""

    ids: Tensor
    mask: Tensor
    types: Tensor
    polarity: Tensor
    level: Tensor
    judged: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class Encoder:
    """Turns into rows of tokens and targets."""

    tokenizer: Tokenizer
    reasons: Sequence[str]
    budget: Budget = field(default_factory=Budget)

    def row(self, turn: Turn) -> tuple[TurnRow, list[tuple[int, int]]]:
        answer = self.tokenizer.encode(turn.answer, add_special_tokens=False)
        follow = self.tokenizer.encode(turn.followup, add_special_tokens=False)
        cls, sep = marks(self.tokenizer)
        row = layout(answer.ids, follow.ids, cls=cls, sep=sep, budget=self.budget)
        return row, [follow.offsets[i] for i in row.at]

    def batch(self, turns: Sequence[Turn]) -> Rows:
        rows = [self.row(turn) for turn in turns]
        size = max(len(row.ids) for row, _ in rows)
        shape = (len(turns), size)
        ids, mask, types = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
        tokens = torch.zeros((*shape, len(self.reasons)))
        for b, (turn, (row, offsets)) in enumerate(zip(turns, rows, strict=True)):
            ids[b, : len(row.ids)], mask[b, : len(row.ids)] = torch.tensor(row.ids), 1
            types[b, : len(row.ids)] = torch.tensor(row.types)
            first = row.types.index(1) if 1 in row.types else 0
            for reason, start, end in turn.spans:
                for t, (a, z) in enumerate(offsets):
                    if a < end and z > start:
                        tokens[b, first + t, self.reasons.index(reason)] = 1.0
        return Rows(
            ids,
            mask,
            types,
            torch.tensor([LABELS.index(turn.label) for turn in turns]),
            torch.tensor([turn.level - 1 for turn in turns]),
            torch.tensor([turn.judged for turn in turns]),
            tokens,
        )


def load_pretrained(folder: Path, rubric: int, rank: int, start: Path | None = None) -> SignalEncoder:
    """MiniLM with fresh updates and heads, or those of an earlier training; word and place embeddings stay frozen."""
    model = SignalEncoder(rubric, rank)
    model.load_base(load_file(str(folder / "model.safetensors")))
    if start is not None:
        mine = model.state_dict()
        known = {n: v.float() for n, v in load_file(str(start)).items() if n in mine and v.shape == mine[n].shape}
        model.load_state_dict(known, strict=False)
    model.words.requires_grad_(False)
    model.places.requires_grad_(False)
    if start is None:
        torch.nn.init.constant_(model.tokens.bias, -4.0)
    return model


def losses(out: Sequence[Tensor], rating: Tensor, rows: Rows, params: Params) -> Tensor:
    """One number for a batch. out: as the encoder returns it. rating: (B, 5) logits of the auxiliary head."""
    polarity, level, _, rubric, tokens = out
    judged = rows.judged
    rated = ~judged & (rows.polarity != 1)
    total = polarity.sum() * 0.0
    if judged.any():
        total = total + F.cross_entropy(polarity[judged], rows.polarity[judged])
        total = total + params.level_weight * F.cross_entropy(level[judged], rows.level[judged])
        inside = rows.types[judged][..., None].float()
        each = F.binary_cross_entropy_with_logits(tokens[judged], rows.tokens[judged], reduction="none") * inside
        total = total + params.token_weight * each.sum(-1).sum(1).div(inside.sum(1)[:, 0].clamp(min=1)).mean()
        fired = rows.tokens[judged].amax(1)
        total = total + F.binary_cross_entropy_with_logits(rubric[judged], fired, reduction="none").sum(-1).mean()
    if (~judged).any():
        total = total + params.rating_weight * F.cross_entropy(rating[~judged], rows.level[~judged])
    if rated.any():
        odds = polarity[rated, 2] - polarity[rated, 0]
        pole = F.binary_cross_entropy_with_logits(odds, (rows.polarity[rated] == 2).float())
        total = total + params.pole_weight * pole
    return total


def _cycle(turns: Sequence[Turn], rng: random.Random) -> Iterator[Turn]:
    while turns:
        yield from rng.sample(turns, len(turns))


def by_length(turns: Sequence[Turn], parts: int) -> list[list[Turn]]:
    """The batch in pieces of like length: padding a short turn to a long one doubled the work of a step."""
    order = sorted(turns, key=lambda t: len(t.followup) + min(200, len(t.answer)))
    size = -(-len(order) // parts)
    return [order[k : k + size] for k in range(0, len(order), size)]


def fit(model: SignalEncoder, encoder: Encoder, sources: Sources, params: Params, say: Callable[[str], None]) -> None:
    """Trains in place; linear warm-up over a tenth of the steps, then linear decay. bf16 for the encoder."""
    torch.manual_seed(params.seed)
    rng = random.Random(params.seed)
    # Ratings are a task of their own that keeps the layers reading tone; its head stays here (see extractor_rating).
    auxiliary = torch.nn.Linear(model.level.in_features, 5)
    heads = [p for n, p in model.named_parameters() if n.startswith(("polarity", "level", "tokens"))]
    heads += list(auxiliary.parameters())
    deep = [p for p in model.parameters() if p.requires_grad and not any(p is h for h in heads)]
    groups = [{"params": deep, "peak": params.rate}, {"params": heads, "peak": params.rate * params.head_speed}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    trainable = deep + heads
    # A third are recommendations and offers, so that their readers' odds are learnt as even and not as a chat's.
    own = [*sources.own.answers, *answers_of(sources.own.wholes)]
    answers = answers_of(sources.labelled)
    answers += own * (len(answers) // (2 * len(own)))
    rated, labelled = _cycle(sources.rated, rng), _cycle(sources.labelled, rng)
    model.train()
    for step in range(params.steps):
        turns = [next(labelled) for _ in range(params.labelled)]
        turns += [next(rated) for _ in range(params.rated if sources.rated else 0)]
        turns += [compose(sources.own, dict(sources.poles), answers, rng) for _ in range(params.composed)]
        share = min(1.0, (step + 1) / (0.1 * params.steps)) * max(0.02, 1 - step / params.steps)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * share
        optimiser.zero_grad()
        total = 0.0
        for part in by_length(turns, params.parts):
            rows = encoder.batch(part)
            with torch.autocast("cpu", torch.bfloat16):
                encoded = model.encode(rows.ids, rows.mask, rows.types)
                out, rating = model.heads(*encoded, rows.types), auxiliary(encoded[1]).float()
            loss = losses(out, rating, rows, params) * (len(part) / len(turns))
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
            say(f"step {step + 1} of {params.steps} loss {total:.3f}")
    model.eval()


@torch.no_grad()
def predict(model: SignalEncoder, encoder: Encoder, turns: Sequence[Turn], size: int = 64) -> list[dict[str, list]]:
    """Raw logits of every turn, in order: polarity (3), levels (5), rubric (R); and the rating."""
    order = sorted(range(len(turns)), key=lambda i: len(turns[i].followup) + min(200, len(turns[i].answer)))
    out: list[dict[str, list]] = [{} for _ in turns]
    model.eval()
    for k in range(0, len(order), size):
        part = order[k : k + size]
        rows = encoder.batch([turns[i] for i in part])
        with torch.autocast("cpu", torch.bfloat16):
            found = model(rows.ids, rows.mask, rows.types)[:4]
        for i, *each in zip(part, *(head.tolist() for head in found), strict=True):
            out[i] = dict(zip(("polarity", "levels", "rating", "rubric"), each, strict=True))
    return out
