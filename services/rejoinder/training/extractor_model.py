"""The signal encoder: MiniLM (6 layers of 384) with low-rank updates and four heads.

Heads, all over one pass (B rows, T tokens):
  polarity (B, 3)       logits of DSAT, none, SAT
  level    (B, 5)       logits of the levels 1 to 5
  tokens   (B, T, R)    logit of each rubric class at each token of the follow-up (elsewhere -30)
  rubric   (B, R)       a soft maximum of `tokens`, so that the evidence span is what made the class fire
The encoder is written out here and not taken from a library: the export is then a plain graph of MatMul, Softmax
and Gelu, and the update of every projection can be merged by one addition. LoRA: 2106.09685, eq. 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYERS, WIDTH, HEADS, INNER = 6, 384, 12, 1536
SHARPNESS = 4.0  # of the soft maximum: 1 is a plain logsumexp, infinity the maximum
NOWHERE = -30.0
PROJECTIONS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mix": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}


class LowRank(nn.Module):
    """A frozen linear map with a trainable update: W + B A · scale. A (rank, in) starts at random, B at zero."""

    def __init__(self, inside: int, outside: int, rank: int, scale: float) -> None:
        super().__init__()
        self.base = nn.Linear(inside, outside)
        self.base.requires_grad_(False)
        self.scale = scale
        self.A = nn.Parameter(torch.randn(rank, inside) / math.sqrt(inside)) if rank else None
        self.B = nn.Parameter(torch.zeros(outside, rank)) if rank else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        return y if self.A is None else y + F.linear(F.linear(x, self.A), self.B) * self.scale

    def merge(self) -> None:
        """Adds the update to the frozen weight and forgets it."""
        if self.A is not None and self.B is not None:
            self.base.weight.data += (self.B @ self.A).detach() * self.scale
            self.A = self.B = None


class Layer(nn.Module):
    def __init__(self, rank: int, scale: float) -> None:
        super().__init__()
        for name in ("query", "key", "value", "mix"):
            setattr(self, name, LowRank(WIDTH, WIDTH, rank, scale))
        self.up, self.down = LowRank(WIDTH, INNER, rank, scale), LowRank(INNER, WIDTH, rank, scale)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        rows, size, _ = x.shape
        q, k, v = (f(x).view(rows, size, HEADS, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + bias).softmax(-1)
        mixed = (self.drop(weights) @ v).transpose(1, 2).reshape(rows, size, WIDTH)
        x = self.norm1(x + self.drop(self.mix(mixed)))
        return self.norm2(x + self.drop(self.down(F.gelu(self.up(x)))))


class SignalEncoder(nn.Module):
    """See the module docstring. `rank` 0 is the encoder without updates (after merging)."""

    def __init__(self, rubric: int = 18, rank: int = 16, scale: float = 2.0, vocab: int = 30522) -> None:
        super().__init__()
        self.words, self.places, self.kinds = (
            nn.Embedding(vocab, WIDTH),
            nn.Embedding(512, WIDTH),
            nn.Embedding(2, WIDTH),
        )
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer(rank, scale) for _ in range(LAYERS))
        self.drop = nn.Dropout(0.1)
        self.polarity, self.level = nn.Linear(2 * WIDTH, 3), nn.Linear(2 * WIDTH, 5)
        self.tokens = nn.Linear(WIDTH, rubric)

    def load_base(self, weights: Mapping[str, Tensor]) -> None:
        """Takes the pretrained weights (names as BERT checkpoints spell them)."""
        with torch.no_grad():
            for mine, theirs in _names():
                self.get_parameter(mine).copy_(weights[theirs])

    def small_state(self) -> dict[str, Tensor]:
        """What training changed, and no more: updates, heads, norms and token kinds."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def merge(self) -> SignalEncoder:
        for module in self.modules():
            if isinstance(module, LowRank):
                module.merge()
        return self

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """ids, mask, types: (B, T) int64 → polarity, level, rubric, tokens."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.drop(self.norm(self.words(ids) + self.places(places) + self.kinds(types)))
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.layers:
            x = layer(x, bias)
        inside = types.to(x.dtype)[..., None]
        mean = (x * inside).sum(1) / inside.sum(1).clamp(min=1.0)
        pooled = self.drop(torch.cat([x[:, 0], mean], -1))
        tokens = self.tokens(x).float()
        tokens = torch.where(types[..., None] > 0, tokens, torch.full_like(tokens, NOWHERE))
        rubric = torch.logsumexp(tokens * SHARPNESS, 1) / SHARPNESS
        return self.polarity(pooled).float(), self.level(pooled).float(), rubric, tokens


def _names() -> Iterator[tuple[str, str]]:
    for mine, theirs in {"words": "word", "places": "position", "kinds": "token_type"}.items():
        yield f"{mine}.weight", f"embeddings.{theirs}_embeddings.weight"
    for part in ("weight", "bias"):
        yield f"norm.{part}", f"embeddings.LayerNorm.{part}"
        for i in range(LAYERS):
            for mine, theirs in PROJECTIONS.items():
                yield f"layers.{i}.{mine}.base.{part}", f"encoder.layer.{i}.{theirs}.{part}"
            yield f"layers.{i}.norm1.{part}", f"encoder.layer.{i}.attention.output.LayerNorm.{part}"
            yield f"layers.{i}.norm2.{part}", f"encoder.layer.{i}.output.LayerNorm.{part}"
