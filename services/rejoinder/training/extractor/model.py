"""The signal encoder: MiniLM (6 layers of 384) with low-rank updates and five heads.

Heads, all over one pass (B rows, T tokens):
  polarity (B, 3)       log-probabilities of DSAT, none, SAT, as "do the words speak" times "for or against"
  level    (B, 5)       logits of the levels 1 to 5 that the words express
  rating   (B, 2)       the rating, 1 to 5, that a chat partner would give for the tone, words or no words; and how
                        much the turn is such a chat, about 1, or the use of an assistant, about 0 (extractor/rating.py)
  rubric   (B, R)       a soft maximum of `tokens`, so that the evidence span is what made the class fire
  tokens   (B, T, R)    logit of each rubric class at each token of the follow-up (elsewhere -30)
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
READ = (0, 2, 4, 6)  # layers whose mean over the follow-up the rating head reads; 0 is the word vectors
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
        if self.A is None or self.B is None:
            return y
        return y + F.linear(F.linear(x, self.A), self.B) * self.scale

    def merge(self) -> None:
        """Adds the update to the frozen weight and forgets it."""
        if self.A is not None and self.B is not None:
            self.base.weight.data += (self.B @ self.A).detach() * self.scale
            self.A = self.B = None


class Layer(nn.Module):
    def __init__(self, rank: int, scale: float) -> None:
        super().__init__()
        self.query, self.key = LowRank(WIDTH, WIDTH, rank, scale), LowRank(WIDTH, WIDTH, rank, scale)
        self.value, self.mix = LowRank(WIDTH, WIDTH, rank, scale), LowRank(WIDTH, WIDTH, rank, scale)
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
        self.polarity = nn.Linear(2 * WIDTH, 2)
        self.level = nn.Linear(2 * WIDTH, 5)
        self.rating = nn.Linear((len(READ) + 1) * WIDTH + 2, 2).requires_grad_(False)
        self.tokens = nn.Linear(WIDTH, rubric)

    def load_base(self, weights: Mapping[str, Tensor]) -> None:
        """Takes the pretrained weights (names as BERT checkpoints spell them)."""
        with torch.no_grad():
            for mine, theirs in _names():
                self.get_parameter(mine).copy_(weights[theirs])

    def small_state(self) -> dict[str, Tensor]:
        """What training changed and reading needs: updates, heads, norms and token kinds."""
        frozen = (".base.", "words.", "places.")
        return {name: p for name, p in self.named_parameters() if not any(part in name for part in frozen)}

    def merge(self) -> SignalEncoder:
        for module in self.modules():
            if isinstance(module, LowRank):
                module.merge()
        return self

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ids, mask, types: (B, T) int64 → hidden states (B, T, 384), pooled (B, 768), read (B, 1922).

        pooled: [CLS] and the mean over the follow-up. read: means over the follow-up at the layers of READ, the mean of
        the answer's word vectors, the logs of both lengths, all detached; what the rating head reads.
        """
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.drop(self.norm(self.words(ids) + self.places(places) + self.kinds(types)))
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -1e4
        inside = types.float()[..., None]
        size = inside.sum(1).clamp(min=1.0)
        words = self.words(ids).float()
        outside = mask.float()[..., None] - inside
        rest = outside.sum(1).clamp(min=1.0)
        means = [(words * inside).sum(1) / size]
        for depth, layer in enumerate(self.layers, 1):
            x = layer(x, bias)
            if depth in READ:
                means.append((x * inside).sum(1) / size)
        aside = ((words * outside).sum(1) / rest, size.log1p(), rest.log1p())
        read = torch.cat([part.detach().float() for part in (*means, *aside)], -1)
        return x, self.drop(torch.cat([x[:, 0], means[-1].to(x.dtype)], -1)), read

    def heads(self, x: Tensor, pooled: Tensor, read: Tensor, types: Tensor) -> tuple[Tensor, ...]:
        """What `encode` gave, and the token types → the five outputs of the module docstring, in its order."""
        speak, favour = self.polarity(pooled).float().unbind(-1)
        spoken = F.logsigmoid(speak)
        polarity = torch.stack(
            [spoken + F.logsigmoid(-favour), F.logsigmoid(-speak), spoken + F.logsigmoid(favour)], -1
        )
        tokens = self.tokens(x).float()
        tokens = torch.where(types[..., None] > 0, tokens, torch.full_like(tokens, NOWHERE))
        rubric = torch.logsumexp(tokens * SHARPNESS, 1) / SHARPNESS
        with torch.autocast("cpu", enabled=False):
            rating = self.rating(read)
        return polarity, self.level(pooled).float(), rating, rubric, tokens

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> tuple[Tensor, ...]:
        """ids, mask, types: (B, T) int64 → polarity, level, rating, rubric, tokens."""
        return self.heads(*self.encode(ids, mask, types), types)


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
