"""Memory for weights and cache: new, zeroed as it is used; and the files' own."""

from __future__ import annotations

import ctypes
import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

HUGE = 2 << 20
"""Bytes of a huge page. One entry of the address cache then covers 512 times as much."""
_POPULATE_READ = 22
"""MADV_POPULATE_READ of Linux 5.14, which Python's mmap does not name."""


def resident(arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Has the system map what ``arrays`` cover now, in one go, not page by page at first use.

    Data that lies in a mapped file is read from the disk if it is not in memory yet. Where the
    system cannot do so nothing is lost but time.
    """
    try:
        advise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):  # no such call on this system
        return
    for array in arrays:
        first = array.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
        size = array.ctypes.data + array.nbytes - first
        advise(ctypes.c_void_p(first), ctypes.c_size_t(size), _POPULATE_READ)


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
