from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

import paddock
from paddock.errors import DeviceError, ModelNotFound, UsageError
from paddock.inference.auto import context

YAML_CONTEXT = {
    "mode": 0,
    "device_target": "Ascend",
    "enable_graph_kernel": False,
    "graph_kernel_flags": "--disable_expand_ops=Softmax",
    "max_call_depth": 10000,
    "max_device_memory": "28GB",
    "save_graphs": False,
    "save_graphs_path": "./graph",
    "device_id": 0,
}


def no_npu() -> None:
    if Path("/dev/davinci_manager").exists():
        pytest.skip("this machine has an NPU; the test is about one that has none")


def test_an_absent_device_is_said_once_and_replaced() -> None:
    no_npu()
    paddock.set_context(mode=paddock.GRAPH_MODE, device_target="Ascend", device_id=3)
    with pytest.warns(UserWarning, match="npu:3 was asked for") as said:
        assert context.current_device() in ("cpu", "cuda")
        context.current_device()
    assert len(said) == 1


def test_strict_refuses_an_absent_device() -> None:
    no_npu()
    paddock.set_context(device_target="Ascend", strict=True)
    with pytest.raises(DeviceError):
        context.current_device()


def test_cpu_is_cpu_and_an_explicit_device_wins() -> None:
    paddock.set_context(device_target="CPU", device_id=5)
    assert context.current_device() == "cpu"
    assert context.current_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"device_target": "Ascent"}, "did you mean 'Ascend'"),
        ({"device_id": -1}, "device_id is -1"),
        ({"mode": 2}, "GRAPH_MODE"),
        ({"device_traget": "CPU"}, "did you mean 'device_target'"),
    ],
)
def test_wrong_values(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        paddock.set_context(**values)
    with pytest.raises(UsageError, match=words):
        paddock.init_context(context_config=values)


def test_init_context_takes_a_yaml_files_context_as_it_is() -> None:
    given = dict(YAML_CONTEXT)
    with pytest.warns(UserWarning, match="max_device_memory") as said:
        ranks = paddock.init_context(
            use_parallel=False, context_config=given, parallel_config={"parallel_mode": 1}
        )
    assert ranks == (0, 1)
    assert given == YAML_CONTEXT
    assert len(said) == 1
    assert "enable_graph_kernel" not in str(said[0].message)


def test_config_objects() -> None:
    made = paddock.ContextConfig(device_target="CPU", max_device_memory="1GB")
    parallel = paddock.ParallelContextConfig(parallel_mode=1, full_batch=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert paddock.init_context(False, made, parallel) == (0, 1)
    assert context.current_device() == "cpu"
    with pytest.raises(UsageError, match="did you mean 'save_graphs'"):
        paddock.ContextConfig(save_graph=True)
    with pytest.raises(UsageError, match="full_batch"):
        paddock.ParallelContextConfig(full_bach=True)
    with pytest.raises(UsageError, match="did you mean 'data_parallel'"):
        paddock.TransformerOpParallelConfig(data_paralel=2)
    split = paddock.TransformerOpParallelConfig(data_parallel=2, model_parallel=8)
    assert (split.data_parallel, split.model_parallel, split.vocab_emb_dp) == (2, 8, True)


def test_use_parallel_names_the_real_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="single process: no launcher has set RANK_ID") as caught:
        paddock.init_context(use_parallel=True)
    assert "set use_parallel: False" in str(caught.value)
    monkeypatch.setenv("RANK_ID", "3")
    monkeypatch.setenv("RANK_SIZE", "8")
    assert paddock.get_real_rank() == 3
    with pytest.raises(UsageError, match="one of 8 processes"):
        paddock.init_context(use_parallel=True)
    monkeypatch.setenv("RANK_SIZE", "eight")
    with pytest.raises(UsageError, match="RANK_SIZE is 'eight'"):
        paddock.get_real_rank()


def test_tools(tmp_path: Path) -> None:
    assert paddock.get_real_rank() == 0
    assert (paddock.str2bool("True"), paddock.str2bool("false")) == (True, False)
    with pytest.raises(UsageError, match="yes"):
        paddock.str2bool("yes")
    assert paddock.get_last_checkpoint(tmp_path) is None
    for age, name in enumerate(("new.ckpt", "old.ckpt", "older.txt")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert paddock.get_last_checkpoint(str(tmp_path)) == str(tmp_path / "new.ckpt")
    with pytest.raises(ModelNotFound, match="rank_0"):
        paddock.get_last_checkpoint(tmp_path / "rank_9")
