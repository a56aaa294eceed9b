"""A tiny random Llama with its own tokenizer, in Hugging Face's layout and in MindFormers'."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from autotiny import GOLDEN, ROOT, Tiny

from paddock.inference.auto import context, notice


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts as a process would: nothing said, no device chosen, an empty store."""
    notice.forget()
    monkeypatch.setattr(context, "_wish", context._Wish())
    monkeypatch.setenv("PADDOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PADDOCK_OFFLINE", "1")
    for name in ("RANK_ID", "RANK_SIZE", "CHECKPOINT_DOWNLOAD_FOLDER", "PADDOCK_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    import torch

    from llamas import saved
    from paddock.inference.checkpoint.convert import convert

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("tiny")
    hf, mf = root / "hf", root / "mf"
    model = saved(hf, "gqa")
    shutil.copy(GOLDEN / "tokenizer.model", hf)
    convert(hf, mf, to="mindspore")
    shutil.copytree(mf, root / "converted")
    convert(hf, root / "tiny.gguf", to="gguf")
    (ckpt,) = mf.glob("*.ckpt")
    keys = {
        "type": "LlamaConfig",
        "batch_size": 1,
        "seq_length": 128,
        "hidden_size": 64,
        "num_layers": 2,
        "num_heads": 8,
        "n_kv_heads": 2,
        "vocab_size": 320,
        "intermediate_size": 160,
        "rms_norm_eps": "1e-5",
        "compute_dtype": "float32",
        "offset": 0,
        "use_flash_attention": False,
        "checkpoint_name_or_path": str(ckpt),
        "max_decode_length": 40,
        "top_k": 3,
        "top_p": 1,
        "do_sample": False,
        "eos_token_id": 2,
    }
    for old in mf.glob("*.yaml"):
        old.unlink()
    written = mf / "tiny.yaml"
    written.write_text(
        yaml.safe_dump(
            {
                "use_parallel": False,
                "model": {"model_config": keys, "arch": {"type": "LlamaForCausalLM"}},
            }
        )
    )
    return Tiny(
        hf,
        mf,
        root / "converted",
        ckpt,
        root / "tiny.gguf",
        written,
        hf / "tokenizer.model",
        model,
        keys,
    )


@pytest.fixture
def shared_data() -> Path:
    """Files of MindFormers and Meta that do not travel with the source."""
    for parent in ROOT.parents:
        if (parent / "shared" / "data").is_dir():
            return parent / "shared" / "data"
    pytest.skip("no shared/data beside the checkout: MindFormers' own YAML files are not here")
