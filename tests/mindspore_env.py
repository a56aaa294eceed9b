"""The Python with MindSpore and MindFormers that tests marked ``mindspore`` run, made once.

``PADDOCK_MINDSPORE_PYTHON`` names one that is there. Else one is made in the user's cache folder
(3 GB) and used again as long as the constraints beside this file are the same.
``python tests/mindspore_env.py`` makes it and prints its path.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

CONSTRAINTS = Path(__file__).with_name("mindspore_constraints.txt")
PAIR = ("mindspore", "mindformers")
PROGRAMS = Path(__file__).with_name("parity") / "mindspore_programs"
STANDINS = Path(__file__).parents[1] / "src/paddock/inference/runtimes/mindspore/cpu_standins.py"


class Unavailable(Exception):
    """It cannot be made here; the message says why."""


def interpreter() -> Path:
    """The Python of the environment. Raises Unavailable."""
    if given := os.environ.get("PADDOCK_MINDSPORE_PYTHON"):
        return Path(given)
    base = _base()
    name = hashlib.sha256(CONSTRAINTS.read_bytes() + base.encode()).hexdigest()[:12]
    cache = Path(platformdirs.user_cache_path("paddock-tests", appauthor=False))
    folder = cache / f"mindspore-{name}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").is_file():
            _make(base, folder)
    return folder / "bin" / "python"


def _base() -> str:
    """A Python that MindSpore 2.7.0 has wheels for."""
    if (3, 9) <= sys.version_info < (3, 12):
        return sys.executable
    for version in ("3.11", "3.10", "3.9"):
        found = shutil.which(f"python{version}")
        if (
            found
            and not subprocess.run([found, "-m", "venv", "-h"], capture_output=True).returncode
        ):
            return found
    raise Unavailable("MindSpore 2.7.0 needs Python 3.9 to 3.11, and none is here")


def _make(base: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run([base, "-m", "venv", str(folder)])
    python = str(folder / "bin" / "python")
    _run([python, "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS), *PAIR])
    (folder / "complete").touch()


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason was given"]
        raise Unavailable(f"{' '.join(words[1:4])}: {said[-1]}")


def run_there(
    python: Path, program: Path, folder: Path, *words: str, described: Path | None = None
) -> str:
    """What a MindFormers program prints in the environment, with the stand-ins for the CPU.

    ``words`` become its arguments; ``described`` is the YAML file of ``pipeline("llama2_7b")``.
    """
    argv = [str(python), str(PROGRAMS / "standins.py"), str(STANDINS), str(described or "-")]
    done = subprocess.run(
        [*argv, str(program), *words], capture_output=True, text=True, cwd=folder, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


if __name__ == "__main__":
    print(interpreter())
