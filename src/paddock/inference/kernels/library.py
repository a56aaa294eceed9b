"""Finds the C++ library and declares its functions on matrices; other rooms add their own."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_int, c_int32, c_int64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from paddock.errors import DeviceError, UsageError, nearest

ABI = 1
"""Of ``Matrix`` and the calls below; a library built from other sources is not used."""

FORMATS = {"fp32": 0, "bf16": 1, "fp16": 2, "int8": 3, "int4": 4}
"""Of a matrix; the last two in the layout of checkpoint/packed.py."""

SETS = {
    "best": 0,
    "base": 1,
    "avx2": 2,
    "avxvnni": 3,
    "avx512vnni": 4,
    "dotprod": 5,
    "avx512amd": 6,
}
"""Instruction sets: the best this CPU has, or a certain one."""


class Matrix(ctypes.Structure):
    """As in native/matrix.h."""

    _fields_ = [("data", c_void_p), *((name, c_int32) for name in ("format", "n", "k"))]


def unavailable() -> str | None:
    """None if the library is there and of this ABI, else why not, in words."""
    found = find()
    return found if isinstance(found, str) else None


def library() -> ctypes.CDLL:
    """The library. Raises DeviceError where it was not built or is another version's."""
    found = find()
    if isinstance(found, str):
        raise DeviceError(f"Paddock's C++ library cannot be used: {found}")
    return found


def threads() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def instruction_set(name: str) -> int:
    """The set's number. Raises UsageError for an unknown name, DeviceError if this CPU lacks it."""
    if name not in SETS:
        raise UsageError(
            f"instruction set {name!r} is unknown{nearest(name, SETS)}",
            hint=f"use one of {', '.join(SETS)}",
        )
    if library().paddock_products_name(SETS[name]) is None:
        raise DeviceError(
            f"this CPU has no {name}", hint=f"use one of {', '.join(available_sets())}"
        )
    return SETS[name]


def available_sets() -> list[str]:
    """The names of all sets that this CPU has."""
    return [
        name for name, number in SETS.items() if library().paddock_products_name(number) is not None
    ]


@cache
def find() -> ctypes.CDLL | str:
    """The library, or in words why it cannot be used."""
    folder = Path(__file__).parent
    files = [folder / f"_native{suffix}" for suffix in EXTENSION_SUFFIXES]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        return "it was not built, because no C++ compiler was found at installation"
    try:
        native = ctypes.CDLL(str(found))
        native.paddock_matrices_abi.restype = c_int
        native.paddock_matrices_abi.argtypes = ()
        abi = native.paddock_matrices_abi()
        if abi != ABI:
            return f"{found.name} was built from other sources (ABI {abi}, not {ABI}); reinstall"
        matrix = ctypes.POINTER(Matrix)
        native.paddock_products_name.restype = c_char_p
        native.paddock_products_name.argtypes = (c_int,)
        for name, arguments in {
            "paddock_product": (c_int, c_int, matrix, c_void_p, c_int, c_void_p),
            "paddock_row": (matrix, c_int, c_void_p),
            "paddock_quantize": (c_int, c_int, matrix, c_int, c_int, c_void_p, c_void_p),
            "paddock_repack": (c_int, c_void_p, c_int, c_int, c_int, c_void_p),
        }.items():
            function = getattr(native, name)
            function.restype, function.argtypes = c_int, arguments
        native.paddock_bad_scale.restype = c_int64
        native.paddock_bad_scale.argtypes = (c_int, matrix)
    except (OSError, AttributeError) as cause:
        return f"{found.name} cannot be loaded: {cause}"
    return native
