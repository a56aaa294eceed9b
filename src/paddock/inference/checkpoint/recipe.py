"""Which weights of a model are quantized, to how many bits, and how a config.json says so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paddock.errors import UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.fields import Fields
from paddock.inference.checkpoint.configs.hf import METHOD
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.packed import GROUP, GROUP_BYTES, packed_shape

EMBEDDING, HEAD = "tok_embeddings.weight", "output.weight"
HEAD_BITS = 8
"""The head's, where nothing else is asked for: docs/concepts/quantization.md has the figures."""
_LAYOUT = 1
_PLAIN_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every matrix in ``bits``, except for ``others``: our name -> its bits, None for unpacked.

    ``plain`` is the dtype of matrices that stay unpacked; vectors are fp32.
    """

    bits: int
    others: Mapping[str, int | None] = field(default_factory=dict)
    plain: str = "bf16"

    @classmethod
    def make(
        cls,
        config: ModelConfig,
        bits: int,
        head_bits: int | None = HEAD_BITS,
        already: Mapping[str, int | None] | None = None,
    ) -> Recipe:
        """What ``paddock quantize`` does to a model.

        The embedding stays as it is, because a token reads one row of it. The head gets
        ``head_bits`` (None: it stays too), but never fewer than ``bits``. A matrix whose rows do
        not divide into groups stays, and so does what has as few bits ``already`` (our name ->
        bits). Raises UsageError for bits other than 4 and 8.
        """
        if bits not in GROUP_BYTES or head_bits not in (*GROUP_BYTES, None):
            raise UsageError(f"bits are {bits}, for the head {head_bits}", hint="use 4 or 8")
        others: dict[str, int | None] = {}
        for name, shape in config.shapes().items():
            if len(shape) != 2:
                continue
            wanted: int | None = bits
            if name == EMBEDDING or shape[1] % GROUP:
                wanted = None
            elif name == HEAD:
                wanted = head_bits and max(bits, head_bits)
            has = (already or {}).get(name)
            if has is not None:
                wanted = has if wanted is None else min(has, wanted)
            if wanted != bits or name == EMBEDDING:
                others[name] = wanted
        return cls(bits, others, config.dtype)

    def bits_of(self, name: str, shape: tuple[int, ...]) -> int | None:
        """Bits of the weight ``name``; None if it is not packed."""
        return self.others.get(name, self.bits) if len(shape) == 2 else None

    def layout(self, config: ModelConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
        """How each weight of ``config`` is stored: our name -> (dtype, shape in the file)."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, shape in config.shapes().items():
            bits = self.bits_of(name, shape)
            if bits is not None:
                found[name] = ("U8", packed_shape((shape[0], shape[1]), bits))
            else:
                found[name] = (self.plain if len(shape) > 1 else "fp32", shape)
        return found

    def nbytes(self, config: ModelConfig) -> int:
        """Bytes of all weights in this form, on disk and in memory."""
        return sum(
            math.prod(shape) * _PLAIN_BYTES.get(dtype, 1)
            for dtype, shape in self.layout(config).values()
        )

    def to_hf(self) -> dict[str, Any]:
        """The ``quantization_config`` of a config.json."""
        others = {to_theirs("paddock", name): bits for name, bits in self.others.items()}
        return {
            "quant_method": METHOD,
            "layout": _LAYOUT,
            "bits": self.bits,
            "group_size": GROUP,
            "symmetric": True,
            "other_bits": others,
        }


def recipe_from_hf(values: Mapping[str, Any], origin: str, config: ModelConfig) -> Recipe:
    """The recipe in the ``quantization_config`` of ``config``'s config.json.

    Raises CheckpointError for a layout, a group size or bits that are not known here.
    """
    fields = Fields(values, f"{origin}: quantization_config")
    if fields.integer("layout") != _LAYOUT:
        raise fields.wrong(
            "layout", f"{_LAYOUT}, the only one known here; it needs a newer Paddock"
        )
    if fields.integer("group_size") != GROUP:
        raise fields.wrong("group_size", f"{GROUP}, the only size that is read")
    if not fields.flag("symmetric", True):
        raise fields.wrong("symmetric", "true")
    if fields.integer("bits") not in GROUP_BYTES:
        raise fields.wrong("bits", "4 or 8")
    given = values.get("other_bits", {})
    ours = {to_theirs("paddock", name): name for name in config.shapes()}
    if not isinstance(given, Mapping) or any(
        name not in ours or isinstance(bits, bool) or bits not in (*GROUP_BYTES, None)
        for name, bits in given.items()
    ):
        raise fields.wrong("other_bits", "this model's tensors with 4, 8 or null")
    others = {ours[name]: bits for name, bits in given.items()}
    return Recipe(fields.integer("bits"), others, config.dtype)
