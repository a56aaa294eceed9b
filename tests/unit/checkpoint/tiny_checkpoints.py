"""A random Llama of a few kilobytes in every format, written without the product's writers where
a library exists (safetensors, torch), with them otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddock.inference.checkpoint.base import Array, numpy_dtype
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs import to_hf
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.names import to_theirs

CONFIG = ModelConfig(
    vocab_size=40, dim=32, n_layers=2, n_heads=4, n_kv_heads=2, hidden_dim=64, head_dim=8,
    max_seq_len=64, dtype="fp16",
)  # fmt: skip
FORMATS = ("hf", "meta", "mindspore", "gguf")


def random_weights(config: ModelConfig = CONFIG, seed: int = 0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.standard_normal(shape, np.float32).astype(numpy_dtype(config.dtype))
        for name, shape in config.shapes().items()
    }


def hf_folder(
    folder: Path, config: ModelConfig = CONFIG, weights: dict[str, Array] | None = None
) -> Path:
    """A Hugging Face folder written by the safetensors library."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = random_weights(config) if weights is None else weights
    table = {name_in_hf(name): np.ascontiguousarray(array) for name, array in weights.items()}
    save_file(table, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(to_hf(config)))
    return folder


def name_in_hf(name: str) -> str:
    try:
        return to_theirs("hf", name)
    except KeyError:
        return name


def in_format(format: str, folder: Path, dtype: str | None = None, shards: int = 1) -> Path:
    """The random model as ``format``; the path to open."""
    source = hf_folder(folder / "source")
    if format == "hf":
        return source
    target = folder / ("x.gguf" if format == "gguf" else format)
    return convert(source, target, to=format, dtype=dtype, shards=shards)  # type: ignore[arg-type]


def with_dtype(dtype: str) -> ModelConfig:
    return replace(CONFIG, dtype=dtype)
