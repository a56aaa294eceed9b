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


def test_outside_a_checkout(tmp_path: Path) -> None:
    assert facts.commit(tmp_path) is None
