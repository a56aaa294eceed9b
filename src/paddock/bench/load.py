"""From starting a process to its first token: what a user waits for, imports and all."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

from paddock.bench.processes import timed_start
from paddock.bench.result import Figure, Run
from paddock.bench.summary import Summary
from paddock.errors import BenchError, UsageError

CACHES = ("warm", "cold")
_PROMPT = "Once upon a time"
_PIECE = 16 << 20


def measure_load(
    model: Path,
    *,
    threads: int,
    quant: str | None = None,
    cache: str = "warm",
    repeats: int = 5,
    timeout: float = 600.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """``paddock run`` of one token in a fresh process, ``repeats`` times after one warm-up.

    ``cache``: whether the page cache holds the model's files at the start (``warm``) or none of
    them (``cold``); which share it held is a figure of the result. Raises BenchError if a process
    fails, or where the system keeps the files in memory for ``cold``.
    """
    if cache not in CACHES:
        raise UsageError(f"cache is {cache!r}", hint=f"use {' or '.join(CACHES)}")
    files = [model] if model.is_file() else sorted(p for p in model.rglob("*") if p.is_file())
    argv = [sys.executable, "-m", "paddock", "run", "--quiet", "-m", str(model), "-n", "1"]
    argv += ["--threads", str(threads), *(["--quant", quant] if quant else []), _PROMPT]
    starts, shares = [], []
    for number in range(repeats + 1):
        for file in files:
            (read_through if cache == "warm" else _drop)(file)
        shares.append(resident_share(files))
        if cache == "cold" and shares[-1] > 0.01:
            raise BenchError(
                f"{shares[-1]:.0%} of the files stayed in the page cache",
                hint="somebody else has them open; or measure with a warm cache",
            )
        starts.append(timed_start(argv, timeout))
        progress(number + 1, repeats + 1)
    warm, *rest = starts
    return Run(
        "paddock",
        options={"quant": quant, "cache": cache, "command": argv[1:]},
        warm_up={"first_output_s": warm.first_output_s, "total_s": warm.total_s},
        figures={
            "first_token": Figure("s", Summary.of(s.first_output_s for s in rest)),
            "process": Figure("s", Summary.of(s.total_s for s in rest)),
            "peak_rss": Figure("bytes", Summary.of(s.peak_rss_bytes for s in rest)),
            "page_cache": Figure("share", Summary.of(shares[1:])),
        },
    )


def resident_share(files: list[Path]) -> float:
    """The share of the files' pages that the page cache holds, by mincore(2)."""
    pages = resident = 0
    library = ctypes.CDLL(None, use_errno=True)
    for file in files:
        size = file.stat().st_size
        if not size:
            continue
        with (
            file.open("rb") as stream,
            # Private and writable, for ctypes wants to write; nothing is written.
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY) as mapped,
        ):
            count = -(-size // mmap.PAGESIZE)
            found = (ctypes.c_ubyte * count)()
            start = ctypes.c_char.from_buffer(mapped)
            address = ctypes.c_void_p(ctypes.addressof(start))
            code = library.mincore(address, ctypes.c_size_t(size), found)
            del start  # else the map cannot be closed
        if code:
            raise BenchError(f"mincore of {file}: {os.strerror(ctypes.get_errno())}")
        pages += count
        resident += sum(byte & 1 for byte in bytes(found))
    return resident / pages if pages else 0.0


def read_through(file: Path) -> None:
    """Reads a file to its end, so that the page cache has it as far as there is room."""
    with file.open("rb", buffering=0) as stream:
        while stream.read(_PIECE):
            pass


def _drop(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())  # pages not written yet cannot be dropped
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
