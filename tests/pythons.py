"""Other Pythons of this machine than the one that runs the tests, to make packages of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Python:
    """A whole Python below ``prefix`` that runs from any other place too; ``full`` is its version
    with the patch release.
    """

    prefix: Path
    full: str

    @property
    def version(self) -> str:
        """As in ``3.9``."""
        return self.full.rpartition(".")[0]

    def files(self, to: str = "") -> Mapping[str, Path]:
        """Its interpreter and its library by their places below ``to``."""
        library = f"lib/python{self.version}"
        shared = f"lib/libpython{self.version}.so.1.0"
        names = sorted(path.name for path in (self.prefix / library).iterdir())
        left_out = ("test", "idlelib", "turtledemo", "site-packages", "__pycache__")
        wanted = [f"{library}/{name}" for name in names if name not in left_out]
        wanted = [name for name in wanted if "config-" not in name]
        if (self.prefix / shared).exists():
            wanted.append(shared)
        return {
            f"{to}/{name}": self.prefix / name for name in (f"bin/python{self.version}", *wanted)
        }

    def relocated(self, file: Path) -> bytes:
        """The content of one of these, which finds its library from wherever it lies."""
        own = f"{self.prefix}/lib\0".encode()
        data = file.read_bytes()
        if file.parent.name != "bin":
            return data
        return data.replace(own, b"$ORIGIN/../lib".ljust(len(own), b"\0"))


def other(*versions: str) -> Python | None:
    """The first of these that lies beside the Python that runs the tests, as pyenv puts them."""
    own = Path(sys.base_prefix)
    for version in versions:
        for prefix in sorted(own.parent.glob(f"{version}.*")):
            program = prefix / "bin" / f"python{version}"
            if prefix == own or not program.exists():
                continue
            ask = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
            done = subprocess.run([program, "-c", ask], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return Python(prefix, done.stdout.strip())
    return None
