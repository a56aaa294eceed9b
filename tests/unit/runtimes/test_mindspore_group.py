"""Ranks of a divided model: what each is told, and one's end is the end of all."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from fake_worker import fake_python, next_token
from float64_llama import RandomCheckpoint
from paddock.errors import DeviceError, RuntimeLost, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.load import load_runtime
from paddock.inference.runtimes.mindspore import group
from paddock.inference.runtimes.mindspore.runtime import MindSporeRuntime

CONFIG = ModelConfig(64, 32, 1, 4, 2, 48, 8, max_seq_len=32, dtype="fp32")


def opened(folder: Path, way: str) -> MindSporeRuntime:
    (folder / "shards").mkdir()
    runtime = load_runtime(
        RandomCheckpoint(CONFIG),
        "mindspore",
        device="cpu",
        python=fake_python(folder, way),
        ranks=2,
        shards=folder / "shards",
    )
    assert isinstance(runtime, MindSporeRuntime)
    return runtime


def processes(way: str) -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if way in child.cmdline()]


def test_all_ranks_are_asked_and_rank_0_answers(tmp_path: Path) -> None:
    runtime = opened(tmp_path, "good@9")
    assert len(processes("good@9")) == 3  # two ranks and the scheduler
    assert Engine(runtime).run([Request([1, 5], max_new_tokens=2)]) == [
        [next_token([1, 5], 64), next_token([1, 5, next_token([1, 5], 64)], 64)]
    ]
    runtime.close()
    assert not processes("good@9")


@pytest.mark.parametrize("way", ["die@1", "raise@1"])
def test_one_rank_that_fails_in_a_step_ends_all(tmp_path: Path, way: str) -> None:
    runtime = opened(tmp_path, way)
    engine = Engine(runtime)
    engine.add(Request([1, 5], max_new_tokens=2))
    with pytest.raises(RuntimeLost, match=r"rank 1 ended with exit code 134|shapes differ"):
        engine.step()
    runtime.close()
    assert not processes(way)


def test_one_rank_that_cannot_open_is_an_error_of_opening(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot import MindFormers"):
        opened(tmp_path, "import@1")
    assert not processes("import@1")


def test_what_msrun_would_set() -> None:
    assert group.variables(3, 8, 8118, "10.0.0.1") == {
        "MS_ROLE": "MS_WORKER", "MS_NODE_ID": "3", "MS_WORKER_NUM": "8", "MS_SCHED_PORT": "8118",
        "MS_SCHED_HOST": "10.0.0.1", "MS_TOPO_TIMEOUT": "600",
        "RANK_ID": "3", "RANK_SIZE": "8", "DEVICE_ID": "3",
    }  # fmt: skip
    assert group.variables(None, 8, 8118)["MS_ROLE"] == "MS_SCHED"
    assert group.parallel_settings(8)["model"]["model_parallel"] == 8


def test_ranks_that_do_not_divide_the_model_are_refused() -> None:
    group.check_ranks(CONFIG, 2)
    with pytest.raises(
        UsageError, match=r"3 ranks cannot share 4 heads, 2 of them .*possible are 1, 2"
    ):
        group.check_ranks(CONFIG, 3)
    with pytest.raises(UsageError, match="rank_0, rank_1"):
        load_runtime(RandomCheckpoint(CONFIG), "mindspore", ranks=2, device="cpu")
