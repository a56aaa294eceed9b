"""Several ranks against one, and one against transformers: real processes, gloo, this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_ranks import turn
from llamas import is_greedy, prompts, saved
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.parts import Split
from paddock.inference.checkpoint.quantize_files import quantize_files
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.load import load_runtime
from paddock.inference.runtimes.ranks.group import GroupRuntime

PROMPTS = list(prompts((5, 17, 33, 2), vocab=318))
REQUESTS = [Request(prompt, max_new_tokens=40) for prompt in PROMPTS]


@contextmanager
def ranks(folder: Path, **options: Any) -> Iterator[GroupRuntime]:
    common = {"device": "cpu", "dtype": "fp32", "threads": 1, "cache": "paged"}
    runtime = load_runtime(open_checkpoint(folder), "torch", **{**common, **options})
    try:
        assert isinstance(runtime, GroupRuntime)
        yield runtime
    finally:
        runtime.close()


def logits(runtime: GroupRuntime, tokens: list[int]) -> np.ndarray:
    rows, data = runtime.logits(tokens)
    return np.frombuffer(data, np.float32).reshape(rows, -1)


def one_rank(folder: Path, **options: Any) -> Any:
    common = {"device": "cpu", "dtype": "fp32", "cache": "paged"}
    return load_runtime(open_checkpoint(folder), "torch", **{**common, **options})


def agree(folder: Path, **split: int) -> tuple[list[list[int]], list[Any]]:
    """Logits to 1e-4 and the same greedy text as one rank; the text, and the ranks' reports."""
    alone = one_rank(folder)
    with ranks(folder, **split) as runtime:
        for prompt in PROMPTS:
            theirs = alone.all_logits(prompt).numpy()
            assert abs(logits(runtime, prompt) - theirs).max() <= 1e-4
        answers = Engine(runtime).run(REQUESTS)
        assert answers == Engine(alone).run(REQUESTS)
        return answers, list(runtime.reports.values())


def test_two_ranks_are_one_and_are_transformers(tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa")
    answers, reports = agree(tmp_path, tp=2)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        assert is_greedy(model, prompt, answer)
    whole = sum(array.nbytes for _, array in open_checkpoint(tmp_path).tensors())
    tables = 2 * 512 * 8 * 4  # the rotary tables, which every rank has
    assert all(report.weight_bytes <= 0.52 * whole + tables for report in reports)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("shape", "split", "changes"),
    [
        ("mha", {"tp": 4}, {"vocab_size": 319}),
        ("llama3", {"pp": 2}, {}),
        ("tied", {"tp": 2, "pp": 2}, {}),
        ("head_dim", {"pp": 4}, {"num_hidden_layers": 5}),
    ],
    ids=lambda value: str(value),
)
def test_as_many_ranks_as_there_are(
    shape: str, split: dict[str, int], changes: dict[str, Any], tmp_path: Path
) -> None:
    saved(tmp_path, shape, **changes)
    agree(tmp_path, **split)


@pytest.mark.e2e
def test_packed_weights_over_two_by_two(tmp_path: Path) -> None:
    saved(tmp_path / "hf", "mha", intermediate_size=192)
    folder = quantize_files(tmp_path / "hf", tmp_path / "packed", bits=4)
    agree(folder, tp=2, pp=2)
    # Quantized while they are loaded, each rank its own part. (Not against the packed files: those
    # keep the embedding in bf16.)
    alone = one_rank(tmp_path / "hf", quant="int4")
    with ranks(tmp_path / "hf", tp=2, quant="int4") as runtime:
        theirs = alone.all_logits(PROMPTS[1]).numpy()
        assert abs(logits(runtime, PROMPTS[1]) - theirs).max() <= 1e-4


@pytest.mark.e2e
@pytest.mark.slow
def test_memory_of_a_rank(tmp_path: Path) -> None:
    """A rank of two keeps and reads little more than half of what one alone does."""
    saved(
        tmp_path, "mha", hidden_size=1024, intermediate_size=2816, num_hidden_layers=8,
        vocab_size=8000, num_attention_heads=16, num_key_value_heads=16,
    )  # fmt: skip
    (alone,), both = (turn(tmp_path, Split(tp), threads=2) for tp in (1, 2))
    loaded = alone.peak_bytes - alone.before_bytes
    for report in both:
        assert report.weight_bytes <= 0.55 * alone.weight_bytes
        assert report.peak_bytes - report.before_bytes <= 0.6 * loaded
