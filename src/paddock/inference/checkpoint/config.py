"""The shape of a Llama, the same whatever file format described it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the trained context.

    ``kind`` is ``llama3`` (Llama 3.1's per-frequency rule) or ``linear`` (position interpolation).
    The last three fields matter for ``llama3`` only. A larger base is no kind: it is in
    ``rope_theta``.
    Source: Hugging Face ``modeling_rope_utils``; arXiv 2407.21783 for ``llama3``.
    """

    kind: str
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_seq_len: int = 8192


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that determines a Llama's computation and the shapes of its weights.

    Sizes are in elements. ``hidden_dim`` is the width of the feed-forward layer, ``dim`` that of
    the residual stream. ``dtype`` is the stored one: ``bf16``, ``fp16`` or ``fp32``.
    """

    vocab_size: int
    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    hidden_dim: int
    head_dim: int
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    max_seq_len: int = 4096
    tie_embeddings: bool = False
    bos_id: int = 1
    eos_ids: tuple[int, ...] = (2,)
    pad_id: int | None = None
    dtype: str = "fp16"

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return asdict(self)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every weight's name and shape (rows = outputs, columns = inputs), in reading order.

        A tied head has no tensor of its own.
        """
        q, kv = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (self.vocab_size, self.dim)}
        for i in range(self.n_layers):
            layer = f"layers.{i}."
            shapes[layer + "attention_norm.weight"] = (self.dim,)
            shapes[layer + "attention.wq.weight"] = (q, self.dim)
            shapes[layer + "attention.wk.weight"] = (kv, self.dim)
            shapes[layer + "attention.wv.weight"] = (kv, self.dim)
            shapes[layer + "attention.wo.weight"] = (self.dim, q)
            shapes[layer + "ffn_norm.weight"] = (self.dim,)
            shapes[layer + "feed_forward.w1.weight"] = (self.hidden_dim, self.dim)
            shapes[layer + "feed_forward.w3.weight"] = (self.hidden_dim, self.dim)
            shapes[layer + "feed_forward.w2.weight"] = (self.dim, self.hidden_dim)
        shapes["norm.weight"] = (self.dim,)
        if not self.tie_embeddings:
            shapes["output.weight"] = (self.vocab_size, self.dim)
        return shapes

    def n_params(self) -> int:
        """How many numbers the weights hold."""
        total = 0
        for shape in self.shapes().values():
            size = 1
            for side in shape:
                size *= side
            total += size
        return total
