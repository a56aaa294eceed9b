"""From a checkpoint and a few wishes to a NativeRuntime, refusing early what cannot fit."""

from __future__ import annotations

import math
import os

from paddock.errors import DeviceError, UsageError, nearest
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.memory import ensure_bytes
from paddock.inference.checkpoint.reader import ITEM_BYTES
from paddock.inference.runtimes.base import Limits
from paddock.inference.runtimes.native import library
from paddock.inference.runtimes.native.cache import bytes_per_position, new_cache
from paddock.inference.runtimes.native.runtime import NativeRuntime
from paddock.inference.runtimes.native.weights import load

DTYPES = ("auto", "bf16", "fp16", "fp32")
KINDS = ("auto", *library.KV)
PAGE_SIZE = 32
SLAB_ROWS = 512
"""Tokens that go through the layers together (native/forward.h); they bound a step's memory."""

_MAX_HEAD_DIM = 512
_BYTES_PER_THREAD = 1 << 20


def unfit(config: ModelConfig) -> str | None:
    """None if a model of this kind can be run here, else why not, in words."""
    if config.head_dim > _MAX_HEAD_DIM or config.head_dim % 2:
        return f"heads have {config.head_dim} dimensions; even numbers up to {_MAX_HEAD_DIM} fit"
    return library.unavailable()


def build(
    checkpoint: Checkpoint,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    kv: str = "auto",
    max_seq_len: int | None = None,
    max_batch: int = 8,
    cache: str = "contiguous",
    threads: int | None = None,
    vocab_size: int | None = None,
    instructions: str = "best",
) -> NativeRuntime:
    """Loads ``checkpoint``; ``max_seq_len`` defaults to the model's context, at most 4,096.

    ``dtype`` is that of unquantized matrices, ``auto`` the stored one; sums are fp32 always.
    ``kv`` is that of the cache: ``fp32``, ``fp16`` or ``int8``; ``auto`` is fp16, or fp32 with fp32
    weights. ``vocab_size`` is how many ids may be read and chosen where the model has more rows
    than the tokenizer has words. Memory for the weights, one full context and a step must be there
    before anything is read (DoesNotFit); the rest of the cache takes memory only as it is used.
    """
    config = checkpoint.config()
    if reason := unfit(config):
        raise DeviceError(f"the native runtime cannot be used: {reason}")
    if device not in ("auto", "cpu"):
        raise UsageError(f"device is {device!r}", hint="the native runtime runs on cpu")
    _known("dtype", dtype, DTYPES)
    _known("kv", kv, KINDS)
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}", hint="use 1 or more")
    limits = _limits(
        vocab_size or config.vocab_size, config.max_seq_len, max_seq_len, max_batch, cache
    )
    if kv == "auto":
        kv = "fp32" if dtype == "fp32" or (dtype == "auto" and config.dtype == "fp32") else "fp16"
    weight_bytes = _weight_bytes(checkpoint, dtype)
    beside = limits.max_seq_len * bytes_per_position(config, kv)
    ensure_bytes(
        weight_bytes,
        f"{config.n_params():,} weights",
        beside + _step_bytes(config, min(SLAB_ROWS, limits.max_seq_len)),
    )
    weights = load(checkpoint, config, dtype)
    kept = new_cache(kv, config, limits)
    return NativeRuntime(
        config, weights, kept, limits, _threads(threads, weight_bytes), instructions, dtype
    )


def _known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(
            f"{what} is {value!r}{nearest(value, known)}",
            hint=f"use {', '.join(known[:-1])} or {known[-1]}",
        )


def _limits(vocab: int, context: int, asked: int | None, max_batch: int, cache: str) -> Limits:
    _known("cache", cache, ("contiguous", "paged"))
    if max_batch < 1:
        raise UsageError(f"max_batch is {max_batch}", hint="use 1 or more")
    if asked is not None and not 1 <= asked <= context:
        raise UsageError(
            f"max_seq_len is {asked}", hint=f"the model was made for 1 to {context} positions"
        )
    length = asked or min(context, 4096)
    if cache == "contiguous":
        return Limits(vocab, length, length, max_batch, max_batch)
    pages = -(-length // PAGE_SIZE) * max_batch
    return Limits(vocab, length, PAGE_SIZE, pages, max_batch)


def _threads(asked: int | None, weight_bytes: int) -> int:
    """As many as there are cores for this process; a thread is worth it per MB of weights."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(asked or cores or 1, weight_bytes // _BYTES_PER_THREAD))


def _weight_bytes(checkpoint: Checkpoint, dtype: str) -> int:
    """What the weights take in memory, from headers alone."""
    recipe = getattr(checkpoint, "recipe", None)
    if recipe is not None:  # quantized while it is loaded
        planned: int = recipe.nbytes(checkpoint.config())
        return planned
    total = 0
    for info in checkpoint.infos():
        plain = info.dtype in ("bf16", "fp16", "fp32")
        size = (
            ITEM_BYTES[dtype] * math.prod(info.shape) if plain and dtype != "auto" else info.nbytes
        )
        total += int(size)
    return total


def _step_bytes(config: ModelConfig, rows: int) -> int:
    """What a step takes beside weights and cache: the activations of ``rows`` tokens, logits."""
    query = config.n_heads * config.head_dim
    width = 2 * config.dim + 4 * query + 2 * config.hidden_dim
    return 4 * (rows * width + 32 * config.vocab_size)
