"""Weight files against the libraries that own their formats."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest
import torch
from gguf.quants import dequantize
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from llamas import SHAPES, prompts, random_llama, saved
from paddock.errors import CheckpointError
from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.inspect import inspect
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.verify import checked

TORCH = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# What a format cannot say, and therefore refuses: see docs/concepts/checkpoints.md.
CANNOT = {
    "meta": ("head_dim", "llama3", "linear"),
    "mindspore": ("head_dim", "llama3"),
    "gguf": (),
}


def weights(path: Path) -> dict[str, Array]:
    return {name: array.copy() for name, array in checked(open_checkpoint(path))}


def from_torch(tensor: torch.Tensor) -> Array:
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def logits(model: LlamaForCausalLM) -> torch.Tensor:
    (prompt,) = prompts((24,))
    with torch.inference_mode():
        return model(torch.tensor([prompt])).logits


@pytest.mark.parametrize("dtype", TORCH)
@pytest.mark.parametrize("shape", ["mha", "gqa", "tied", "head_dim"])
def test_reading_equals_the_state_dict(tmp_path: Path, shape: str, dtype: str) -> None:
    model = random_llama(shape).to(TORCH[dtype])
    model.save_pretrained(tmp_path)
    state = model.state_dict()
    checkpoint = open_checkpoint(tmp_path)
    config = checkpoint.config()
    assert config.dtype == dtype
    read = weights(tmp_path)
    assert read.keys() == config.shapes().keys()
    for name, array in read.items():
        expected = from_torch(state[to_theirs("hf", name)])
        assert array.dtype == expected.dtype
        assert array.tobytes() == expected.tobytes(), name


def test_shards_equal_one_file(tmp_path: Path) -> None:
    model = saved(tmp_path / "one", "gqa")
    model.save_pretrained(tmp_path / "many", max_shard_size="100KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    one, many = weights(tmp_path / "one"), weights(tmp_path / "many")
    assert one.keys() == many.keys()
    assert all(np.array_equal(one[name], many[name]) for name in one)


@pytest.mark.parametrize("to", CANNOT)
@pytest.mark.parametrize(
    ("shape", "dtype"), [*((shape, "bf16") for shape in SHAPES), ("gqa", "fp16"), ("tied", "fp32")]
)
def test_round_trip_is_bit_identical(tmp_path: Path, shape: str, to: str, dtype: str) -> None:
    random_llama(shape).to(TORCH[dtype]).save_pretrained(tmp_path / "hf")
    if shape in CANNOT[to]:
        with pytest.raises(CheckpointError, match=r"head size|cannot say"):
            convert(tmp_path / "hf", tmp_path / "there", to=to)
        assert [path.name for path in tmp_path.iterdir()] == ["hf"]
        return
    there = convert(tmp_path / "hf", tmp_path / "there", to=to)
    assert inspect(there).complete, inspect(there).problem
    back = convert(there, tmp_path / "back", to="hf")
    before, after = (
        load_file(tmp_path / "hf/model.safetensors"),
        load_file(back / "model.safetensors"),
    )
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert from_torch(tensor).tobytes() == from_torch(after[name]).tobytes(), name
    old, new = open_checkpoint(tmp_path / "hf").config(), open_checkpoint(back).config()
    free = {"max_seq_len": 0, "pad_id": None}  # not in params.json; MindFormers always has a pad
    assert {**old.to_dict(), **free} == {**new.to_dict(), **free}


@pytest.mark.parametrize(("shape", "shards"), [*((shape, 1) for shape in SHAPES), ("gqa", 3)])
def test_transformers_reads_what_is_written(tmp_path: Path, shape: str, shards: int) -> None:
    model = saved(tmp_path / "hf", shape)
    written = convert(tmp_path / "hf", tmp_path / "ours", to="hf", shards=shards)
    assert len(list(written.glob("*.safetensors"))) == shards
    again = AutoModelForCausalLM.from_pretrained(written, dtype=torch.float32)
    assert torch.equal(logits(model), logits(again))


@pytest.mark.parametrize("shape", ["mha", "gqa", "70b"])
def test_transformers_reads_the_gguf_file(tmp_path: Path, shape: str) -> None:
    """transformers reorders the rotary pairs with its own formula."""
    model = saved(tmp_path / "hf", shape)
    convert(tmp_path / "hf", tmp_path / "model.gguf", to="gguf")
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="model.gguf", dtype=torch.float32
    )
    assert torch.equal(logits(model), logits(again))


def test_gguf_library_reads_what_is_written(tmp_path: Path) -> None:
    model = saved(tmp_path / "hf", "gqa")
    state = {name: from_torch(tensor) for name, tensor in model.state_dict().items()}
    path = convert(tmp_path / "hf", tmp_path / "x.gguf", to="gguf", dtype="fp16")
    reader = gguf.GGUFReader(path)
    read = {tensor.name: tensor for tensor in reader.tensors}
    assert len(read) == len(state)
    up = read["blk.1.ffn_up.weight"]
    assert up.tensor_type == gguf.GGMLQuantizationType.F16
    assert np.array_equal(
        np.array(up.data), state["model.layers.1.mlp.up_proj.weight"].astype(np.float16)
    )
    assert read["output_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    assert reader.fields["llama.attention.head_count_kv"].contents() == 2
    assert reader.fields["general.file_type"].contents() == 1


@pytest.mark.parametrize("dtype", ["q8_0", "q4_0"])
def test_quantized_weights_equal_the_librarys(tmp_path: Path, dtype: str) -> None:
    saved(tmp_path / "hf", "gqa")
    path = convert(tmp_path / "hf", tmp_path / "x.gguf", to="gguf", dtype=dtype)
    ours = weights(path)
    for tensor in gguf.GGUFReader(path).tensors:
        expected = dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith("attn_q.weight"):
            expected = hf_order(expected, 8)
        if tensor.name.endswith("attn_k.weight"):
            expected = hf_order(expected, 2)
        name = next(name for name in ours if to_theirs("gguf", name) == tensor.name)
        assert np.array_equal(ours[name], expected), name
    original = weights(tmp_path / "hf")
    # Half a step of the block's largest number: 1/127 or 1/8 of it.
    name = "layers.0.feed_forward.w2.weight"
    limit = np.abs(original[name]).max() / (2 * 127 if dtype == "q8_0" else 8) * 1.01
    assert np.abs(ours[name] - original[name]).max() <= limit


def hf_order(w: Array, n_heads: int) -> Array:
    """transformers' convert_llama_weights_to_hf.permute, stated element by element."""
    rows = w.shape[0]
    head = rows // n_heads
    out = np.empty_like(w)
    for row in range(rows):
        number, inside = divmod(row, head)
        half, pair = divmod(inside, head // 2)
        out[row] = w[number * head + 2 * pair + half]
    return out


@pytest.mark.parametrize(("shape", "n_heads", "n_kv"), [("mha", 4, 4), ("gqa", 8, 2)])
@pytest.mark.parametrize("shards", [1, 2])
def test_meta_layout(tmp_path: Path, shape: str, n_heads: int, n_kv: int, shards: int) -> None:
    model = saved(tmp_path / "hf", shape)
    state = {name: from_torch(tensor) for name, tensor in model.state_dict().items()}
    folder = convert(tmp_path / "hf", tmp_path / "meta", to="meta", shards=shards)
    parts = [
        torch.load(folder / f"consolidated.{i:02d}.pth", weights_only=True) for i in range(shards)
    ]
    params = json.loads((folder / "params.json").read_text())
    assert params["n_kv_heads"] == n_kv
    merged = {
        "layers.0.attention.wq.weight": torch.cat(
            [p["layers.0.attention.wq.weight"] for p in parts], 0
        ),
        "layers.0.attention.wk.weight": torch.cat(
            [p["layers.0.attention.wk.weight"] for p in parts], 0
        ),
        "layers.1.attention.wo.weight": torch.cat(
            [p["layers.1.attention.wo.weight"] for p in parts], 1
        ),
        "tok_embeddings.weight": torch.cat([p["tok_embeddings.weight"] for p in parts], 1),
        "norm.weight": parts[-1]["norm.weight"],
    }
    for name, tensor in merged.items():
        array = from_torch(tensor)
        if name.endswith(("wq.weight", "wk.weight")):
            array = hf_order(array, n_heads if "wq" in name else n_kv)
        assert np.array_equal(array, state[to_theirs("hf", name)]), name


def test_tokenizer_survives_gguf(tmp_path: Path, small_model: Path) -> None:
    """tokenizer.model -> GGUF -> tokenizer.model encodes as sentencepiece does before and after."""
    import sentencepiece

    from tokenizer_corpus import lines

    saved(tmp_path / "hf", "gqa", vocab_size=640)
    (tmp_path / "hf/tokenizer.model").write_bytes(small_model.read_bytes())
    path = convert(tmp_path / "hf", tmp_path / "x.gguf", to="gguf")
    back = convert(path, tmp_path / "back", to="hf")
    before = sentencepiece.SentencePieceProcessor(str(small_model))
    after = sentencepiece.SentencePieceProcessor(str(back / "tokenizer.model"))
    assert after.GetPieceSize() == 640  # ids without a piece became unused ones
    for line in lines()[:300]:
        assert before.EncodeAsIds(line) == after.EncodeAsIds(line)


@pytest.mark.slow
def test_transformers_reads_the_gguf_tokenizer(tmp_path: Path, llama2_model: Path) -> None:
    from transformers import AutoTokenizer

    from paddock.inference.tokenizer.load import load_tokenizer

    saved(tmp_path / "hf", "gqa", vocab_size=32000, hidden_size=32, intermediate_size=32)
    (tmp_path / "hf/tokenizer.model").write_bytes(llama2_model.read_bytes())
    convert(tmp_path / "hf", tmp_path / "x.gguf", to="gguf")
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="x.gguf")
    ours = load_tokenizer(tmp_path / "x.gguf")
    for text in ("I love Beijing, because", "LLaMA is a", "def f(x):\n    return x", "我爱北京"):
        assert theirs(text)["input_ids"] == ours.encode(text, bos=True)
