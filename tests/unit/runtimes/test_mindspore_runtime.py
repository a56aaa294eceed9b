"""The MindSpore runtime over a worker without MindSpore: what it answers, and every way to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fake_worker import fake_python, next_token
from float64_llama import RandomCheckpoint
from paddock.errors import (
    DeviceError,
    DoesNotFit,
    GenerationError,
    NoProgram,
    PaddockError,
    RuntimeLost,
    TensorMismatch,
    UsageError,
)
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.base import Batch, SamplingParams, Work
from paddock.inference.runtimes.load import load_runtime
from paddock.inference.runtimes.mindspore import build, channel
from paddock.inference.runtimes.mindspore.runtime import MindSporeRuntime, Timeouts

CONFIG = ModelConfig(64, 32, 1, 2, 2, 48, 16, max_seq_len=32, dtype="fp32")
Opener = Callable[..., MindSporeRuntime]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens the runtime with a fake worker that behaves in a given way."""
    made: list[MindSporeRuntime] = []

    def open_it(way: str = "good", **options: object) -> MindSporeRuntime:
        chosen = {"device": "cpu", "python": fake_python(tmp_path, way), **options}
        runtime = load_runtime(RandomCheckpoint(CONFIG), "mindspore", **chosen)
        assert isinstance(runtime, MindSporeRuntime)
        made.append(runtime)
        return runtime

    yield open_it
    for one in made:
        one.close()


def expected(prompt: list[int], n: int) -> list[int]:
    text = list(prompt)
    for _ in range(n):
        text.append(next_token(text, CONFIG.vocab_size))
    return text[len(prompt) :]


PROMPTS = [[1, 5, 9], [1], [1, *range(3, 23)], [1, 0, 0, 4], [1, 30, 31]]


@pytest.mark.parametrize("use_past", [True, False])
@pytest.mark.parametrize("max_batch", [1, 3])
def test_requests_of_any_length_share_the_rectangle(
    opened: Opener, use_past: bool, max_batch: int
) -> None:
    runtime = opened(use_past=use_past, max_batch=max_batch)
    assert runtime.limits.max_batch == max_batch
    requests = [Request(p, max_new_tokens=3 + i) for i, p in enumerate(PROMPTS)]
    answers = Engine(runtime).run(requests)
    assert answers == [expected(p, 3 + i) for i, p in enumerate(PROMPTS)]


def test_the_request_may_say_use_past_false(opened: Opener) -> None:
    requests = [Request(p, max_new_tokens=4, use_past=i % 2 == 0) for i, p in enumerate(PROMPTS)]
    answers = Engine(opened(max_batch=2)).run(requests)
    assert answers == [expected(p, 4) for p in PROMPTS]


def test_logits_are_exposed(opened: Opener) -> None:
    runtime = opened(use_past=False)
    every = runtime.all_logits([1, 5, 9])
    assert every.shape == (3, 64)
    assert [int(row.argmax()) for row in every] == [
        next_token([1, 5, 9][: i + 1], 64) for i in range(3)
    ]
    batch = Batch((Work(0, [1, 5, 9], 0, (0,), SamplingParams()),))
    assert (runtime.logits(batch) == every[-1:]).all()
    with pytest.raises(GenerationError, match="use_past=False"):
        opened(use_past=True).all_logits([1])


def test_a_smaller_vocabulary_hides_the_last_rows(opened: Opener) -> None:
    runtime = opened(vocab_size=40)
    batch = Batch((Work(0, [1, 5], 0, (0,), SamplingParams()),))
    assert runtime.logits(batch).shape == (1, 40)


def test_closing_ends_the_worker_and_removes_its_folder(opened: Opener) -> None:
    runtime = opened()
    process, folder = psutil.Process(runtime._channel.pid), runtime.folder
    assert process.is_running() and folder.is_dir()
    assert not list(folder.glob("*.ckpt"))  # loaded, so it is gone
    runtime.close()
    runtime.close()
    assert not process.is_running() and not folder.exists()
    with pytest.raises(RuntimeLost, match="was closed"):
        runtime.step(Batch((Work(0, [1], 0, (0,), SamplingParams()),)))


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("die", "the MindSpore worker ended with exit code 134: Segmentation fault in some kernel"),
        ("hang", r"did not answer within 0\.5 s"),
        ("garbage", "bytes at once"),
        ("short", "which is no answer"),
        ("huge", "bytes at once"),
    ],
)
def test_a_lost_worker_is_an_error_of_its_step_and_of_every_later_one(
    opened: Opener, mode: str, message: str
) -> None:
    runtime = opened(mode, timeouts=Timeouts(first=0.5 if mode == "hang" else 60, step=60))
    process = psutil.Process(runtime._channel.pid)
    engine = Engine(runtime)
    number = engine.add(Request([1, 5], max_new_tokens=2))
    with pytest.raises(RuntimeLost, match=message):
        engine.step()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    with pytest.raises(RuntimeLost, match="open the model again"):
        engine.step()
    assert engine.cancel(number)


def test_what_the_worker_reports_ends_the_step_and_not_the_worker(opened: Opener) -> None:
    runtime = opened("raise")
    batch = Batch((Work(0, [1, 5], 0, (0,), SamplingParams()),))
    for _ in range(2):
        with pytest.raises(
            GenerationError, match="MindFormers failed in prefill: ValueError: shap"
        ) as told:
            runtime.step(batch)
        assert not isinstance(told.value, RuntimeLost)


def test_logits_of_another_shape_are_refused(opened: Opener) -> None:
    with pytest.raises(GenerationError, match=r"logits of \(2, 64\), not \(1, 64\)"):
        opened("rows").step(Batch((Work(0, [1, 5], 0, (0,), SamplingParams()),)))


@pytest.mark.parametrize(
    ("mode", "kind", "message"),
    [
        ("deaf", RuntimeLost, "ended with exit code 1: cannot start: no such library"),
        ("old", RuntimeLost, "speaks protocol 0, not 1"),
        ("mute", RuntimeLost, "did not answer within"),
        ("refuse", DeviceError, "^this cannot be$"),
        ("import", DeviceError, "cannot import MindFormers: No module named 'mindformers'.*guides"),
        ("missing", TensorMismatch, "no weights for 1 tensors, first lm_head.weight"),
    ],
)
def test_a_worker_that_cannot_start_or_open(
    opened: Opener,
    mode: str,
    kind: type[PaddockError],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(build.tempfile, "mkdtemp", lambda prefix: str(_made(tmp_path / "work")))
    if mode == "mute":
        monkeypatch.setattr(
            channel.Channel.__init__,
            "__kwdefaults__",
            {**channel.Channel.__init__.__kwdefaults__, "timeout": 0.3},
        )
    with pytest.raises(kind, match=message):
        opened(mode)
    assert not (tmp_path / "work").exists()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache": "paged"}, "cache is 'paged'"),
        ({"quant": "int4"}, "quant is 'int4', which the mindspore"),
        ({"kv": "fp16"}, "kv is 'fp16', which the mindspore"),
        ({"graphs": True}, "graphs is True, which the mindspore"),
        ({"dtype": "bf16"}, "bf16, which MindSpore does not have on CPUs"),
        ({"dtype": "fp8"}, "dtype is 'fp8'"),
        ({"mode": "grph"}, "did you mean 'graph'"),
        ({"device": "tpu"}, "device is 'tpu'; did you mean 'npu'"),
        ({"max_seq_len": 33}, "1 to 32 positions"),
    ],
)
def test_what_it_does_not_have_is_refused_by_name(
    opened: Opener, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        opened(**options)


def test_its_options_are_refused_by_the_others() -> None:
    with pytest.raises(UsageError, match=r"use_past is True, which the native .*mindspore"):
        load_runtime(RandomCheckpoint(CONFIG), "native", use_past=True)


def test_a_python_that_is_not_there(opened: Opener, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=f"there is no Python at {tmp_path}/bin/python"):
        opened(python=tmp_path)
    script = tmp_path / "python"
    script.write_text("no program")
    with pytest.raises((NoProgram, RuntimeLost), match="the MindSpore worker"):
        opened(python=script)


def test_memory_is_counted_before_anything_starts(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paddock.inference.checkpoint import memory

    monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
    with pytest.raises(DoesNotFit, match="weights in fp32"):
        opened()


def test_profiling_has_the_worker_write_its_files(opened: Opener, tmp_path: Path) -> None:
    with opened().profiled(tmp_path / "profile"):
        pass
    assert (tmp_path / "profile" / "profile.json").is_file()
    with (
        pytest.raises(DeviceError, match=r"mindspore\.Profiler failed: RuntimeError: no profiler"),
        opened("raise").profiled(tmp_path / "again"),
    ):
        pass
