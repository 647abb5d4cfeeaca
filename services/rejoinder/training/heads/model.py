"""The reward encoder: MiniLM whose upper layers take low-rank updates, and a Bradley-Terry scalar of three parts.

    score = w_enc · (u · [first state, mean state of the answer]) + w_lex · (sum of table[t] over the distinct tokens t
            of the answer) + w_len · log(1 + answer tokens)

The lower layers stay as they are, so that training computes them once (cache.py). The lexical table is a linear model
of which words an answer holds; the weights of the three parts come from pairs that none of them was trained on.
Bradley-Terry: P(a over b) = sigmoid(score a − score b). LoRA: 2106.09685, eq. 3.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rejoinder.training.extractor.model import HEADS, LAYERS, WIDTH, Layer, LowRank, SignalEncoder

VOCABULARY = 30522


class FusedLayer(Layer):
    """The same layer with fused attention: less memory, no dropout on attention weights."""

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        rows, size, _ = x.shape
        q, k, v = (f(x).view(rows, size, HEADS, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = self.norm1(x + self.drop(self.mix(mixed.transpose(1, 2).reshape(rows, size, WIDTH))))
        return self.norm2(x + self.drop(self.down(F.gelu(self.up(x)))))


class RewardEncoder(nn.Module):
    """base: checkpoint weights. rank: of the updates; tuned_from: the first layer that takes them."""

    def __init__(self, base: Mapping[str, Tensor], rank: int = 16, tuned_from: int = 3) -> None:
        super().__init__()
        encoder = SignalEncoder(rubric=1, rank=rank)
        encoder.load_base(base)
        self.words, self.places, self.kinds, self.norm = encoder.words, encoder.places, encoder.kinds, encoder.norm
        self.layers = nn.ModuleList(_fused(layer, rank) for layer in encoder.layers)
        self.tuned_from = tuned_from
        for layer in self.layers[:tuned_from]:
            # The updates are zero at birth: merging drops them and leaves the weights as they were.
            _merge(layer)
            layer.requires_grad_(False)
        for part in (self.words, self.places, self.kinds, self.norm):
            part.requires_grad_(False)
        self.drop = nn.Dropout(0.1)
        self.scalar = nn.Linear(2 * WIDTH, 1, bias=False)
        nn.init.normal_(self.scalar.weight, std=0.02)
        self.lexicon = nn.Parameter(torch.zeros(VOCABULARY), requires_grad=False)
        self.weights = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]), requires_grad=False)

    def small_state(self) -> dict[str, Tensor]:
        """What training made, and no more: megabytes instead of the encoder."""
        made = {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}
        return {**made, "lexicon": self.lexicon.detach(), "weights": self.weights.detach()}

    def load_small(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in state.items():
                self.get_parameter(name).copy_(value)

    def merge(self) -> RewardEncoder:
        """Adds the updates to the weights; the scores stay what they were."""
        for layer in self.layers:
            _merge(layer)
        return self

    def lower(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """(B, T) int64 each → states before the first tuned layer (B, T, WIDTH)."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.places(places) + self.kinds(types))
        return self._through(x, mask, 0, self.tuned_from)

    def upper(self, x: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """States (B, T, WIDTH) → the encoder's part of the score (B,)."""
        x = self._through(x, mask, self.tuned_from, LAYERS)
        return self.scalar(self.drop(torch.cat([x[:, 0], mean_state(x, types)], -1))).float()[:, 0]

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """ids, mask, types: (B, T) int64 → calibrated score in logits (B,)."""
        parts = (self.upper(self.lower(ids, mask, types), mask, types), self.lexical(ids, types), log_length(types))
        return sum(weight * part for weight, part in zip(self.weights, parts, strict=True))

    def lexical(self, ids: Tensor, types: Tensor) -> Tensor:
        """Sum of the table over the answer's distinct tokens (B,): each occurrence counts by its share."""
        inside = types.to(self.lexicon.dtype)
        same = (ids[:, :, None] == ids[:, None, :]).to(self.lexicon.dtype) * inside[:, None, :]
        return (self.lexicon[ids] * inside / same.sum(-1).clamp(min=1.0)).sum(-1)

    def _through(self, x: Tensor, mask: Tensor, start: int, end: int) -> Tensor:
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.layers[start:end]:
            x = layer(x, bias)
        return x


class TextEncoder(nn.Module):
    """The encoder as it came: one unit vector per text, so that a dot product is the cosine."""

    def __init__(self, base: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.encoder = RewardEncoder(base, rank=0, tuned_from=LAYERS)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """(B, T) int64 each → embeddings (B, WIDTH) of length 1; mean over the text's tokens."""
        return F.normalize(mean_state(self.encoder.lower(ids, mask, types), mask), dim=-1)


def mean_state(x: Tensor, inside: Tensor) -> Tensor:
    """x (B, T, D), inside (B, T) 0 or 1 → mean of the states inside (B, D)."""
    weight = inside.to(x.dtype)[..., None]
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def log_length(types: Tensor) -> Tensor:
    """Log of one more than the answer's tokens (B,)."""
    return torch.log1p(types.sum(-1).to(torch.float32))


def _fused(layer: nn.Module, rank: int) -> FusedLayer:
    assert isinstance(layer, Layer)
    fused = FusedLayer(rank, layer.query.scale)
    fused.load_state_dict(layer.state_dict())
    return fused


def _merge(layer: nn.Module) -> None:
    for module in layer.modules():
        if isinstance(module, LowRank):
            module.merge()
