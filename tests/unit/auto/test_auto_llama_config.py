from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import yaml

from paddock import AutoConfig, LlamaConfig, MindFormerConfig
from paddock.errors import UsageError
from paddock.inference.auto.keys import KEYS


def test_defaults_are_those_of_mindformers() -> None:
    config = LlamaConfig()
    assert (config.seq_length, config.hidden_size, config.num_layers) == (2048, 4096, 32)
    assert (config.top_k, config.top_p, config.do_sample, config.use_past) == (5, 1.0, True, False)
    assert (config.max_decode_length, config.compute_dtype) == (1024, "float16")
    assert config.max_length is None


def test_it_is_mutable_and_printable() -> None:
    config = LlamaConfig(num_layers=2)
    config.use_past = True
    config["seq_length"] = 64
    config.update({"top_k": 1}, top_p=0.5)
    shown = yaml.safe_load(str(config))
    assert (shown["num_layers"], shown["use_past"], shown["seq_length"]) == (2, True, 64)
    assert config.given == {"num_layers", "use_past", "seq_length", "top_k", "top_p"}
    twin = copy.deepcopy(config)
    twin.seq_length = 1
    assert (config.seq_length, twin.given) == (64, config.given)


def test_yaml_text_becomes_numbers() -> None:
    config = LlamaConfig(rms_norm_eps="1e-6", top_p=1, ffn_dim_multiplier=1.3, seq_length=64.0)
    assert (config.rms_norm_eps, config.seq_length) == (1e-6, 64)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_layer": 2}, "did you mean 'num_layers'"),
        ({"num_layers": "two"}, "num_layers is 'two'"),
        ({"num_layers": True}, "num_layers is True"),
        ({"use_past": "yes"}, "use_past"),
        ({"compute_dtype": "float8"}, "float16, bfloat16, float32"),
        ({"extend_method": "NKT"}, "did you mean 'NTK'"),
        ({"type": "GPT2Config"}, "GPT2Config"),
        ({"qkv_has_bias": True}, "qkv_has_bias"),
        ({"qkv_concat": True}, "qkv_concat"),
        ({"num_beams": 4}, "num_beams"),
        ({"pet_config": {"pet_type": "lora"}}, "pet_config"),
    ],
)
def test_what_cannot_be_honoured_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LlamaConfig(**values)
    config = LlamaConfig()
    ((name, value),) = values.items()
    with pytest.raises(UsageError, match=words):
        setattr(config, name, value)


def test_ignored_keys_are_named_in_one_warning_once() -> None:
    ignored = {name: key.default for name, key in KEYS.items() if key.fate == "ignored"}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        LlamaConfig(num_layers=2, **ignored)
        LlamaConfig(**ignored).offset = 0
    assert len(said) == 1
    assert all(name in str(said[0].message) for name in ignored)
    assert "num_layers" not in str(said[0].message)
    assert said[0].filename == __file__


@pytest.mark.parametrize("name", ["llama2_7b", "llama2_13b"])
def test_mindformers_own_files(shared_data: Path, name: str) -> None:
    (file,) = (shared_data / "mindformers").glob(f"*{name}*.yaml")
    with pytest.warns(UserWarning, match="pretrain_seqlen") as said:
        config = LlamaConfig(**MindFormerConfig(str(file)).model.model_config)
    assert len(said) == 1
    shape = config.to_model_config()
    expected = {"llama2_7b": (4096, 32, 11008), "llama2_13b": (5120, 40, 13824)}[name]
    assert (shape.dim, shape.n_layers, shape.hidden_dim) == expected
    # What ships under the name is the same file, without what means nothing here.
    shipped = AutoConfig.from_pretrained(name)
    assert {
        k: v for k, v in config.items() if KEYS[k].fate == "honoured" and k != "type"
    } == shipped


def test_70b_is_known_by_name() -> None:
    shape = AutoConfig.from_pretrained("llama2_70b").to_model_config()
    assert (shape.dim, shape.n_heads, shape.n_kv_heads, shape.hidden_dim) == (8192, 64, 8, 28672)


def test_save_and_load(tmp_path: Path) -> None:
    config = LlamaConfig(num_layers=2, checkpoint_name_or_path="x.ckpt")
    config.save_pretrained(str(tmp_path), "mine")
    assert AutoConfig.from_pretrained(str(tmp_path / "mine.yaml")) == {
        **config,
        "type": "LlamaConfig",
    }


@pytest.mark.parametrize(("method", "theta", "linear"), [("PI", 1e4, 4.0), ("NTK", 4e4, None)])
def test_extend_method(method: str, theta: float, linear: float | None) -> None:
    shape = LlamaConfig(extend_method=method, scaling_factor=4).to_model_config()
    assert shape.rope_theta == theta
    assert (shape.rope_scaling.factor if shape.rope_scaling else None) == linear
