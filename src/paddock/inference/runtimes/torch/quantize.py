"""Weight-only quantization for accelerators: turns matrices of a plain model into smaller ones.

Each class computes ``x W^T`` from codes and scales. A compiled step (graphs.py) makes the unpacking
part of the product; run operation by operation, the matrix is unpacked anew for every step, which
saves memory and not time. CPUs have runtimes/native instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paddock.errors import UsageError
from paddock.inference.checkpoint.packed import GROUP, Packed, unpack

FP8_LARGEST = 448.0
"""Of e4m3 (arXiv 2209.05433)."""


class QuantizedLinear(nn.Module):
    """A matrix (outputs, inputs) kept as codes; subclasses say how it is unpacked."""

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The matrix in ``dtype``."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(T, inputs) to (T, outputs)."""
        return F.linear(x, self.unpacked(x.dtype))

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """``residual`` (T, outputs) plus the product."""
        return residual + self.forward(x)


class Int8Linear(QuantizedLinear):
    """int8 codes and one fp16 scale per output and 32 inputs: the same numbers as a packed file."""

    def __init__(self, codes: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.codes: Tensor
        self.scales: Tensor
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """See QuantizedLinear."""
        groups = self.codes.view(self.codes.shape[0], -1, GROUP).to(dtype)
        return (groups * self.scales.to(dtype).unsqueeze(-1)).view(self.codes.shape)


class Int4Linear(QuantizedLinear):
    """Two codes of 4 bits a byte, the even input low, each plus 8; scales as in Int8Linear."""

    def __init__(self, codes: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.codes: Tensor
        self.scales: Tensor
        self.register_buffer("codes", codes[:, 0::2] + 8 | (codes[:, 1::2] + 8) << 4)
        self.register_buffer("scales", scales)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """See QuantizedLinear."""
        outputs = self.codes.shape[0]
        halves = torch.stack((self.codes & 15, self.codes >> 4), -1).to(torch.int8) - 8
        groups = halves.view(outputs, -1, GROUP).to(dtype)
        return (groups * self.scales.to(dtype).unsqueeze(-1)).view(outputs, -1)


class Fp8Linear(QuantizedLinear):
    """e4m3 codes and one fp32 scale per output."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        largest = weight.float().abs().amax(-1, keepdim=True)
        scales = (largest / FP8_LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        self.codes: Tensor
        self.scales: Tensor
        self.register_buffer("codes", (weight.float() / scales).to(torch.float8_e4m3fn))
        self.register_buffer("scales", scales)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """See QuantizedLinear."""
        return self.codes.to(dtype) * self.scales.to(dtype)


def from_packed(parts: Sequence[Packed], device: torch.device) -> QuantizedLinear:
    """Matrices of the same inputs below each other as one module.

    4 bits if all have 4; parts of 4 and 8 bits become 8, which holds the same numbers.
    """
    unpacked = [unpack(part) for part in parts]
    codes = torch.from_numpy(np.concatenate([q for q, _ in unpacked])).to(device)
    scales = torch.from_numpy(np.concatenate([s for _, s in unpacked])).to(device)
    if all(part.bits == 4 for part in parts):
        return Int4Linear(codes.view(torch.uint8), scales)
    return Int8Linear(codes, scales)


def check_kind(quant: str | None) -> None:
    """Raises UsageError unless ``quant`` is None or a kind that this module knows."""
    if quant not in (None, "int8", "int4", "fp8"):
        raise UsageError(f"quant is {quant!r}", hint="use int4, int8 or fp8, or leave it out")
