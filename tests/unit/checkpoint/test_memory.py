"""How much memory there is, and refusing before a byte is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_checkpoints import CONFIG, hf_folder

from paddock.errors import DoesNotFit, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.memory import available_bytes, ensure_fits
from paddock.inference.checkpoint.quantize_files import quantize_files

CASES = json.loads((Path(__file__).parent / "data/memory.json").read_text())
SEVEN_B = ModelConfig(32000, 4096, 32, 32, 32, 11008, 128)
# About 100 million weights: 200 MB in two bytes each, the largest 3 % of it (2 % in Llama 2 7B).
LARGE = ModelConfig(
    vocab_size=2000, dim=1024, n_layers=8, n_heads=16, n_kv_heads=8, hidden_dim=2816, head_dim=64,
    dtype="bf16",
)  # fmt: skip
SRC = Path(__file__).parents[3] / "src"

CHILD = """
import sys, resource, ml_dtypes, numpy as np
from paddock.inference.checkpoint.base import numpy_dtype
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.verify import checked
if sys.argv[1].endswith("meta"):
    import torch
if sys.argv[1].endswith("gguf"):
    import gguf
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status")
                if line.startswith("VmHWM"))
np.isfinite(np.ones(3, ml_dtypes.bfloat16))
before = peak()
checkpoint = open_checkpoint(sys.argv[1])
config = checkpoint.config()
dtype = numpy_dtype(sys.argv[2])
target = {name: np.empty(shape, dtype) for name, shape in config.shapes().items()}
for name, array in checked(checkpoint):
    np.copyto(target[name], array, casting="unsafe")
size = sum(array.nbytes for array in target.values())
print(size, peak() - before)
"""


QUANTIZING = """
import sys, ml_dtypes, numpy as np
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.quantize_files import quantize_files
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status")
                if line.startswith("VmHWM"))
np.isfinite(np.ones(3, ml_dtypes.bfloat16))
before = peak()
quantize_files(sys.argv[1], sys.argv[2], bits=4, search=False)
print(peak() - before)
"""


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_available(tmp_path: Path, case: dict[str, Any]) -> None:
    for name, text in case["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_bytes(tmp_path) == case["available"]


def test_this_machine() -> None:
    """Never more than psutil says the machine has; a control group may allow less."""
    assert 0 < available_bytes() <= psutil.virtual_memory().total


def test_refused_with_the_numbers() -> None:
    with pytest.raises(DoesNotFit) as caught:
        ensure_fits(SEVEN_B, "fp16", extra_bytes=2 << 30, available=8 << 30)
    for part in ("14.6 GiB", "6,738,415,616", "fp16", "12.6 GiB", "2.0 GiB", "8.0 GiB"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("fp16", 13476831232), ("fp32", 26953662464), ("q8_0", 7159566592), ("q4_0", 3790358784)],
)
def test_needed(dtype: str, size: int) -> None:
    assert ensure_fits(SEVEN_B, dtype, available=1 << 40) == size
    assert ensure_fits(SEVEN_B, dtype, extra_bytes=5, available=size + 5) == size + 5
    with pytest.raises(DoesNotFit):
        ensure_fits(SEVEN_B, dtype, extra_bytes=6, available=size + 5)


def test_unknown_dtype() -> None:
    with pytest.raises(UsageError, match="fp8"):
        ensure_fits(CONFIG, "fp8")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for 200 MB of weights that are all different."""
    import numpy as np

    from paddock.inference.checkpoint.base import numpy_dtype

    noise = np.random.default_rng(0).integers(0, 1 << 14, 1 << 20).astype(np.uint16)
    weights = {}
    for name, shape in LARGE.shapes().items():
        data = np.resize(noise, shape).view(numpy_dtype("bf16"))
        weights[name] = data
    return hf_folder(tmp_path_factory.mktemp("large") / "hf", LARGE, weights)


# The hf case runs by default; each other one first writes 200 MB more.
@pytest.mark.parametrize(
    ("format", "stored", "target"),
    [
        ("hf", "bf16", "bf16"),
        pytest.param("hf", "bf16", "fp32", marks=pytest.mark.slow),
        pytest.param("hf-sharded", "bf16", "bf16", marks=pytest.mark.slow),
        pytest.param("mindspore", "fp16", "fp16", marks=pytest.mark.slow),
        pytest.param("gguf", "fp16", "fp16", marks=pytest.mark.slow),
        pytest.param("gguf", "q8_0", "fp16", marks=pytest.mark.slow),
        pytest.param("packed", "int4", "bf16", marks=pytest.mark.slow),
        pytest.param("meta", "bf16", "bf16", marks=pytest.mark.slow),
        pytest.param("meta-2", "bf16", "bf16", marks=pytest.mark.slow),
    ],
)
def test_loading_takes_little_more_than_the_model(
    large: Path, tmp_path: Path, format: str, stored: str, target: str
) -> None:
    """Peak resident memory of streaming into a ready target: at most 1.1 times the target.

    Beyond what the interpreter and its libraries took before, and 16 MB for what they take while
    working (file headers, a cast's buffers).
    """
    path = large
    if format == "packed":
        path = quantize_files(large, tmp_path / "packed", bits=4)
    elif format != "hf":
        to = format.split("-")[0]
        shards = {"hf-sharded": 3, "meta-2": 2}.get(format, 1)
        path = convert(large, tmp_path / format.replace("-2", "2meta"), to=to, dtype=stored,  # type: ignore[arg-type]
                       shards=shards)  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), target],
        capture_output=True, text=True, env={"PYTHONPATH": str(SRC)}, check=True,
    )  # fmt: skip
    size, growth = map(int, done.stdout.split())
    assert size > 180_000_000
    assert growth <= 1.1 * size + 16_000_000, f"{growth / size:.3f} x"
    print(f"{format} {stored}->{target}: {growth / size:.3f} x")


def test_quantizing_holds_one_tensor_and_its_packed_form(large: Path, tmp_path: Path) -> None:
    """200 MB pass through; the largest tensor is 5.8 MB, its packed form 1.6 MB.

    16 MB on top, as above. Pages of the file that the system keeps are not the process's.
    """
    done = subprocess.run(
        [sys.executable, "-c", QUANTIZING, str(large), str(tmp_path / "packed")],
        capture_output=True, text=True, env={"PYTHONPATH": str(SRC)}, check=True,
    )  # fmt: skip
    growth = int(done.stdout)
    print(f"{growth / 1e6:.1f} MB")
    assert growth <= 5_800_000 + 1_600_000 + 16_000_000
