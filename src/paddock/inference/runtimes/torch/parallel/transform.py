"""Turns a finished Llama of one part's shape into that part, in place.

The model file knows nothing of this: a part is a plain Llama with fewer heads, rows and layers,
whose few modules at the borders are exchanged for ones that talk with the other ranks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paddock.inference.checkpoint.parts import PartConfig
from paddock.inference.runtimes.torch.llama import Block, Llama
from paddock.inference.runtimes.torch.parallel.collectives import Collectives


class SummedLinear(nn.Module):
    """A product over this rank's inputs only, summed over the ranks (Megatron-LM, 1909.08053)."""

    def __init__(self, inner: nn.Module, ranks: Collectives) -> None:
        super().__init__()
        self.inner = inner
        self._ranks = ranks

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """``residual`` (T, outputs) plus the product of all ranks; ``x`` is (T, own inputs)."""
        return residual + self._ranks.sum(self.inner(x))


class SharedEmbedding(nn.Module):
    """Each rank has some rows of the matrix; a token's row comes from the rank that has it."""

    def __init__(self, inner: nn.Module, rows: int, ranks: Collectives) -> None:
        super().__init__()
        self.inner = inner
        self._first, self._rows, self._ranks = ranks.part * rows, rows, ranks

    def forward(self, tokens: Tensor) -> Tensor:
        """(T,) to (T, dim)."""
        own = tokens - self._first
        elsewhere = (own < 0) | (own >= self._rows)
        found: Tensor = self.inner(own.masked_fill(elsewhere, 0))
        return self._ranks.sum(found.masked_fill_(elsewhere.unsqueeze(1), 0))


class SharedHead(nn.Module):
    """Each rank computes the logits of its own rows; all ranks get all of them."""

    def __init__(self, inner: nn.Module, ranks: Collectives) -> None:
        super().__init__()
        self.inner = inner
        self._ranks = ranks

    def forward(self, x: Tensor) -> Tensor:
        """(S, dim) to (S, vocab_size); columns of zeros at the end where rows did not divide."""
        return self._ranks.columns(self.inner(x))


class Receiver(nn.Module):
    """In the place of the embedding: takes the activations that the stage before computed."""

    def __init__(self, dim: int, dtype: torch.dtype, ranks: Collectives) -> None:
        super().__init__()
        self._dim, self._dtype, self._ranks = dim, dtype, ranks

    def forward(self, tokens: Tensor) -> Tensor:
        """(T,), of which only the length counts, to (T, dim)."""
        shape = (tokens.shape[0], self._dim)
        return self._ranks.receive(torch.empty(shape, dtype=self._dtype, device=tokens.device))


class Sender(nn.Module):
    """In the place of the head: hands the activations on. Gives no rows of logits back."""

    def __init__(self, ranks: Collectives) -> None:
        super().__init__()
        self._ranks = ranks

    def forward(self, x: Tensor) -> Tensor:
        """(T, dim) to (0, dim)."""
        self._ranks.send(x)
        return x[:0]


def spread(model: Llama, ranks: Collectives) -> None:
    """Makes ``model``, of the shape of ``ranks``' own part, compute together with the others."""
    config = model.config
    assert isinstance(config, PartConfig), "a model of a whole shape is nobody's part"
    if ranks.split.tp > 1:
        for layer in model.layers:
            assert isinstance(layer, Block)
            layer.attention.wo = SummedLinear(layer.attention.wo, ranks)  # type: ignore[assignment]
            layer.feed_forward.w2 = SummedLinear(layer.feed_forward.w2, ranks)  # type: ignore[assignment]
        embedding = SharedEmbedding(model.tok_embeddings, config.vocab_size, ranks)
        model.tok_embeddings = embedding  # type: ignore[assignment]
        model.output = SharedHead(model.output, ranks)  # type: ignore[assignment]
    if not ranks.first:
        model.tok_embeddings = Receiver(config.dim, model.cos.dtype, ranks)  # type: ignore[assignment]
    if not ranks.last:
        model.norm = nn.Identity()  # type: ignore[assignment]
        model.output = Sender(ranks)  # type: ignore[assignment]
