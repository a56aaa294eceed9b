"""Where a number was measured: the machine, the software and the state of both."""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from paddock._version import __version__
from paddock.bench.processes import output

PACKAGES = ("torch", "numpy", "transformers", "llama-cpp-python", "xllamacpp")
_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp")


def host(root: Path = Path("/")) -> dict[str, Any]:
    """Facts about this machine as plain JSON values; None for what it does not tell.

    ``load_average`` is that of the last minute at the time of the call: a machine with other work
    to do gives other numbers. Reads /proc and /sys below ``root`` only.
    """
    cpu = _read(root / "proc/cpuinfo")
    flags = set(_field(cpu, r"flags|Features", "").split())
    load = _read(root / "proc/loadavg").split()
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    return {
        "cpu": _field(cpu, "model name|CPU part", platform.machine()),
        "architecture": platform.machine(),
        "isa": [flag for flag in _FLAGS if flag in flags],
        "cores": len(re.findall(r"^processor\s*:", cpu, flags=re.M)) or None,
        "mhz": _number(_field(cpu, "cpu MHz", "")),
        "governor": _read(frequency / "scaling_governor").strip() or None,
        "max_khz": _number(_read(frequency / "scaling_max_freq")),
        "last_level_cache_bytes": last_level_cache(root),
        "memory_bytes": _kilobytes(_read(root / "proc/meminfo"), "MemTotal"),
        "memory_available_bytes": _kilobytes(_read(root / "proc/meminfo"), "MemAvailable"),
        "huge_pages": _chosen(_read(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        "hypervisor": "hypervisor" in flags,
        "load_average": _number(load[0]) if load else None,
        "kernel": platform.release(),
    }


def last_level_cache(root: Path = Path("/")) -> int | None:
    """Bytes of the largest cache of core 0, None where the system does not say."""
    sizes = []
    for index in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*"):
        found = re.fullmatch(r"(\d+)([KM]?)", _read(index / "size").strip())
        if found:
            sizes.append(int(found[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20}[found[2]])
    return max(sizes, default=None)


def in_huge_pages(model: Path, root: Path = Path("/")) -> float | None:
    """The share of a model's files, as this process has them mapped, that lies in huge pages.

    None where nothing of them is mapped. ``model`` is a file or the folder of all. Source: fields
    Rss and FilePmdMapped of smaps (proc_pid_smaps(5)).
    """
    resident = huge = 0
    of_model = False
    for line in _read(root / "proc/self/smaps").splitlines():
        words = line.split(maxsplit=5)
        if re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", words[0]):
            mapped = Path(words[5]) if len(words) == 6 else Path()
            of_model = mapped == model.resolve() or model.resolve() in mapped.parents
        elif of_model and words[0] == "Rss:":
            resident += int(words[1])
        elif of_model and words[0] == "FilePmdMapped:":
            huge += int(words[1])
    return huge / resident if resident else None


def packages() -> dict[str, str]:
    """Versions of Python, Paddock and what it is compared with, as far as installed here."""
    found = {"python": sys.version.partition(" ")[0], "paddock": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(folder: Path = Path(__file__).parent) -> str | None:
    """The git commit that runs, with ``+changes`` if files differ; None outside a checkout."""
    head = output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if head is None:
        return None
    changed = output(["git", "-C", str(folder), "status", "--porcelain", "-uno"])
    return head.strip() + ("+changes" if changed is None or changed.strip() else "")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _field(text: str, key: str, default: str) -> str:
    found = re.search(rf"^(?:{key})\s*:[ \t]*(.*)$", text, flags=re.M)
    return found[1].strip() if found else default


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _kilobytes(text: str, key: str) -> int | None:
    found = re.search(rf"^{key}:\s*(\d+) kB$", text, flags=re.M)
    return int(found[1]) * 1024 if found else None


def _chosen(text: str) -> str | None:
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found else None
