"""The bytes that a step must read and the operations it must do, counted from the model's shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from paddock.errors import UsageError, nearest
from paddock.inference.checkpoint.config import ModelConfig

BITS = {"fp32": 32.0, "bf16": 16.0, "fp16": 16.0, "fp8": 8.0, "int8": 8.5, "int4": 4.5}
"""Bits of a weight as stored; int8 and int4 share an fp16 scale among 32 weights."""

_GROUP, _BLOCK = 32, 16

CACHE_BITS = {"fp32": 32.0, "bf16": 16.0, "fp16": 16.0, "fp8": 8.0}
"""Bits of a key's or value's element. int8 needs its scales: see ``int8`` in ``cache_bytes``."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How a runtime holds a model: types of matrices, head, embedding and norms, and of the cache.

    ``cache_group`` elements of an int8 cache share one scale of ``cache_scale_bits``.
    """

    weights: str
    head: str
    embedding: str
    norms: str
    cache: str
    cache_group: int = 0
    cache_scale_bits: int = 0

    def __post_init__(self) -> None:
        for kind in (self.weights, self.head, self.embedding, self.norms):
            _known(kind, BITS)
        if self.cache != "int8":
            _known(self.cache, CACHE_BITS)
        elif self.cache_group < 1:
            raise UsageError("an int8 cache needs cache_group", hint="how many share a scale")


@dataclass(frozen=True, slots=True)
class Cost:
    """What cannot be avoided: ``bytes`` read and ``operations`` (products and sums apart)."""

    bytes: float
    operations: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.bytes + other.bytes, self.operations + other.operations)

    @property
    def intensity(self) -> float:
        """Operations per byte, the roofline's x."""
        return self.operations / self.bytes


def weight_bytes(config: ModelConfig, storage: Storage, tokens: int = 1) -> float:
    """Bytes of weights that a step of ``tokens`` tokens reads.

    Every matrix and norm once, the head once (a tied head is the embedding read whole), and one
    row of the embedding for each token. A matrix whose rows do not divide into groups of 32 is
    stored like the embedding. What fills up a last block of outputs is no weight and not counted.
    """
    bits = 0.0
    for name, shape in config.shapes().items():
        if name == "tok_embeddings.weight":
            bits += min(tokens, shape[0]) * shape[1] * BITS[storage.embedding]
        elif len(shape) == 1:
            bits += shape[0] * BITS[storage.norms]
        elif name != "output.weight":
            bits += math.prod(shape) * BITS[_kind(storage, storage.weights, shape[1])]
    head = config.vocab_size * config.dim * BITS[_kind(storage, storage.head, config.dim)]
    return (bits + head) / 8


def held_bytes(config: ModelConfig, storage: Storage) -> dict[str, int]:
    """Bytes in memory of all weights by type, as the native runtime holds them.

    Packed matrices are filled up to whole blocks of 16 outputs (checkpoint/packed.py).
    """
    held: dict[str, int] = {}
    for name, shape in config.shapes().items():
        if len(shape) == 1:
            kind = storage.norms
        elif name == "tok_embeddings.weight":
            kind = storage.embedding
        else:
            wanted = storage.head if name == "output.weight" else storage.weights
            kind = _kind(storage, wanted, shape[1])
        rows = -(-shape[0] // _BLOCK) * _BLOCK if kind in ("int4", "int8") else shape[0]
        held[kind] = held.get(kind, 0) + int(rows * math.prod(shape[1:]) * BITS[kind]) // 8
    return held


def cache_bytes(config: ModelConfig, storage: Storage, context: int) -> float:
    """Bytes of keys and values of ``context`` positions, all layers, one sequence."""
    elements = 2 * config.n_layers * config.n_kv_heads * config.head_dim * context
    if storage.cache == "int8":
        return elements * (8 + storage.cache_scale_bits / storage.cache_group) / 8
    return elements * CACHE_BITS[storage.cache] / 8


def matrix_operations(config: ModelConfig) -> tuple[float, float]:
    """Operations of one token in the layers' matrices, and in the head."""
    layers = sum(
        2.0 * math.prod(shape)
        for name, shape in config.shapes().items()
        if len(shape) == 2 and name not in ("tok_embeddings.weight", "output.weight")
    )
    return layers, 2.0 * config.vocab_size * config.dim


def attention_operations(config: ModelConfig, positions: float) -> float:
    """Operations of queries that see ``positions`` positions in sum, all layers."""
    return 4.0 * config.n_layers * config.n_heads * config.head_dim * positions


def decode_step(config: ModelConfig, storage: Storage, context: int, batch: int = 1) -> Cost:
    """One token for each of ``batch`` sequences with ``context`` positions in the cache.

    Keys and values of the new token are not counted as read: a kernel may still hold them. So the
    bound is never easier than it is.
    """
    layers, head = matrix_operations(config)
    return Cost(
        weight_bytes(config, storage, batch) + batch * cache_bytes(config, storage, context),
        batch * (layers + head + attention_operations(config, context + 1)),
    )


def decode_steps(
    config: ModelConfig, storage: Storage, context: int, batch: int, steps: int
) -> Iterator[Cost]:
    """``steps`` decode steps, each with a position more in the cache than the one before."""
    return (decode_step(config, storage, context + i, batch) for i in range(steps))


def prefill(config: ModelConfig, storage: Storage, tokens: int, batch: int = 1) -> Cost:
    """``batch`` prompts of ``tokens`` in one go, the head for the last token of each only."""
    layers, head = matrix_operations(config)
    seen = tokens * (tokens + 1) / 2
    return Cost(
        weight_bytes(config, storage, tokens * batch),
        batch * (tokens * layers + head + attention_operations(config, seen)),
    )


def _kind(storage: Storage, kind: str, inputs: int) -> str:
    """Matrices whose rows do not divide into groups are not packed."""
    grouped = kind in ("int4", "int8")
    return storage.embedding if grouped and inputs % _GROUP else kind


def _known(kind: str, table: dict[str, float]) -> None:
    if kind not in table:
        raise UsageError(f"no storage type {kind!r}{nearest(kind, table)}")
