"""native/check_products.cpp, a fuzzer against float64, under sanitizers and as Arm code."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[3] / "native"
FLAGS = (
    "-std=c++17",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
    "-pthread",
)


def _build(compiler: str, out: Path, *flags: str) -> None:
    found = shutil.which(compiler)
    if found is None:
        pytest.skip(f"{compiler} is not installed")
    sources = [str(NATIVE / f"{name}.cpp") for name in ("products", "matrices", "check_products")]
    made = subprocess.run(
        [found, *FLAGS, *flags, *sources, "-o", str(out)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert "warning" not in made.stderr


def _run(*command: str) -> str:
    """A run with another seed each time, which the program names where it fails."""
    seed = str(secrets.randbits(30))
    done = subprocess.run([*command, seed], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers as Linux has them")
def test_under_sanitizers(tmp_path: Path) -> None:
    _build(
        "g++",
        tmp_path / "check",
        *("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    )
    assert "cases" in _run(str(tmp_path / "check"), "100")


@pytest.mark.e2e
def test_on_arm(tmp_path: Path) -> None:
    """Cross-compiled and run under qemu-user: a CPU with dot products, and one without."""
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not installed (Debian: qemu-user)")
    _build("aarch64-linux-gnu-g++", tmp_path / "check", "-O2", "-static")
    both = _run(emulator, "-cpu", "max", str(tmp_path / "check"), "60")
    assert "NEON;" in both
    assert "NEON with dot product;" in both
    assert "dot product" not in _run(emulator, "-cpu", "cortex-a53", str(tmp_path / "check"), "60")
