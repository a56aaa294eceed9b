"""What may be loaded, and what happens where a library is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("torch", "numpy", "ml_dtypes", "sentencepiece", "tokenizers", "gguf", "google.protobuf"),
    *("jinja2", "huggingface_hub", "httpx", "requests", "transformers", "safetensors"),
    *("rich", "pygments", "yaml"),
}


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    # -S would be stricter still, but site-packages are how the libraries get in.
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "HOME": "/nonexistent",
            "PADDOCK_HOME": "/nonexistent",
        },
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import paddock",
        "from paddock.cli.main import main; main(['--help'])",
        "from paddock.cli.main import main; main(['run', '--help'])",
        "from paddock.cli.main import main; main(['host', '--help'])",
        "from paddock.cli.main import main; main(['--version'])",
        "from paddock.cli.main import main; main(['rnu'])",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    show = "; import sys, json; print(json.dumps(sorted(sys.modules)))"
    result = python(code + show)
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert "paddock" in loaded
    assert not loaded.intersection(HEAVY)


def test_the_deploy_wing_needs_neither_torch_nor_numpy() -> None:
    """A bare host has only the front door's own dependencies."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['numpy'] = None\n"
        "from paddock.cli.main import main\n"
        "sys.exit(main(['host', '--json']))"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["target"] == "local"


def test_help_is_quick() -> None:
    """0.15 s on a quiet machine; the margin is for busy ones. The cause is tested above."""
    best = min(_seconds() for _ in range(3))
    assert best < 2.5


def _seconds() -> float:
    begin = time.monotonic()
    result = python("from paddock.cli.main import main; main(['--help'])")
    assert "convert" in result.stdout
    return time.monotonic() - begin


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
from paddock.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("library", "extra", "args"),
    [
        ("torch", "torch", ("run", "I love Beijing, because")),
        ("torch", "torch", ("chat",)),
        ("numpy", "models", ("run", "I love Beijing, because")),
        ("numpy", "models", ("inspect", "demo")),
        ("numpy", "models", ("convert", "demo", "x.gguf", "--to", "gguf")),
        ("httpx", "models", ("pull", "llama2-7b")),
    ],
)
def test_a_missing_library_is_one_line(library: str, extra: str, args: tuple[str, ...]) -> None:
    result = python(BLOCK, library, *args)
    wanted = (
        f"error: {library} is not installed (install it with: pip install 'paddock[{extra}]')\n"
    )
    assert (result.returncode, result.stdout, result.stderr) == (1, "", wanted)


def test_models_needs_no_extra() -> None:
    result = python(BLOCK, "numpy", "models", "--json")
    assert result.returncode == 0, result.stderr
    assert "llama2-7b" in result.stdout
