"""Memory for weights and cache, zeroed as it is used, in huge pages where possible."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

HUGE = 2 << 20
"""Bytes of a huge page. One entry of the address cache then covers 512 times as much."""


def allocate(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros, aligned to 64 bytes at least; memory is taken as it is first written."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < HUGE:
        space = np.zeros(size + 64, np.uint8)
        start = -space.ctypes.data % 64
    else:
        area = mmap.mmap(-1, size + HUGE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            area.madvise(mmap.MADV_HUGEPAGE)
        space = np.frombuffer(area, np.uint8)
        start = -space.ctypes.data % HUGE
    return space[start : start + size].view(kind).reshape(shape)
