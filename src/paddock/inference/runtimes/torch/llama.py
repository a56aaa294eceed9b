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


class Llama(nn.Module):
    """Token ids in, logits out. Weights are uninitialised until ``weights.load`` fills them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Block(config, index) for index in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.output = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.output.weight = self.tok_embeddings.weight
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
        cos = self.cos[placed.positions].unsqueeze(1)
        sin = self.sin[placed.positions].unsqueeze(1)
        for layer in self.layers:
            x = layer(x, cos, sin, placed, cache)
        if placed.sampled is not None:
            x = x[placed.sampled]
        return self.output(self.norm(x)).float()  # type: ignore[no-any-return]


class Block(nn.Module):
    """One layer: attention, then feed-forward, each on a normed input and added to the stream."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.attention = Attention(config, index)
        self.feed_forward = FeedForward(config)
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, placed: Placement, cache: KVCache
    ) -> Tensor:
        """(T, dim) to (T, dim)."""
        x = x + self.attention(self.attention_norm(x), cos, sin, placed, cache)
        return x + self.feed_forward(self.ffn_norm(x))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Grouped-query attention: each key/value head serves ``n_heads / n_kv_heads`` query heads."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.head_dim = config.head_dim
        self.n_kv_heads = config.n_kv_heads
        self.n_rotated = config.n_heads + config.n_kv_heads
        self.group = config.n_heads // config.n_kv_heads
        # wq, wk and wv below each other: one product reads x once.
        self.wqkv = nn.Linear(
            config.dim, (self.n_rotated + config.n_kv_heads) * config.head_dim, bias=False
        )
        self.wo = nn.Linear(config.n_heads * config.head_dim, config.dim, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, placed: Placement, cache: KVCache
    ) -> Tensor:
        """(T, dim) to (T, dim)."""
        n_tokens, n_heads = x.shape[0], self.n_rotated - self.n_kv_heads
        qkv = self.wqkv(x).view(n_tokens, -1, self.head_dim)
        qk = rotate(qkv[:, : self.n_rotated], cos, sin)
        query = qk[:, :n_heads]
        cache.put(self.index, qk[:, n_heads:], qkv[:, self.n_rotated :], placed)
        if placed.all_single:
            out = self._decode(query, placed, cache)
        else:
            out = torch.empty_like(query)
            for row in placed.rows:
                key, value = cache.get(self.index, row)
                span = slice(row.first, row.first + row.n)
                out[span] = self._prefill(query[span], key, value, row.start)
        return self.wo(out.reshape(n_tokens, -1))  # type: ignore[no-any-return]

    def _decode(self, query: Tensor, placed: Placement, cache: KVCache) -> Tensor:
        """One new token per request: the query heads of a group stand where positions would.

        They all see the whole cache, so no mask and no repeated keys are needed.
        """
        grouped = query.view(-1, self.n_kv_heads, self.group, self.head_dim)
        padded = cache.get_padded(self.index, placed)
        if padded is not None:
            key, value, mask = padded
            return F.scaled_dot_product_attention(grouped, key, value, attn_mask=mask)
        out = torch.empty_like(grouped)
        for row in placed.rows:
            key, value = cache.get(self.index, row)
            one = slice(row.first, row.first + 1)
            out[one] = F.scaled_dot_product_attention(
                grouped[one], key.unsqueeze(0), value.unsqueeze(0)
            )
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
        self.w13 = nn.Linear(config.dim, 2 * config.hidden_dim, bias=False)
        self.w2 = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(T, dim) to (T, dim)."""
        both = self.w13(x)
        gate = F.silu(both[:, : self.hidden_dim])
        return self.w2(gate * both[:, self.hidden_dim :])  # type: ignore[no-any-return]


class RMSNorm(nn.Module):
    """``x / rms(x) * weight`` (arXiv 1910.07467), the mean taken in fp32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(T, dim) to (T, dim)."""
        if x.dtype == torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        # Rounded before the weight is applied, as the reference implementations do.
        return F.rms_norm(x.float(), self.weight.shape, None, self.eps).to(x.dtype) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding (arXiv 2104.09864) of (T, heads, head_dim) by (T, 1, head_dim) tables.

    The two halves of a head are the two coordinates (Hugging Face's order). ``sin`` carries the
    minus sign of the first half, so that swapping the halves is all that is left to do.
    """
    return torch.addcmul(x * cos, torch.roll(x, x.shape[-1] // 2, -1), sin)


def rotary_table(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """cos and signed sin, each (max_seq_len, head_dim) in fp32."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    theta = config.rope_theta
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind == "ntk":
        # Base stretched so that the slowest frequency is divided by the factor.
        theta *= scaling.factor ** (config.head_dim / (config.head_dim - 2))
    frequencies = 1.0 / theta**half
    if scaling is not None and scaling.kind == "linear":
        frequencies = frequencies / scaling.factor
    elif scaling is not None and scaling.kind == "llama3":
        frequencies = llama3_frequencies(frequencies, scaling)
    angles = torch.outer(torch.arange(config.max_seq_len, dtype=torch.float32), frequencies)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def llama3_frequencies(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3.1's rule: slow frequencies are divided by the factor, fast ones are kept.

    Between the two it blends. Source: meta-llama/llama-models ``apply_scaling``; same values in Hugging Face's
    ``modeling_rope_utils``.
    """
    turns = scaling.original_max_seq_len * frequencies / (2 * math.pi)  # turns within the context
    blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    blend = blend.clamp(0, 1)
    return (1 - blend) * frequencies / scaling.factor + blend * frequencies
