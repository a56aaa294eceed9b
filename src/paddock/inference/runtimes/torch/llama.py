"""Llama in the order in which it is explained: block, attention, feed-forward, norm, rotary.

A forward pass takes the tokens of all requests of a step in one row after the other (T of them),
so that every product runs over all of them at once; only attention looks at each request.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.runtimes.torch.cache import KVCache, Placement
from paddock.inference.runtimes.torch.ops import PLAIN, Ops


class Llama(nn.Module):
    """Token ids in, logits out. Weights are uninitialised until ``weights.load`` fills them.

    ``ops`` are the device's own ways of computing some steps.
    """

    def __init__(self, config: ModelConfig, ops: Ops = PLAIN) -> None:
        super().__init__()
        self.config = config
        self.ops = ops
        self.tok_embeddings = Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Block(config, index, ops) for index in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps, ops)
        self.output = Linear(config.dim, config.vocab_size)
        if config.tie_embeddings:
            self.tie()
        cos, sin = rotary_table(config)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor, placed: Placement, cache: KVCache) -> Tensor:
        """Logits (S, vocab_size) in fp32 of the S positions that ``placed.sampled`` asks for.

        ``tokens`` is (T,) of int64. Writes the keys and values of all T into ``cache``.
        """
        x = self.tok_embeddings(tokens)
        cos = self._per_head(self.cos[placed.positions], 1.0)
        sin = self.ops.angles(self._per_head(self.sin[placed.positions], 0.0))
        for layer in self.layers:
            x = layer(x, cos, sin, placed, cache)
        if placed.sampled is not None:
            x = x[placed.sampled]
        return self.output(self.norm(x)).float()  # type: ignore[no-any-return]

    def tie(self) -> None:
        """Makes the head share the embedding's matrix."""
        self.output.weight = nn.Parameter(self.tok_embeddings.weight, requires_grad=False)

    def _per_head(self, table: Tensor, identity: float) -> Tensor:
        """(T, head_dim) for the heads of q and k, ``identity`` for those of v, which keep still."""
        turned = self.config.n_heads + self.config.n_kv_heads
        shape = (table.shape[0], turned + self.config.n_kv_heads, table.shape[1])
        full = table.new_full(shape, identity)
        full[:, :turned] = table.unsqueeze(1)
        return full


class Block(nn.Module):
    """One layer: attention, then feed-forward, each on a normed input and added to the stream."""

    def __init__(self, config: ModelConfig, index: int, ops: Ops) -> None:
        super().__init__()
        self.attention = Attention(config, index, ops)
        self.feed_forward = FeedForward(config)
        self.attention_norm = RMSNorm(config.dim, config.norm_eps, ops)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps, ops)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, placed: Placement, cache: KVCache
    ) -> Tensor:
        """(T, dim) to (T, dim)."""
        x = self.attention(self.attention_norm(x), x, cos, sin, placed, cache)
        return self.feed_forward(self.ffn_norm(x), x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Grouped-query attention: each key/value head serves ``n_heads / n_kv_heads`` query heads."""

    def __init__(self, config: ModelConfig, index: int, ops: Ops) -> None:
        super().__init__()
        self.index = index
        self.ops = ops
        self.head_dim = config.head_dim
        self.n_heads = config.n_heads
        self.n_kv_heads = config.n_kv_heads
        self.group = config.n_heads // config.n_kv_heads
        # wq, wk and wv below each other: one product reads x once.
        self.wqkv = Linear(config.dim, (config.n_heads + 2 * config.n_kv_heads) * config.head_dim)
        self.wo = Linear(config.n_heads * config.head_dim, config.dim)

    def forward(
        self,
        x: Tensor,
        residual: Tensor,
        cos: Tensor,
        sin: Tensor,
        placed: Placement,
        cache: KVCache,
    ) -> Tensor:
        """The normed (T, dim) attends; the result is ``residual`` with it added."""
        n_tokens = x.shape[0]
        qkv = self.wqkv(x).view(n_tokens, -1, self.head_dim)
        # The tables leave the heads of v as they are: one rotation, and k and v stay together.
        qkv = self.ops.rotate(qkv, cos, sin)
        query = qkv[:, : self.n_heads]
        cache.put(self.index, qkv[:, self.n_heads :], placed)
        if placed.all_single:
            out = self._decode(query, placed, cache)
        else:
            out = torch.empty_like(query)
            for row in placed.rows:
                key, value = cache.get(self.index, row)
                span = slice(row.first, row.first + row.n)
                out[span] = self._prefill(query[span], key, value, row.start)
        return self.wo.add_to(residual, out.reshape(n_tokens, -1))

    def _decode(self, query: Tensor, placed: Placement, cache: KVCache) -> Tensor:
        """One new token per request: the query heads of a group stand where positions would.

        They all see the whole cache, so no mask and no repeated keys are needed.
        """
        grouped = query.view(-1, self.n_kv_heads, self.group, self.head_dim)
        padded = cache.get_padded(self.index, placed)
        if padded is not None:
            key, value, mask = padded
            return self.ops.decode(grouped, key, value, mask)
        out = torch.empty_like(grouped)
        for row in placed.rows:
            key, value = cache.get(self.index, row)
            one = slice(row.first, row.first + 1)
            out[one] = self.ops.decode(grouped[one], key.unsqueeze(0), value.unsqueeze(0), None)
        return out

    def _prefill(self, query: Tensor, key: Tensor, value: Tensor, start: int) -> Tensor:
        """(n, heads, head_dim) of one request whose first ``start`` positions are in the cache."""
        n, length = query.shape[0], key.shape[1]
        mask = None
        if start:
            # Position start + i sees positions 0 to start + i.
            mask = torch.ones(n, length, dtype=torch.bool, device=query.device).tril(start)
        out = F.scaled_dot_product_attention(
            query.transpose(0, 1).unsqueeze(0),
            key.unsqueeze(0),
            value.unsqueeze(0),
            attn_mask=mask,
            is_causal=mask is None,
            enable_gqa=self.group > 1,
        )
        return out[0].transpose(0, 1)


class FeedForward(nn.Module):
    """SwiGLU: ``w2(silu(w1 x) * w3 x)`` (arXiv 2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.hidden_dim = config.hidden_dim
        # w1 above w3, for the same reason as wqkv.
        self.w13 = Linear(config.dim, 2 * config.hidden_dim)
        self.w2 = Linear(config.hidden_dim, config.dim)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """The normed (T, dim) goes through; the result is ``residual`` with it added."""
        gate, up = self.w13(x).chunk(2, -1)
        return self.w2.add_to(residual, F.silu(gate) * up)


class Embedding(nn.Module):
    """A row of ``weight`` (vocab_size, dim) for each token.

    Not torch's: that one draws random numbers first, and writes to all of its memory.
    """

    def __init__(self, vocab_size: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """(T,) to (T, dim)."""
        return F.embedding(tokens, self.weight)


class Linear(nn.Module):
    """``x W^T`` with ``weight`` (outputs, inputs), whatever its order in memory."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """(T, inputs) to (T, outputs)."""
        return F.linear(x, self.weight)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """``residual`` (T, outputs) plus the product, in one operation."""
        return torch.addmm(residual, x, self.weight.t())


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x²) + eps) * weight`` (arXiv 1910.07467), the mean taken in fp32."""

    def __init__(self, dim: int, eps: float, ops: Ops) -> None:
        super().__init__()
        self.eps = eps
        self.ops = ops
        self.weight = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(T, dim) to (T, dim)."""
        return self.ops.rms_norm(x, self.weight, self.eps)


def rotary_table(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """cos and sin of rotary embedding (arXiv 2104.09864), each (max_seq_len, head_dim) in fp32.

    The two halves of a head are the two coordinates (Hugging Face's order); ``sin`` carries the
    minus sign of the first half.
    """
    # On the CPU, whatever device the model is being made on: the angles want exact fp32.
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu") / config.head_dim
    scaling = config.rope_scaling
    frequencies = 1.0 / config.rope_theta**half
    if scaling is not None and scaling.kind == "llama3":
        frequencies = llama3_frequencies(frequencies, scaling)
    elif scaling is not None:
        assert scaling.kind == "linear", scaling
        frequencies = frequencies / scaling.factor
    angles = torch.outer(
        torch.arange(config.max_seq_len, dtype=torch.float32, device="cpu"), frequencies
    )
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def llama3_frequencies(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3.1's rule: slow frequencies are divided by the factor, fast ones are kept.

    Between the two it blends. Source: meta-llama/llama-models ``apply_scaling``; the same values
    in Hugging Face's ``modeling_rope_utils``.
    """
    turns = scaling.original_max_seq_len * frequencies / (2 * math.pi)  # turns within the context
    blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    blend = blend.clamp(0, 1)
    return (1 - blend) * frequencies / scaling.factor + blend * frequencies
