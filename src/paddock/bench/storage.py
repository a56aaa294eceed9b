"""Finds out how a runtime or a file holds a model, so that bytes are counted and not assumed."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from paddock.bench.cost import Storage, held_bytes
from paddock.errors import UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.runtimes.base import Runtime
from paddock.inference.runtimes.ranks.group import GroupRuntime

_CACHE_SCALE_BITS = 32  # runtimes/native/cache.py: one fp32 scale for a head's key or value
_GGUF = {"q4_0": "int4", "q8_0": "int8"}


def of_runtime(runtime: Runtime, config: ModelConfig) -> Storage | None:
    """How one of our runtimes holds ``config``'s weights; None where it cannot be told.

    The native runtime counts its bytes by type: the storage is the one that gives the same counts.
    """
    if isinstance(runtime, GroupRuntime):
        # On one host all parts together are the model, and the host's memory is read for all.
        kind, on_cpu = runtime.reports[0].dtype, runtime.reports[0].device == "cpu"
        return Storage(kind, kind, kind, kind, kind) if on_cpu else None
    formats = getattr(runtime, "formats", None)
    if formats is None:
        dtype = getattr(runtime, "dtype", None)
        on_cpu = getattr(getattr(runtime, "device", None), "type", "cpu") == "cpu"
        return Storage(dtype, dtype, dtype, dtype, dtype) if dtype and on_cpu else None
    cache = getattr(runtime, "kv", "fp16")
    scales = (config.head_dim, _CACHE_SCALE_BITS) if cache == "int8" else (0, 0)
    for weights, head, embedding in product(formats, repeat=3):
        if embedding in ("int4", "int8"):
            continue
        storage = Storage(weights, head, embedding, "fp32", cache, *scales)
        if held_bytes(config, storage) == formats:
            return storage
    return None


def of_gguf(path: Path, cache: str = "fp16") -> Storage | None:
    """How a runtime that computes with a GGUF file's own types holds it; None for other types.

    ``cache`` is that runtime's; llama.cpp's default is fp16.
    """
    checkpoint = open_checkpoint(path)
    config = checkpoint.config()
    kinds = {info.name: _GGUF.get(info.dtype, info.dtype) for info in checkpoint.infos()}
    embedding = kinds[to_theirs("gguf", "tok_embeddings.weight")]
    try:
        return Storage(
            kinds[to_theirs("gguf", "layers.0.feed_forward.w1.weight")],
            embedding if config.tie_embeddings else kinds[to_theirs("gguf", "output.weight")],
            embedding,
            kinds[to_theirs("gguf", "norm.weight")],
            cache,
        )
    except (KeyError, UsageError):
        return None
