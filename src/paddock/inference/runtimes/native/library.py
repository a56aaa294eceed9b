"""Declares the C++ library's structs and calls of a step, as ``native/forward.h`` has them."""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_float, c_int, c_int32, c_int64, c_uint64, c_void_p
from functools import cache

from paddock.errors import DeviceError, UsageError, nearest
from paddock.inference.kernels import library as kernels
from paddock.inference.kernels.library import FORMATS, SETS, Matrix

__all__ = ["FORMATS", "KV", "SETS", "Matrix"]

ABI = 2
"""Of the structs below and the calls; a library built from other sources is not used."""

KV = {"fp32": 0, "fp16": 1, "int8": 2}
"""How keys and values are stored."""


class Layer(ctypes.Structure):
    """The weights of one layer; norms are fp32."""

    _fields_ = [
        *((name, c_void_p) for name in ("attention_norm", "ffn_norm")),
        *((name, Matrix) for name in ("wq", "wk", "wv", "wo", "w1", "w3", "w2")),
    ]


class Cache(ctypes.Structure):
    """Where keys and values lie; see ``native/cache.h``."""

    _fields_ = [
        *((name, c_void_p) for name in ("data", "scales")),
        *((name, c_int32) for name in ("format", "n_pages", "page_size", "n_kv_heads", "head_dim")),
    ]


class Model(ctypes.Structure):
    """All weights, tables and the cache; the arrays must outlive what is opened with it."""

    _fields_ = [
        *((name, Matrix) for name in ("embeddings", "output")),
        *((name, c_void_p) for name in ("norm", "cos", "sin", "layers")),
        ("cache", Cache),
        *((name, c_int32) for name in ("n_layers", "n_heads", "hidden_dim", "known_ids")),
        ("norm_eps", c_float),
    ]


class Sampling(ctypes.Structure):
    """How one request's next tokens are chosen; ``native/sampler.h``."""

    _fields_ = [
        *((name, c_double) for name in ("temperature", "top_p", "min_p")),
        *((f"{name}_penalty", c_double) for name in ("repetition", "presence", "frequency")),
        ("seed", c_uint64),
        ("top_k", c_int64),
        *((name, c_void_p) for name in ("history", "allowed")),
        *((name, c_int64) for name in ("n_history", "n_prompt", "n_allowed_bytes", "n_top")),
    ]


class Request(ctypes.Structure):
    """One request's share of a step."""

    _fields_ = [
        *((name, c_void_p) for name in ("tokens", "pages", "sampling")),
        *((name, c_int32) for name in ("n_tokens", "start", "wanted", "unused")),
    ]


class Results(ctypes.Structure):
    """Where a step writes what it found."""

    _fields_ = [
        *((name, c_void_p) for name in ("logits", "tokens", "logprobs", "top_ids")),
        *((name, c_void_p) for name in ("top_logprobs", "outcomes")),
        ("top_stride", c_int64),
    ]


def unavailable() -> str | None:
    """None if the library is there and of this ABI, else why not, in words."""
    found = _library()
    return found if isinstance(found, str) else None


def library() -> ctypes.CDLL:
    """The library. Raises DeviceError if it is not ``available``, saying why."""
    found = _library()
    if isinstance(found, str):
        raise DeviceError(f"the native runtime cannot be used: {found}")
    return found


def instruction_set(name: str) -> int:
    """The number of an instruction set that this CPU has. Raises UsageError or DeviceError."""
    if name not in SETS:
        raise UsageError(
            f"instructions are {name!r}{nearest(name, SETS)}", hint=f"use {', '.join(SETS)}"
        )
    if library().paddock_set(SETS[name]) is None:
        raise DeviceError(f"this CPU has no {name} instructions", hint="use best")
    return SETS[name]


def instructions_in_use(number: int) -> str:
    """What the library calls the set with this number, for people."""
    name: bytes = library().paddock_set(number)
    return name.decode()


@cache
def _library() -> ctypes.CDLL | str:
    library = kernels.find()
    if isinstance(library, str):
        return library
    try:
        library.paddock_abi.restype = c_int
        library.paddock_abi.argtypes = ()
        abi = library.paddock_abi()
        if abi != ABI:
            return f"it was built from other sources (ABI {abi}, not {ABI}); reinstall"
        _declare(library)
    except AttributeError as cause:
        return f"it cannot be used: {cause}"
    return library


def _declare(library: ctypes.CDLL) -> None:
    library.paddock_set.restype = ctypes.c_char_p
    library.paddock_set.argtypes = (c_int,)
    library.paddock_open.restype = c_void_p
    library.paddock_open.argtypes = (ctypes.POINTER(Model), c_int, c_int)
    library.paddock_step.restype = c_int
    library.paddock_step.argtypes = (c_void_p, c_void_p, c_int, c_void_p)
    library.paddock_choose.restype = c_int
    library.paddock_choose.argtypes = (
        *(c_void_p, c_void_p, c_int, c_int64),
        *4 * (c_void_p,),
    )
    library.paddock_close.restype = None
    library.paddock_close.argtypes = (c_void_p,)
