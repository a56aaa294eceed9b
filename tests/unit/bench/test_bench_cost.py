"""Bytes and operations: counted by hand, and compared with what the runtimes hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchkit import SHAPE

from paddock.bench import cost
from paddock.bench.cost import Cost, Storage
from paddock.bench.roofline import Ceiling
from paddock.bench.storage import of_gguf, of_runtime
from paddock.errors import UsageError
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.llm import LLM

LLAMA2_7B = replace(
    SHAPE, vocab_size=32000, dim=4096, n_layers=32, n_heads=32, n_kv_heads=32, hidden_dim=11008,
    head_dim=128, max_seq_len=4096, dtype="fp16",
)  # fmt: skip
INT4 = Storage("int4", "int8", "bf16", "fp32", "fp16")

# By hand: wq, wo of 64 x 64, wk, wv of 32 x 64, w1, w2, w3 of 96 x 64; a head; 7 norms of 64.
MATRICES, HEAD, NORMS = 3 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64), 100 * 64, 7 * 64


def test_weights_by_hand() -> None:
    plain = Storage(*["bf16"] * 5)
    assert cost.weight_bytes(SHAPE, plain) == 2 * (MATRICES + HEAD + NORMS + 64)
    wanted = MATRICES * 4.5 / 8 + HEAD * 8.5 / 8 + NORMS * 4 + 64 * 2
    assert cost.weight_bytes(SHAPE, INT4) == wanted
    assert cost.weight_bytes(SHAPE, INT4, tokens=5) == wanted + 4 * 64 * 2, "a row for each token"


def test_a_tied_head_is_read_whole() -> None:
    tied = replace(SHAPE, tie_embeddings=True)
    assert cost.weight_bytes(tied, INT4) == cost.weight_bytes(SHAPE, INT4)


def test_rows_that_do_not_divide_into_groups_are_not_packed() -> None:
    odd = replace(SHAPE, hidden_dim=100)
    w2 = 3 * 64 * 100
    rest = 3 * (2 * 64 * 64 + 2 * 32 * 64 + 2 * 100 * 64)
    wanted = rest * 4.5 / 8 + w2 * 2 + HEAD * 8.5 / 8 + NORMS * 4 + 64 * 2
    assert cost.weight_bytes(odd, INT4) == wanted


@pytest.mark.parametrize(
    ("kind", "bytes_each"), [("fp32", 4), ("fp16", 2), ("bf16", 2), ("fp8", 1), ("int8", 1.25)]
)
def test_cache_by_hand(kind: str, bytes_each: float) -> None:
    groups = (16, 32) if kind == "int8" else (0, 0)
    storage = Storage("int4", "int8", "bf16", "fp32", kind, *groups)
    assert cost.cache_bytes(SHAPE, storage, 10) == 2 * 3 * 2 * 16 * 10 * bytes_each


def test_llama2_7b() -> None:
    """The figures that people know: 6.7e9 weights, 0.5 MB of fp16 cache a token, 13.2 Gop."""
    one = cost.decode_step(LLAMA2_7B, INT4, 0)
    assert one.bytes == pytest.approx(6_476_005_376 * 4.5 / 8 + 131_072_000 * 8.5 / 8, rel=1e-3)
    assert one.operations == pytest.approx(2 * (6_476_005_376 + 131_072_000), rel=1e-3)
    assert cost.cache_bytes(LLAMA2_7B, INT4, 1) == 524_288
    long = cost.decode_step(LLAMA2_7B, INT4, 2048)
    assert long.bytes - one.bytes == 2048 * 524_288


def test_a_batch_reads_the_weights_once() -> None:
    one, eight = (cost.decode_step(LLAMA2_7B, INT4, 128, n) for n in (1, 8))
    assert eight.operations == 8 * one.operations
    assert eight.bytes - one.bytes == 7 * (128 * 524_288 + 4096 * 2)


def test_prefill_is_as_much_as_its_steps() -> None:
    """The operations of a prompt are those of its tokens one by one, but for the head."""
    whole = cost.prefill(SHAPE, INT4, 20)
    steps = sum((cost.decode_step(SHAPE, INT4, i) for i in range(20)), Cost(0, 0))
    assert whole.operations == steps.operations - 19 * 2 * HEAD
    assert whole.bytes == cost.weight_bytes(SHAPE, INT4, 20)


def test_bounds() -> None:
    # 1 GB/s, 10 Gop/s: the longer of reading and computing.
    assert Ceiling(1e9, 1e10).seconds(Cost(2e9, 1e9)) == 2
    assert Ceiling(1e9, 1e10).seconds(Cost(1e9, 4e10)) == 4
    assert Ceiling(1e9, None).seconds(Cost(1e9, 4e10)) == 1
    assert Ceiling(1e9, 1e10).total([Cost(1e9, 0), Cost(0, 2e10)]) == 3


@pytest.mark.parametrize("quant", [None, "int4", "int8"])
@pytest.mark.parametrize("kv", ["fp32", "fp16", "int8"])
def test_the_native_runtime_holds_what_is_counted(quant: str | None, kv: str) -> None:
    llm = LLM.open(runtime="native", quant=quant, kv=kv, max_seq_len=64, threads=1)
    try:
        storage = of_runtime(llm.runtime, llm.config)
        assert storage is not None
        assert storage.weights == (quant or "bf16")
        assert storage.cache == kv
        held = cost.held_bytes(llm.config, storage)
        assert held == llm.runtime.formats  # type: ignore[attr-defined]
        cached = llm.runtime._kept[1]  # type: ignore[attr-defined]
        scales = cached.scales.nbytes if cached.scales is not None else 0
        pages = llm.runtime.limits.n_pages * llm.runtime.limits.page_size
        assert cost.cache_bytes(llm.config, storage, pages) == cached.data.nbytes + scales
    finally:
        llm.close()


@pytest.mark.parametrize(("dtype", "kind"), [("q4_0", "int4"), ("q8_0", "int8"), ("bf16", "bf16")])
def test_gguf_files_hold_what_is_counted(tmp_path: Path, dtype: str, kind: str) -> None:
    from paddock import settings
    from paddock.inference.checkpoint import store

    path = convert(store.locate(None, settings.load()), tmp_path / "m.gguf", to="gguf", dtype=dtype)
    storage = of_gguf(path)
    assert storage is not None
    assert (storage.weights, storage.cache) == (kind, "fp16")
    checkpoint = open_checkpoint(path)
    tensors = sum(info.nbytes for info in checkpoint.infos())
    config = checkpoint.config()
    assert cost.weight_bytes(config, storage, config.vocab_size) == tensors


def test_no_such_type() -> None:
    with pytest.raises(UsageError, match="no storage type 'int3'; did you mean 'int"):
        Storage("int3", "int8", "bf16", "fp32", "fp16")
    with pytest.raises(UsageError, match="cache_group"):
        Storage("int4", "int8", "bf16", "fp32", "int8")
