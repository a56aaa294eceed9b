"""Any checkpoint seen with its matrices quantized, one at a time, while it is loaded or written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from paddock.errors import CheckpointError, UsageError, nearest
from paddock.inference.checkpoint import names
from paddock.inference.checkpoint.base import Array, Checkpoint, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.quantize import quantize
from paddock.inference.checkpoint.reader import BITS, Reader, main_dtype
from paddock.inference.checkpoint.recipe import EMBEDDING, HEAD, HEAD_BITS, Recipe

QUANTS = {"int4": 4, "int8": 8}
"""What ``--quant`` takes, and its bits."""


class Quantized:
    """A Checkpoint over another: ``stored()`` quantizes what is not quantized yet.

    A tied model becomes one with a head of its own, so that the embedding keeps its dtype.
    Matrices that have as few bits already pass as they are; see ``Recipe.make``.
    """

    def __init__(
        self,
        base: Checkpoint,
        bits: int,
        *,
        head_bits: int | None = HEAD_BITS,
        search: bool = True,
    ) -> None:
        """``search``: see ``quantize``. Raises UsageError for bits other than 4 and 8."""
        self.base = base
        self.format, self.path = base.format, base.path
        self._search = search
        plain = [info for info in base.infos() if info.dtype not in BITS]
        stored = main_dtype(plain) if plain else base.config().dtype
        dtype = "bf16" if stored == "fp32" else stored
        self._config = replace(base.config(), tie_embeddings=False, dtype=dtype)
        self.recipe = Recipe.make(self._config, bits, head_bits, self._already())

    def config(self) -> ModelConfig:
        """The base's, its head untied; ``dtype`` is that of the matrices that stay unpacked.

        bf16 takes the place of fp32, which those few are not worth.
        """
        return self._config

    def infos(self) -> list[TensorInfo]:
        """What the base's files hold."""
        return self.base.infos()

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """The quantized weights' values in fp32, for runtimes without kernels for them."""
        for name, weight in self.stored():
            yield name, weight.dequantize() if isinstance(weight, Packed) else weight

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        """Each weight once; beside the base's one tensor only its packed form is in memory.

        Raises CheckpointError for weights that cannot be quantized (not finite, say).
        """
        for name, weight in self.pieces():
            if isinstance(weight, Packed) and name == EMBEDDING:
                yield name, weight.dequantize()
            else:
                yield name, weight

    def pieces(self) -> Iterator[tuple[str, Array | Packed]]:
        """The same, but an embedding that is packed in the base stays packed."""
        base = self.base
        shapes = self._config.shapes()
        for name, weight in base.pieces() if isinstance(base, Reader) else base.stored():
            if name == EMBEDDING and base.config().tie_embeddings:
                yield HEAD, self._fitting(HEAD, weight, shapes[HEAD])
            # A name that is none of the model's is left to verify.
            yield name, self._fitting(name, weight, shapes[name]) if name in shapes else weight
            del weight

    def _fitting(self, name: str, weight: Array | Packed, shape: tuple[int, ...]) -> Array | Packed:
        bits = self.recipe.bits_of(name, shape)
        if bits is None or weight.shape != shape:
            return weight
        if isinstance(weight, Packed):
            if weight.bits == bits:
                return weight
            weight = weight.dequantize()
        try:
            return quantize(weight, bits, search=self._search, name=f"tensor {name!r}")
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error.message}", hint=error.hint) from None

    def _already(self) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for info in self.base.infos():
            ours = names.to_ours(self.format, info.name)
            if ours is not None:
                found[ours] = BITS.get(info.dtype)
        if self.base.config().tie_embeddings:
            found[HEAD] = found.get(EMBEDDING)
        return found


def quantized(checkpoint: Checkpoint, quant: str | None) -> Checkpoint:
    """``checkpoint`` as ``--quant`` asks for it: ``int4``, ``int8``; None leaves it as it is.

    Raises UsageError for another word.
    """
    if quant is None:
        return checkpoint
    if quant not in QUANTS:
        raise UsageError(
            f"quant is {quant!r}{nearest(quant, QUANTS)}", hint=f"use {' or '.join(QUANTS)}"
        )
    return Quantized(checkpoint, QUANTS[quant])
