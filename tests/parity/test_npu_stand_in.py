"""The way to an NPU without one: a device in PyTorch's PrivateUse1 slot, as torch_npu makes it.

Proves that nothing in a step is hard-wired to the CPU or to CUDA, that the fused operations are
called as they are documented, and which dtypes a chip is given. The chip itself is not proven.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamas import saved
from paddock.errors import DeviceError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.torch.build import build
from paddock.inference.runtimes.torch.devices import Device, npu_dtypes

PROGRAM = Path(__file__).parents[1] / "npu_stand_in.py"
PROMPTS = [[1, *range(7, 7 + 9 * n, 9)] for n in (4, 16, 8)]
CONFIG = ModelConfig(100, 8, 2, 2, 2, 16, 4)


def on_npu(folder: Path, dtype: str, chip: str) -> Any:
    # A process of its own: the slot can be taken once.
    words = [sys.executable, "-W", "ignore", str(PROGRAM), str(folder), dtype, chip]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_step_is_the_devices_own_and_the_same(tmp_path: Path) -> None:
    saved(tmp_path, "gqa")
    found = on_npu(tmp_path, "fp32", "Ascend910B2")
    alone = build(open_checkpoint(tmp_path), device="cpu", dtype="fp32", max_seq_len=128)
    theirs = alone.all_logits(PROMPTS[1]).numpy()
    assert abs(np.array(found["logits"]) - theirs).max() <= 1e-4
    greedy = Engine(alone).run([Request(prompt, max_new_tokens=12) for prompt in PROMPTS])
    for answers in found["answers"].values():
        assert answers[: len(PROMPTS)] == greedy
    assert found["fused"] == ["npu_incre_flash_attention", "npu_rms_norm", "npu_rotary_mul"]


@pytest.mark.parametrize(
    ("chip", "dtypes"),
    [
        ("Ascend310P3", ("fp16",)),
        ("Ascend310B4", ("fp16",)),
        ("Ascend910A", ("fp16", "fp32")),
        ("Ascend910ProB", ("fp16", "fp32")),
        ("Ascend910B", ("fp16", "fp32")),
        ("Ascend910B4", ("bf16", "fp16", "fp32")),
        ("Ascend910_9392", ("bf16", "fp16", "fp32")),
    ],
)
def test_dtypes_of_a_chip(chip: str, dtypes: tuple[str, ...]) -> None:
    assert npu_dtypes(chip) == dtypes
    device = Device("npu", None, dtypes, 1 << 40)  # type: ignore[arg-type]
    for dtype in ("bf16", "fp16", "fp32"):
        if dtype in dtypes:
            assert device.choose_dtype(dtype, CONFIG, 1 << 40) == dtype
        else:
            with pytest.raises(DeviceError, match=f"this NPU has no {dtype} kernels"):
                device.choose_dtype(dtype, CONFIG, 1 << 40)
    stored = replace(CONFIG, dtype="bf16")
    assert device.choose_dtype("auto", stored, 1 << 40) in dtypes
