"""What a result says about its machine, read from recorded files."""

from __future__ import annotations

import re
from pathlib import Path

from paddock.bench import facts

FILES = {
    "proc/cpuinfo": """\
processor\t: 0
model name\t: A CPU @ 2.5GHz
cpu MHz\t\t: 2500.125
flags\t\t: fpu avx2 avx512f avx512_vnni hypervisor

processor\t: 1
model name\t: A CPU @ 2.5GHz
cpu MHz\t\t: 2501.000
flags\t\t: fpu avx2 avx512f avx512_vnni hypervisor
""",
    "proc/meminfo": "MemTotal:       1000 kB\nMemAvailable:    500 kB\n",
    "proc/loadavg": "0.25 0.10 0.05 1/100 4242\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "3500000\n",
    "sys/devices/system/cpu/cpu0/cache/index0/size": "32K\n",
    "sys/devices/system/cpu/cpu0/cache/index3/size": "16M\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
}


def test_facts(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = facts.host(tmp_path)
    wanted = {
        "cpu": "A CPU @ 2.5GHz",
        "isa": ["avx2", "avx512f", "avx512_vnni"],
        "cores": 2,
        "mhz": 2500.125,
        "governor": "performance",
        "max_khz": 3500000.0,
        "last_level_cache_bytes": 16 << 20,
        "memory_bytes": 1024000,
        "memory_available_bytes": 512000,
        "huge_pages": "madvise",
        "hypervisor": True,
        "load_average": 0.25,
    }
    assert {key: found[key] for key in wanted} == wanted


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    found = facts.host(tmp_path)
    assert found["memory_bytes"] is found["governor"] is found["load_average"] is None
    assert found["cpu"] == found["architecture"]


def test_software() -> None:
    found = facts.packages()
    assert {"python", "paddock", "numpy"} <= set(found)
    commit = facts.commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}(\+changes)?", commit)


SMAPS = """\
7f0000000000-7f0000400000 r--s 00000000 fe:00 12 {model}/a file.safetensors
Rss:                4096 kB
FilePmdMapped:      2048 kB
7f0000400000-7f0000800000 rw-p 00000000 00:00 0
Rss:                4096 kB
FilePmdMapped:         0 kB
7f0000800000-7f0000c00000 r--s 00000000 fe:00 13 {model}-other/b.safetensors
Rss:                4096 kB
FilePmdMapped:         0 kB
"""


def test_the_share_of_a_model_in_huge_pages(tmp_path: Path) -> None:
    model = tmp_path / "model"
    maps = tmp_path / "proc/self/smaps"
    maps.parent.mkdir(parents=True)
    maps.write_text(SMAPS.format(model=model))
    assert facts.in_huge_pages(model, tmp_path) == 0.5
    assert facts.in_huge_pages(model / "a file.safetensors", tmp_path) == 0.5
    assert facts.in_huge_pages(tmp_path / "mode", tmp_path) is None
    assert facts.in_huge_pages(tmp_path) is None, "this process has nothing of it mapped"


def test_outside_a_checkout(tmp_path: Path) -> None:
    assert facts.commit(tmp_path) is None
