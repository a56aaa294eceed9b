"""Configurations of every format, as data: what they give, or the words of their refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_checkpoints import CONFIG

from paddock.errors import CheckpointError
from paddock.inference.checkpoint import configs
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.checkpoint.configs.gguf import rope_factors

CASES = json.loads((Path(__file__).parent / "data/configs.json").read_text())
READERS = {
    "hf": configs.from_hf,
    "meta": configs.from_meta,
    "mindformers": configs.from_mindformers,
    "gguf": configs.from_gguf,
}
LLAMA3 = RopeScaling("llama3", 8.0)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    if "says" in case:
        with pytest.raises(CheckpointError) as caught:
            READERS[case["from"]](case["values"])
        assert case["says"] in str(caught.value)
        return
    config = json.loads(json.dumps(READERS[case["from"]](case["values"]).to_dict()))
    assert {key: config[key] for key in case["gives"]} == case["gives"]


SIZES = [(32, 64, 4), (64, 172, 8), (4096, 11008, 32), (5120, 13824, 40), (8192, 28672, 64),
         (4096, 14336, 32), (2048, 8192, 32), (288, 768, 6), (32, 1, 4), (32, 7, 4)]  # fmt: skip


@pytest.mark.parametrize(("dim", "hidden_dim", "n_heads"), SIZES)
@pytest.mark.parametrize("scaling", [None, RopeScaling("linear", 2.0), LLAMA3])
def test_there_and_back(
    dim: int, hidden_dim: int, n_heads: int, scaling: RopeScaling | None
) -> None:
    config = replace(
        CONFIG, dim=dim, hidden_dim=hidden_dim, n_heads=n_heads, n_kv_heads=n_heads // 2,
        head_dim=dim // n_heads, rope_scaling=scaling, rope_theta=50000.0, pad_id=0,
        max_seq_len=4096 if scaling != LLAMA3 else 131072,
    )  # fmt: skip
    assert configs.from_hf(json.loads(json.dumps(configs.to_hf(config)))) == config
    metadata: dict[str, Any] = {"general.architecture": "llama", **configs.to_gguf(config)}
    factors = rope_factors(LLAMA3, 50000.0, config.head_dim) if scaling == LLAMA3 else None
    if factors is None or max(factors) > 1:  # a head too small to have slow pairs
        assert configs.from_gguf(metadata, rope_factors=factors) == config
    if scaling is None or scaling == LLAMA3:
        values = json.loads(json.dumps(configs.to_meta(config)))
        assert replace(configs.from_meta(values), pad_id=0) == config
    if scaling != LLAMA3:
        text = yaml.safe_dump(configs.to_mindformers(config))
        assert configs.from_mindformers(yaml.safe_load(text)) == config


def test_what_a_format_cannot_say_is_refused() -> None:
    wide = replace(CONFIG, head_dim=16)
    for write in (configs.to_meta, configs.to_mindformers):
        with pytest.raises(CheckpointError, match="head size"):
            write(wide)
    ntk = replace(CONFIG, rope_scaling=RopeScaling("ntk", 2.0))
    for write in (configs.to_hf, configs.to_meta, configs.to_mindformers, configs.to_gguf):
        with pytest.raises(CheckpointError, match="ntk"):
            write(ntk)


def test_rotary_factors_of_another_rule_are_refused() -> None:
    metadata = {"general.architecture": "llama", **configs.to_gguf(CONFIG)}
    with pytest.raises(CheckpointError, match=r"not Llama 3\.1's rule"):
        configs.from_gguf(metadata, rope_factors=[1.0, 2.0, 3.0, 4.0])


def test_mindformers_own_files(shared_dir: Path) -> None:
    found = sorted((shared_dir / "data/mindformers").glob("*.yaml"))
    if not found:
        pytest.skip("MindFormers' YAML files are not in shared/data/mindformers")
    sizes: dict[str, tuple[int, int]] = {}
    for path in found:
        values = yaml.safe_load(path.read_text())["model"]["model_config"]
        config = configs.from_mindformers(values)
        sizes[path.name.split(".")[0]] = (config.hidden_dim, config.n_params())
    assert sizes["run_llama2_7b"] == (11008, 6_738_415_616)
    assert sizes["run_llama2_13b"] == (13824, 13_015_864_320)


def test_numbers_of_parameters() -> None:
    """Published: 6,738,415,616 weights in Llama 2 7B."""
    config = ModelConfig(32000, 4096, 32, 32, 32, 11008, 128)
    assert config.n_params() == 6_738_415_616
