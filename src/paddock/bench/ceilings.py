"""Measures the ceilings themselves: memory by reading it, arithmetic by products in registers."""

from __future__ import annotations

import ctypes
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Protocol

from paddock.bench.facts import last_level_cache
from paddock.errors import BenchError

ABI = 1
KINDS = ("int8", "bf16", "fp32")
PASSES = 3
"""A round's ceiling is the best of so many passes: what the machine can do, not what it did."""

_LEAST_BYTES = 512 << 20


def buffer_bytes() -> int:
    """Bytes that the read test goes through: 16 times the last cache, 512 MiB at least."""
    return max(_LEAST_BYTES, 16 * (last_level_cache() or 0))


class Ceilings(Protocol):
    """A read test and product tests with a number of threads."""

    method: str
    threads: int

    def read(self) -> float:
        """Bytes a second, all threads together."""
        ...

    def product(self, kind: str) -> float | None:
        """Operations a second with numbers of a kind of KINDS; None without a test for it."""
        ...

    def instruction(self, kind: str) -> str | None:
        """What ``product`` measures, for the report."""
        ...

    def close(self) -> None:
        """Frees the memory."""
        ...


def open_ceilings(threads: int, n_bytes: int | None = None) -> Ceilings:
    """The tests in C++, or in numpy where the library was not built."""
    library = _library()
    wanted = n_bytes or buffer_bytes()
    return NumpyCeilings(threads, wanted) if library is None else Native(library, threads, wanted)


def best(test: Ceilings, kind: str | None) -> float | None:
    """The best of PASSES passes: of the read test if ``kind`` is None, else of its product test."""
    if kind is None:
        return max(test.read() for _ in range(PASSES))
    found = [test.product(kind) for _ in range(PASSES)]
    return max((value for value in found if value is not None), default=None)


class Native:
    """native/ceilings.cpp through ctypes."""

    method = "native"

    def __init__(self, library: ctypes.CDLL, threads: int, n_bytes: int) -> None:
        handle = library.paddock_ceilings_open(threads, n_bytes)
        if not handle:
            raise BenchError(f"there are no {n_bytes >> 20} MiB of memory for the read test")
        self._library, self._handle = library, handle
        self._free = weakref.finalize(self, library.paddock_ceilings_close, handle)
        self.threads: int = library.paddock_ceilings_threads(handle)

    def read(self) -> float:
        """See Ceilings."""
        return float(self._library.paddock_ceilings_read(self._handle))

    def product(self, kind: str) -> float | None:
        """See Ceilings."""
        return float(self._library.paddock_ceilings_product(self._handle, kind.encode())) or None

    def instruction(self, kind: str) -> str | None:
        """See Ceilings."""
        name: bytes | None = self._library.paddock_ceilings_instruction(kind.encode())
        return name.decode() if name else None

    def close(self) -> None:
        """See Ceilings."""
        self._free()


class NumpyCeilings:
    """The same in numpy, for installations without a compiler; has fp32 products only."""

    method = "numpy"

    def __init__(self, threads: int, n_bytes: int) -> None:
        import numpy as np

        self.threads = threads
        self._np = np
        self._pieces = np.array_split(np.ones(n_bytes // 8, np.uint64), 8 * threads)
        self._pool = ThreadPoolExecutor(threads)

    def read(self) -> float:
        """See Ceilings."""
        begin = time.perf_counter()
        # Reductions let other threads run; "or" costs less than memory does.
        list(self._pool.map(self._np.bitwise_or.reduce, self._pieces))
        total: int = sum(piece.nbytes for piece in self._pieces)
        return total / (time.perf_counter() - begin)

    def product(self, kind: str) -> float | None:
        """See Ceilings. BLAS chooses its own threads here."""
        if kind != "fp32":
            return None
        side = 1024
        matrix = self._np.ones((side, side), self._np.float32)
        begin = time.perf_counter()
        matrix @ matrix
        return 2.0 * side**3 / (time.perf_counter() - begin)

    def instruction(self, kind: str) -> str | None:
        """See Ceilings."""
        return "BLAS sgemm" if kind == "fp32" else None

    def close(self) -> None:
        """See Ceilings."""
        self._pool.shutdown()
        self._pieces = []


@cache
def _library() -> ctypes.CDLL | None:
    folder = Path(__file__).parent
    files = [folder / f"_ceilings{suffix}" for suffix in EXTENSION_SUFFIXES]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        return None
    try:
        library = ctypes.CDLL(str(found))
        library.paddock_ceilings_abi.restype = ctypes.c_int
        if library.paddock_ceilings_abi() != ABI:
            return None
        library.paddock_ceilings_open.restype = ctypes.c_void_p
        library.paddock_ceilings_open.argtypes = (ctypes.c_int, ctypes.c_int64)
        library.paddock_ceilings_threads.restype = ctypes.c_int
        library.paddock_ceilings_threads.argtypes = (ctypes.c_void_p,)
        library.paddock_ceilings_read.restype = ctypes.c_double
        library.paddock_ceilings_read.argtypes = (ctypes.c_void_p,)
        library.paddock_ceilings_instruction.restype = ctypes.c_char_p
        library.paddock_ceilings_instruction.argtypes = (ctypes.c_char_p,)
        library.paddock_ceilings_product.restype = ctypes.c_double
        library.paddock_ceilings_product.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        library.paddock_ceilings_close.restype = None
        library.paddock_ceilings_close.argtypes = (ctypes.c_void_p,)
    except (OSError, AttributeError):
        return None
    return library
