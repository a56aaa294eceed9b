"""What the worker is told to build: wishes over the YAML file over the model's shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paddock.errors import CheckpointError, UsageError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.runtimes.mindspore import description
from paddock.inference.runtimes.mindspore.description import Description, Wishes, describe, read

CONFIG = ModelConfig(320, 64, 2, 8, 2, 160, 8, max_seq_len=8192, dtype="fp16")
STOCK = Path(__file__).parents[1] / "doctor" / "files" / "run_llama2_7b.v1.0.0.yaml"


def told(
    file: dict[str, Any] | None = None, context: dict[str, Any] | None = None, **wishes: Any
) -> Description:
    return describe(CONFIG, Wishes(**{"device": "cpu", **wishes}), file or {}, context or {})


def test_defaults_on_the_cpu() -> None:
    asked = told()
    values = asked.model_config
    assert (asked.target, asked.dtype, asked.context) == (
        "CPU",
        "fp32",
        {"mode": "graph", "device_target": "CPU"},
    )
    assert (asked.seq_length, asked.batch_size, asked.use_past) == (4096, 1, True)
    assert values["use_rope_slice"] is True and values["compute_dtype"] == "float32"
    assert values["pad_token_id"] == -1  # no token of a text is masked
    assert "type" not in values and asked.changed == ()


def test_the_file_goes_before_defaults_and_wishes_before_the_file() -> None:
    file = {"seq_length": 512, "batch_size": 3, "use_past": False, "use_flash_attention": True}
    asked = told(file, {"mode": 1, "max_device_memory": "58GB"})
    assert (asked.seq_length, asked.batch_size, asked.use_past) == (512, 3, False)
    assert asked.context["mode"] == "pynative" and "max_device_memory" not in asked.context
    assert asked.model_config["use_flash_attention"] is False
    assert asked.changed == ("use_flash_attention",)
    asked = told(file, {"mode": 1}, max_seq_len=64, max_batch=2, use_past=True, mode="graph")
    assert (asked.seq_length, asked.batch_size, asked.use_past) == (64, 2, True)
    assert asked.context["mode"] == "graph"
    assert told(file, values={"seq_length": 100}).seq_length == 100


def test_on_ascend_the_file_is_taken_as_it_is() -> None:
    model, context, whole = read(STOCK)
    assert whole["use_parallel"] is True
    asked = told(model, context, device="npu:2")
    assert asked.target == "Ascend" and asked.dtype == "fp16" and not asked.use_past
    assert asked.context["device_id"] == 2 and asked.context["max_device_memory"] == "28GB"
    assert asked.model_config["softmax_compute_type"] == "float16"
    assert asked.model_config["use_flash_attention"] is False
    assert "use_rope_slice" not in asked.model_config and "top_k" not in asked.model_config
    assert told(model, context, device="npu").context["device_id"] == 0
    assert told(model, context, device="npu", dtype="fp32").dtype == "fp32"


def test_auto_is_ascend_where_its_driver_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(description, "DAVINCI", tmp_path / "davinci_manager")
    assert told(device="auto").target == "CPU"
    (tmp_path / "davinci_manager").touch()
    assert told(device="auto").target == "Ascend"


def test_rotary_settings_of_a_file_stand_alone() -> None:
    scaled = ModelConfig(320, 64, 2, 8, 8, 160, 8, rope_theta=40000.0)
    values = describe(
        scaled, Wishes("cpu"), {"extend_method": "NTK", "scaling_factor": 4.0}, {}
    ).model_config
    # NTK's larger base is in rope_theta already; MindFormers multiplies by itself.
    assert "theta" not in values and values["scaling_factor"] == 4.0
    linear = ModelConfig(320, 64, 2, 8, 8, 160, 8, rope_scaling=RopeScaling("linear", 2.0))
    values = describe(linear, Wishes("cpu"), {}, {}).model_config
    assert (values["extend_method"], values["scaling_factor"]) == ("PI", 2.0)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(320, 64, 2, 8, 8, 160, 16),
        ModelConfig(320, 64, 2, 8, 8, 160, 8, rope_scaling=RopeScaling("llama3", 8.0)),
    ],
)
def test_a_model_that_mindformers_cannot_say_is_refused(config: ModelConfig) -> None:
    with pytest.raises(CheckpointError, match="MindFormers"):
        describe(config, Wishes("cpu"), {}, {})


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"dtype": "bf16"}, "bf16"),
        ({"mode": "eager"}, "mode is 'eager'"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"device": "npu:x"}, "device is 'npu:x'"),
        ({"max_seq_len": 8193}, "1 to 8192"),
    ],
)
def test_wishes_that_do_not_exist(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        told(**wish)


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(CheckpointError, match=r"broken\.yaml cannot be read"):
        read(broken)
    assert read(None) == ({}, {}, {})
