"""A Llama in numpy and doubles, and random checkpoints: what the native runtime is held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.runtimes.native.rope import rotary_table

Array = Any


class RandomCheckpoint:
    """Random weights of the right size, in fp32."""

    format = "hf"
    path = Path("random")

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        self._config = config
        self._seed = seed

    def config(self) -> ModelConfig:
        return self._config

    def infos(self) -> list[Any]:
        return []

    def tensors(self) -> Iterator[tuple[str, Array]]:
        random = np.random.default_rng(self._seed)
        for name, shape in self._config.shapes().items():
            if len(shape) == 1:
                array = random.standard_normal(shape) * 0.1 + 1
            else:
                array = random.standard_normal(shape) * 1.5 / np.sqrt(shape[-1])
            yield name, array.astype(np.float32)

    def stored(self) -> Iterator[tuple[str, Array]]:
        yield from self.tensors()


def rounded(x: Array) -> Array:
    """Activations as packed matrices see them: int8 in groups of 32, one scale each."""
    groups = x.reshape(-1, 32)
    scale = np.abs(groups).max(1, keepdims=True) / 127
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.where(scale > 0, np.rint(groups / scale), 0)
    return (levels * scale).reshape(x.shape)


def exact(x: Array) -> Array:
    """Activations as they are."""
    return x


def logits(checkpoint: Any, tokens: list[int], seen: Callable[[Array], Array] = exact) -> Array:
    """(len(tokens), vocab) in doubles; packed matrices see ``seen(activations)``."""
    config = checkpoint.config()
    weights = dict(checkpoint.stored())
    n, half = len(tokens), config.head_dim // 2
    cos, sin = (table.astype(np.float64) for table in rotary_table(config, n))

    def times(name: str, x: Array) -> Array:
        weight = weights[f"{name}.weight"]
        if isinstance(weight, Packed):
            return np.stack([seen(row) for row in x]) @ weight.dequantize().astype(np.float64).T
        return x @ np.asarray(weight, np.float64).T

    def norm(x: Array, name: str) -> Array:
        weight = np.asarray(weights[f"{name}.weight"], np.float64)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + config.norm_eps) * weight

    def turn(x: Array) -> Array:
        x = x.reshape(n, -1, config.head_dim)
        a, b = x[..., :half], x[..., half:]
        c, s = cos[:, None], sin[:, None]
        return np.concatenate((a * c - b * s, b * c + a * s), -1)

    x = np.asarray(weights["tok_embeddings.weight"], np.float64)[tokens]
    mask = np.triu(np.full((n, n), -np.inf), 1)
    group = config.n_heads // config.n_kv_heads
    for i in range(config.n_layers):
        layer = f"layers.{i}."
        y = norm(x, layer + "attention_norm")
        query, key = (turn(times(f"{layer}attention.w{part}", y)) for part in "qk")
        value = times(layer + "attention.wv", y).reshape(n, -1, config.head_dim)
        heads = []
        for head in range(config.n_heads):
            scores = query[:, head] @ key[:, head // group].T / np.sqrt(config.head_dim) + mask
            share = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(share / share.sum(-1, keepdims=True) @ value[:, head // group])
        x = x + times(layer + "attention.wo", np.concatenate(heads, -1))
        y = norm(x, layer + "ffn_norm")
        gate = times(layer + "feed_forward.w1", y)
        y = gate / (1 + np.exp(-gate)) * times(layer + "feed_forward.w3", y)
        x = x + times(layer + "feed_forward.w2", y)
    head = "tok_embeddings" if config.tie_embeddings else "output"
    return times(head, norm(x, "norm"))
