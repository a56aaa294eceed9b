"""The MindSpore runtime with MindFormers itself, on MindSpore's CPU target.

Held against transformers and against our native runtime, and what is converted for and from it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml
from transformers import LlamaForCausalLM

from llamas import is_greedy, prompts, saved
from mindspore_env import PROGRAMS, run_there
from paddock import AutoModel
from paddock.errors import DeviceError, RuntimeLost
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.llm import LLM, GenerationParams
from paddock.inference.runtimes.load import load_runtime
from paddock.inference.runtimes.mindspore.runtime import MindSporeRuntime
from serverkit import serving

pytestmark = pytest.mark.mindspore

SAVE = PROGRAMS / "save.py"
PROMPTS = [
    *prompts((5, 17, 1)),
    [1, 0, 7, 0],
]  # 0 is MindFormers' padding, and a token all the same
NEW = 30
LENGTH = 64


@pytest.fixture(scope="module", params=["mha", "gqa"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LlamaForCausalLM, Path]:
    """transformers' model and its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    return saved(folder, request.param), folder


def opened(source: Path, mindspore_python: Path, **options: Any) -> MindSporeRuntime:
    runtime = load_runtime(
        open_checkpoint(source),
        "mindspore",
        device="cpu",
        python=mindspore_python,
        **{"max_seq_len": LENGTH, "max_batch": 2, **options},
    )
    assert isinstance(runtime, MindSporeRuntime)
    return runtime


def answers(runtime: Any) -> list[list[int]]:
    return Engine(runtime).run([Request(p, max_new_tokens=NEW) for p in PROMPTS])


@pytest.mark.parametrize("use_past", [True, False])
def test_mindformers_answers_as_transformers_and_as_we_do(
    pair: tuple[LlamaForCausalLM, Path], mindspore_python: Path, use_past: bool, tmp_path: Path
) -> None:
    model, folder = pair
    source = folder
    if use_past:  # a .ckpt that MindFormers reads itself; else the weights are handed over
        source = convert(folder, tmp_path / "converted", to="mindspore")
    runtime = opened(source, mindspore_python, use_past=use_past)
    try:
        given = answers(runtime)
        for prompt, answer in zip(PROMPTS, given, strict=True):
            assert len(answer) == NEW and is_greedy(model, prompt, answer)
        ours = load_runtime(open_checkpoint(folder), "native", dtype="fp32", max_seq_len=LENGTH)
        assert given == answers(ours)
        ours.close()
        if not use_past:
            with torch.no_grad():
                theirs = model(torch.tensor([PROMPTS[1]])).logits[0].numpy()
            assert np.abs(runtime.all_logits(PROMPTS[1]) - theirs).max() < 1e-4
    finally:
        runtime.close()


def test_what_mindspore_saves_converts_back_exactly(
    pair: tuple[LlamaForCausalLM, Path], mindspore_python: Path, tmp_path: Path
) -> None:
    _, folder = pair
    source = convert(folder, tmp_path / "converted", to="mindspore")
    described = next(source.glob("*.yaml"))
    values = yaml.safe_load(described.read_text())
    values["model"]["model_config"].update(
        checkpoint_name_or_path=str(next(source.glob("*.ckpt"))), use_past=False
    )
    described.write_text(yaml.safe_dump(values))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    run_there(mindspore_python, SAVE, tmp_path, str(described), str(theirs / "theirs.ckpt"))
    shutil.copy(described, theirs / "theirs.yaml")
    back = convert(theirs, tmp_path / "back", to="hf")
    before, after = (dict(open_checkpoint(path).tensors()) for path in (folder, back))
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert np.array_equal(array, after[name]), name


@pytest.mark.parametrize("mode", ["graph", "pynative"])
def test_the_built_in_model_says_the_same(mindspore_python: Path, mode: str) -> None:
    questions = ["I love Beijing, because", "LLaMA is a", "Huawei is a company that"]
    params = GenerationParams(max_new_tokens=NEW)
    ours = LLM.open(runtime="native", dtype="fp32", max_seq_len=128)
    theirs = LLM.open(
        runtime="mindspore",
        python=mindspore_python,
        device="cpu",
        mode=mode,
        max_seq_len=128,
        max_batch=3,
    )
    assert isinstance(theirs.runtime, MindSporeRuntime)
    assert theirs.runtime.told.mode == mode
    texts = [[c.text for c in llm.generate(questions, params)] for llm in (ours, theirs)]
    ours.close()
    theirs.close()
    assert texts[0] == texts[1]


def test_automodel_takes_it_as_a_runtime_and_loads_it_again_after_a_death(
    mindspore_python: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PADDOCK_MINDSPORE_PYTHON", str(mindspore_python))
    keys = {"use_past": True, "seq_length": 64}
    model = AutoModel.from_pretrained("demo", runtime="mindspore", device="cpu", **keys)
    plain = AutoModel.from_pretrained("demo", device="cpu", dtype="fp32", **keys)
    ids = [[1, 300, 301], [1, 40]]
    wanted = [row.tolist() for row in plain.generate(ids, max_length=12)]
    assert [row.tolist() for row in model.generate(ids, max_length=12)] == wanted
    runtime = model.runtime
    assert isinstance(runtime, MindSporeRuntime)
    psutil.Process(runtime._channel.pid).kill()
    with pytest.raises(RuntimeLost, match="SIGKILL"):
        model.generate(ids, max_length=12)
    assert [row.tolist() for row in model.generate(ids, max_length=12)] == wanted
    model.close()


def test_mindspores_profiler_leaves_files_for_mindinsight(
    mindspore_python: Path, tmp_path: Path
) -> None:
    from paddock.bench.profile import mindspore_folder, profile

    llm = LLM.open(runtime="mindspore", python=mindspore_python, device="cpu", max_seq_len=32)
    out = tmp_path / "trace.json"
    assert profile(llm, "LLaMA is a", GenerationParams(max_new_tokens=3), out) > 3
    llm.close()
    assert out.is_file()
    written = [path for path in mindspore_folder(out).rglob("*") if path.is_file()]
    assert any(path.name == "trace_view.json" for path in written)


def test_two_ranks_find_each_other_and_mindspore_refuses_the_cpu(
    pair: tuple[LlamaForCausalLM, Path], mindspore_python: Path, tmp_path: Path
) -> None:
    _, folder = pair
    with pytest.raises(DeviceError, match="Invalid backend: CPU"):
        opened(folder, mindspore_python, ranks=2, shards=tmp_path)


def test_the_server_answers_and_replaces_a_killed_worker(mindspore_python: Path) -> None:
    options = ("--runtime", "mindspore", "--mindspore-python", str(mindspore_python))
    with serving(*options, "--device", "cpu", "--max-seq-len", "64", "--max-batch", "2") as server:
        body = {"model": "demo", "prompt": "LLaMA is a", "max_tokens": 8, "temperature": 0}
        first = server.post("/v1/completions", body)
        assert first.status_code == 200, first.text
        children = psutil.Process(server.process.pid).children(recursive=True)
        next(p for p in children if any("worker.py" in word for word in p.cmdline())).kill()
        assert server.post("/v1/completions", body).status_code == 503
        server.wait_for("the worker died")
        for _ in range(600):
            again = server.post("/v1/completions", body)
            if again.status_code == 200:
                break
            time.sleep(0.2)
        assert again.json()["choices"] == first.json()["choices"]
