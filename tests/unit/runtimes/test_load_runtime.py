"""Which runtime serves: the native one on CPUs, torch elsewhere and where the native one cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from float64_llama import RandomCheckpoint
from paddock.errors import DeviceError, MissingExtra, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes import load
from paddock.inference.runtimes.load import choose_runtime, load_runtime
from paddock.inference.runtimes.native import build, library

CONFIG = ModelConfig(64, 32, 1, 2, 2, 48, 16, max_seq_len=32, dtype="fp32")
BUILT = library.unavailable() is None
needs_library = pytest.mark.skipif(not BUILT, reason=str(library.unavailable()))


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_ACCELERATORS", ())
    monkeypatch.setattr(load, "_said", set())


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch, no_accelerator: None) -> None:
    monkeypatch.setattr(build.library, "unavailable", lambda: "it was not built")


@needs_library
def test_a_cpu_runs_the_native_runtime(no_accelerator: None) -> None:
    assert choose_runtime(CONFIG) == "native"
    assert choose_runtime(CONFIG, device="cpu") == "native"
    assert choose_runtime(CONFIG, "torch", "cpu") == "torch"
    assert choose_runtime(CONFIG, device="cuda:1") == "torch"
    assert choose_runtime(CONFIG, device="npu") == "torch"


def test_without_the_library_torch_serves_and_that_is_said_once(no_library: None) -> None:
    with pytest.warns(UserWarning, match="torch runs the model, slower: .* it was not built"):
        assert choose_runtime(CONFIG) == "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_runtime(CONFIG) == "torch"


def test_without_both_the_error_says_what_to_install(
    no_library: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_has_torch", lambda: False)
    with pytest.raises(DeviceError, match=r"not built; and torch is not installed.*compiler"):
        choose_runtime(CONFIG)
    with pytest.raises(MissingExtra, match="torch"):
        choose_runtime(CONFIG, "torch")
    with pytest.raises(MissingExtra, match="torch"):
        choose_runtime(CONFIG, device="cuda")


@needs_library
def test_a_model_that_the_library_cannot_hold_is_left_to_torch(no_accelerator: None) -> None:
    wide = replace(CONFIG, head_dim=1024)
    with pytest.warns(UserWarning, match="heads have 1024 dimensions"):
        assert choose_runtime(wide) == "torch"
    with pytest.raises(DeviceError, match="heads have 1024 dimensions"):
        load_runtime(RandomCheckpoint(wide), "native")


@needs_library
def test_options_of_the_other_runtime_are_refused_by_name(no_accelerator: None) -> None:
    checkpoint = RandomCheckpoint(CONFIG)
    with pytest.raises(UsageError, match="kv is 'fp16', which the torch"):
        load_runtime(checkpoint, "torch", kv="fp16")
    with pytest.raises(UsageError, match="graphs is True, which the native"):
        load_runtime(checkpoint, graphs=True)
    with pytest.raises(UsageError, match="fp8"):
        load_runtime(checkpoint, quant="fp8")
    with pytest.raises(UsageError, match="did you mean 'int"):
        load_runtime(checkpoint, quant="int5")
    with pytest.raises(UsageError, match="did you mean 'native'"):
        load_runtime(checkpoint, "naitve")


@needs_library
@pytest.mark.parametrize("runtime", ["native", "torch"])
@pytest.mark.parametrize("quant", [None, "int8"])
def test_what_is_loaded_runs(runtime: str, quant: str | None, no_accelerator: None) -> None:
    loaded = load_runtime(
        RandomCheckpoint(CONFIG), runtime, quant=quant, device="cpu", kv=None, max_batch=2
    )
    assert loaded.limits.max_batch == 2
    assert type(loaded).__name__ == {"native": "NativeRuntime", "torch": "TorchRuntime"}[runtime]
    loaded.close()


def test_a_torch_that_a_backend_breaks_is_a_clear_error(tmp_path: Path) -> None:
    """What torch_npu does to ``import torch`` where there is no CANN."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(
        "try:\n    raise OSError('libhccl.so: cannot open shared object file')\n"
        "except OSError as error:\n    raise RuntimeError('Failed to load torch_npu') from error\n"
    )
    program = "from paddock.inference.runtimes.load import _import_torch; _import_torch()"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "DeviceError: torch cannot be imported: libhccl.so: cannot open" in last
    assert "TORCH_DEVICE_BACKEND_AUTOLOAD=0" in last
