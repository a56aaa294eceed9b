"""How much memory there is, and whether a model's weights fit, before any of them is read."""

from __future__ import annotations

import os
from pathlib import Path

from paddock.errors import DoesNotFit, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.reader import ITEM_BYTES

# cgroup v1 says "no limit" with a number near the largest int64.
_NO_LIMIT = 1 << 60


def available_bytes(root: Path = Path("/")) -> int:
    """Bytes this process can still allocate without swapping.

    The smaller of the kernel's MemAvailable and what the limits of the process's control groups
    (v2 or v1, those of all parents too) leave; page cache that can be dropped counts as free.
    ``root`` is where /proc and /sys are looked for.
    """
    free = _mem_available(root)
    for limit, usage in _cgroup_limits(root):
        free = min(free, max(0, limit - usage))
    return free


def ensure_fits(
    config: ModelConfig, dtype: str, extra_bytes: int = 0, available: int | None = None
) -> int:
    """Bytes needed for the weights in ``dtype`` and ``extra_bytes`` (a cache, say).

    ``dtype`` is ``bf16``, ``fp16``, ``fp32``, ``q8_0`` or ``q4_0``. ``available`` defaults to
    ``available_bytes()``; pass a device's free memory for a device. Raises DoesNotFit with the
    numbers. Call it before the first weight is read.
    """
    if dtype not in ITEM_BYTES:
        raise UsageError(f"dtype is {dtype!r}", hint=f"known are {', '.join(ITEM_BYTES)}")
    weights = int(config.n_params() * ITEM_BYTES[dtype])
    return ensure_bytes(
        weights, f"{config.n_params():,} weights in {dtype}", extra_bytes, available
    )


def ensure_bytes(
    weights: int, described: str, extra_bytes: int = 0, available: int | None = None
) -> int:
    """``ensure_fits`` where the bytes of the weights, which are ``described``, are known."""
    needed = weights + extra_bytes
    free = available_bytes() if available is None else available
    if needed > free:
        extra = f" and {in_gib(extra_bytes)} beside them" if extra_bytes else ""
        raise DoesNotFit(
            f"the model needs {in_gib(needed)} of memory ({described} "
            f"take {in_gib(weights)}{extra}), available are {in_gib(free)}",
            hint="a smaller model, a smaller dtype or a shorter context needs less",
        )
    return needed


def in_gib(n_bytes: int) -> str:
    """A number of bytes for people, in GiB; in MiB where that says more."""
    gib = n_bytes / 2**30
    return f"{gib:.1f} GiB" if gib >= 1 else f"{n_bytes / 2**20:.1f} MiB"


def resident_bytes(root: Path = Path("/")) -> tuple[int, int]:
    """This process's resident memory, now and at most, in bytes; zeros where nobody counts it."""
    found = {"VmRSS": 0, "VmHWM": 0}
    for line in _read(root / "proc/self/status").splitlines():
        key, _, value = line.partition(":")
        if key in found:
            found[key] = int(value.split()[0]) * 1024
    return found["VmRSS"], found["VmHWM"]


def _mem_available(root: Path) -> int:
    text = _read(root / "proc/meminfo")
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return int(value.split()[0]) * 1024
    # No Linux: all of the memory is the best that can be said without another library.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cgroup_limits(root: Path) -> list[tuple[int, int]]:
    """(limit, usage without droppable cache) in bytes of every control group above this process."""
    found = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base, names = (
                root / "sys/fs/cgroup/memory",
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            )
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        # A container may see its own group as the root of the mount, so missing folders are fine.
        for depth in range(len(parts) + 1):
            folder = base.joinpath(*parts[:depth])
            limit, usage = _number(folder / names[0]), _number(folder / names[1])
            if limit is not None and usage is not None and limit < _NO_LIMIT:
                cache = _stat(folder / "memory.stat", names[2])
                found.append((limit, usage - min(cache, usage)))
    return found


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _stat(path: Path, key: str) -> int:
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
