"""Moves the rows of wq and wk between the two orders in which rotary pairs are stored.

Rotation turns pairs of a head's elements. Meta and GGUF keep a pair together (0,1), (2,3), …;
Hugging Face and MindSpore keep the first halves of all pairs before the second halves, so that
element i turns with element i + head_dim / 2. Each head is reordered by itself, so ``n_heads`` is
the number of heads that the matrix holds: the key/value heads for wk.
Source: ``permute`` of transformers' convert_llama_weights_to_hf.py.
"""

from __future__ import annotations

from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.config import ModelConfig


def to_halves(rows: Array, n_heads: int) -> Array:
    """Meta's or GGUF's row order to Hugging Face's. ``rows``: (n_heads * head_dim, …); a copy."""
    n_rows, *rest = rows.shape
    pairs = rows.reshape(n_heads, n_rows // n_heads // 2, 2, *rest)
    result: Array = pairs.swapaxes(1, 2).reshape(rows.shape)
    return result


def to_pairs(rows: Array, n_heads: int) -> Array:
    """Hugging Face's row order to Meta's or GGUF's. ``rows``: (n_heads * head_dim, …); a copy."""
    n_rows, *rest = rows.shape
    halves = rows.reshape(n_heads, 2, n_rows // n_heads // 2, *rest)
    result: Array = halves.swapaxes(1, 2).reshape(rows.shape)
    return result


def rotated_heads(name: str, config: ModelConfig) -> int | None:
    """How many heads our tensor ``name`` rotates; None if its row order does not matter."""
    if name.endswith(".attention.wq.weight"):
        return config.n_heads
    if name.endswith(".attention.wk.weight"):
        return config.n_kv_heads
    return None
