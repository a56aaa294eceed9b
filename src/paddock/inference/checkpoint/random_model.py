"""Models of true shapes with random weights, for measuring where no real weights are at hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddock.errors import UsageError, nearest
from paddock.inference.checkpoint import random_tokenizer, tokenizer_files
from paddock.inference.checkpoint.base import Array, TensorInfo, as_dtype, numpy_dtype
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.convert import gguf_name
from paddock.inference.checkpoint.formats.gguf_blocks import DTYPES
from paddock.inference.checkpoint.formats.hf_writer import HfWriter, nbytes
from paddock.inference.checkpoint.packed import BLOCK, Packed, packed_shape
from paddock.inference.checkpoint.quantized import QUANTS
from paddock.inference.checkpoint.reader import ITEM_BYTES
from paddock.inference.checkpoint.recipe import Recipe
from paddock.inference.checkpoint.target import check_target, stream, write_whole
from paddock.inference.checkpoint.verify import gate
from paddock.inference.checkpoint.writer import Writer

LIKE = {
    "tiny": ModelConfig(4096, 128, 4, 4, 2, 352, 32, max_seq_len=1024),
    "tinyllama-1.1b": ModelConfig(32000, 2048, 22, 32, 4, 5632, 64, max_seq_len=2048),
    "llama2-7b": ModelConfig(32000, 4096, 32, 32, 32, 11008, 128),
    "llama2-13b": ModelConfig(32000, 5120, 40, 40, 40, 13824, 128),
    "llama2-70b": ModelConfig(32000, 8192, 80, 64, 8, 28672, 128),
    "llama3-8b": ModelConfig(128256, 4096, 32, 32, 8, 14336, 128, rope_theta=5e5, max_seq_len=8192),
}
"""Shapes by name. Sources: the models' config.json on Hugging Face; ``tiny`` is for tests."""

_SHARD_BYTES = 5_000_000_000
FORMATS = ("paddock", "gguf", "hf")
# Unpacked weights made at a time.
_CHUNK = 1 << 20
_STD = 0.02  # transformers' initializer_range for Llama


class RandomCheckpoint:
    """A Checkpoint whose weights follow from a seed and their names, made when asked for.

    Every matrix has standard deviation 0.02; those that write into the residual stream (wo, w2)
    are smaller by the root of twice the number of layers, as GPT-2 is initialized, so that
    activations neither grow nor vanish. Norms are near 1.
    """

    format = "paddock"

    def __init__(self, config: ModelConfig, recipe: Recipe | None, seed: int) -> None:
        """``recipe`` says which weights are made packed; None is none."""
        self.path = Path("random")
        self.recipe = recipe
        self._config, self._seed = config, seed

    def config(self) -> ModelConfig:
        """The shape."""
        return self._config

    def infos(self) -> list[TensorInfo]:
        """Nothing: there are no files."""
        return []

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """The same weights, none packed."""
        for name, weight in self.stored():
            yield name, weight.dequantize() if isinstance(weight, Packed) else weight

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        """Each weight once, in the model's order."""
        for name, shape in self._config.shapes().items():
            yield name, self._make(name, shape)

    def _make(self, name: str, shape: tuple[int, ...]) -> Array | Packed:
        seed = np.random.SeedSequence([self._seed, zlib.crc32(name.encode())])
        rng = np.random.Generator(np.random.SFC64(seed))
        if len(shape) == 1:
            # Numbers that bf16 has, which some formats store.
            return as_dtype(as_dtype(rng.uniform(0.9, 1.1, shape), "bf16"), "fp32")
        std = _STD
        if name.endswith(("attention.wo.weight", "feed_forward.w2.weight")):
            std /= (2 * self._config.n_layers) ** 0.5
        bits = self.recipe.bits_of(name, shape) if self.recipe else None
        if bits is not None:
            return _packed(rng, (shape[0], shape[1]), bits, std)
        weights = np.empty(shape, numpy_dtype(self._config.dtype))
        step = max(1, _CHUNK // shape[1])
        for at in range(0, shape[0], step):
            part = rng.random(weights[at : at + step].shape, np.float32)
            weights[at : at + step] = (part - np.float32(0.5)) * np.float32(std * 12**0.5)
        return weights


def make_random(
    out: str | Path,
    *,
    like: str,
    quant: str | None = "int4",
    format: str | None = None,
    layers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a model with the shape of ``like`` and random weights to ``out``.

    The same ``like``, ``quant``, ``layers`` and ``seed`` give the same weights in every format:
    ``paddock`` (the default for ``quant`` int4 and int8), ``gguf`` (Q4_0, Q8_0 or BF16) and ``hf``
    (bf16; quantized weights dequantized). The head has 8 bits, the embedding is bf16. ``layers``
    takes the place of the shape's own number. The tokenizer is the built-in model's with more
    pieces, one for each row of the head. Memory: one tensor. Raises UsageError for a wish that
    cannot be honoured, CheckpointError if ``out`` cannot be written.
    """
    out = Path(out)
    config, recipe = _wished(like, quant, layers)
    format = format or ("paddock" if recipe else "hf")
    if format not in FORMATS or (format == "paddock" and recipe is None):
        raise UsageError(
            f"format is {format!r}{nearest(format, FORMATS)}",
            hint="use paddock (for int4 and int8), gguf or hf",
        )
    check_target(None, out, overwrite)
    checkpoint = RandomCheckpoint(config, recipe, seed)
    sizes = _sizes(config, recipe, format)

    def fill(folder: Path) -> Path:
        random_tokenizer.write(folder, config)
        weights: Iterator[tuple[str, Array | Packed]] = checkpoint.stored()
        if format == "hf":
            weights = checkpoint.tensors()
        writer = _writer(folder, out, config, recipe, format)
        stream(gate(checkpoint, weights, config), writer, sizes, progress)
        return folder / out.name if format == "gguf" and out.suffix == ".gguf" else folder

    return write_whole(out, round(sum(sizes.values())), fill)


def _wished(like: str, quant: str | None, layers: int | None) -> tuple[ModelConfig, Recipe | None]:
    if like not in LIKE:
        raise UsageError(
            f"no shape is called {like!r}{nearest(like, LIKE)}", hint=f"known are {', '.join(LIKE)}"
        )
    if quant is not None and quant not in QUANTS:
        raise UsageError(f"quant is {quant!r}{nearest(quant, QUANTS)}", hint="use int4 or int8")
    if layers is not None and not 1 <= layers <= 1000:
        raise UsageError(f"layers is {layers}", hint="use 1 to 1000")
    config = replace(LIKE[like], n_layers=layers or LIKE[like].n_layers, dtype="bf16")
    return config, Recipe.make(config, QUANTS[quant]) if quant else None


def _sizes(config: ModelConfig, recipe: Recipe | None, format: str) -> dict[str, float]:
    """Bytes of each weight in the target."""
    if recipe is not None and format != "hf":
        return {name: float(nbytes(entry)) for name, entry in recipe.layout(config).items()}
    return {n: np.prod(shape) * ITEM_BYTES["bf16"] for n, shape in config.shapes().items()}


def _writer(
    folder: Path, out: Path, config: ModelConfig, recipe: Recipe | None, format: str
) -> Writer[Array | Packed]:
    if format != "gguf":
        packed = recipe if format == "paddock" else None
        return HfWriter(folder, config, 1, _SHARD_BYTES, packed)
    # Late: the gguf library must not be needed for other files.
    from paddock.inference.checkpoint.formats.gguf_writer import GgufWriter

    kinds = {}
    for name, shape in config.shapes().items():
        bits = recipe.bits_of(name, shape) if recipe else None
        kinds[name] = DTYPES[bits] if bits else "fp32" if len(shape) == 1 else "bf16"
    dtype = DTYPES[recipe.bits] if recipe else "bf16"
    metadata = tokenizer_files.gguf_metadata(folder, config)
    return GgufWriter(folder / gguf_name(out), config, dtype, metadata, out.stem, kinds)


def _packed(rng: np.random.Generator, shape: tuple[int, int], bits: int, std: float) -> Packed:
    """Any bytes are weights; scales of either sign keep their mean at zero."""
    stored = packed_shape(shape, bits)
    data = rng.integers(0, 1 << 64, np.prod(stored) // 8, np.uint64).view(np.uint8).reshape(stored)
    levels = (((1 << 2 * bits) - 1) / 12) ** 0.5
    scales = rng.uniform(0.75, 1.25, (*stored[:2], BLOCK)).astype(np.float32) * (std / levels)
    scales *= np.where(rng.integers(0, 2, scales.shape, np.int8), np.float32(1), np.float32(-1))
    last = shape[0] % BLOCK
    if last:  # what fills the last block up means zero
        scales[-1, :, last:] = 0
    data[:, :, -2 * BLOCK :] = scales.astype(np.float16).view(np.uint8)
    return Packed(bits, shape, data)
