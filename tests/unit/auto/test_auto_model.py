"""Generation for real, against transformers on the same weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from autotiny import Tiny

from paddock import (
    AutoConfig,
    AutoModel,
    LlamaConfig,
    LlamaForCausalLM,
    MindFormerConfig,
    Model,
    Tensor,
    int32,
    load_checkpoint,
    load_param_into_net,
)
from paddock.errors import (
    CheckpointError,
    GenerationError,
    ModelNotFound,
    PromptTooLong,
    TensorMismatch,
    UsageError,
)
from paddock.inference.runtimes.native import library

PROMPTS = [[1, 5, 9, 200], [1, 40], [1, 7, 7, 31, 8, 100]]


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> LlamaForCausalLM:
    return AutoModel.from_config(str(tiny.yaml), use_past=True, eos_token_id=319)


def test_one_prompt_gives_a_list_of_one_int32_array(tiny: Tiny, model: LlamaForCausalLM) -> None:
    outputs = model.generate(PROMPTS[0], max_new_tokens=20, do_sample=False)
    assert isinstance(outputs, list) and len(outputs) == 1
    assert outputs[0].dtype == np.int32
    assert outputs[0].tolist() == [*PROMPTS[0], *tiny.greedy(PROMPTS[0], 20)]


def test_a_padded_batch_ends_at_one_length(tiny: Tiny, model: LlamaForCausalLM) -> None:
    padded = [[*prompt, *[0] * (8 - len(prompt))] for prompt in PROMPTS]
    for given in (padded, np.array(padded), Tensor(padded, int32), PROMPTS):
        outputs = model.generate(given, max_length=20, do_sample=False)
        assert [row.tolist() for row in outputs] == [
            [*prompt, *tiny.greedy(prompt, 20 - len(prompt))] for prompt in PROMPTS
        ]


def test_the_slow_path_gives_the_same(model: LlamaForCausalLM) -> None:
    fast = model.generate(PROMPTS, max_length=24)
    slow = model.generate(PROMPTS, max_length=24, use_past=False)
    assert [row.tolist() for row in fast] == [row.tolist() for row in slow]


def test_an_end_token_ends_and_is_returned(tiny: Tiny, model: LlamaForCausalLM) -> None:
    answer = tiny.greedy(PROMPTS[0], 20)
    end = answer[6]
    (output,) = model.generate(PROMPTS[0], max_new_tokens=20, eos_token_id=end)
    assert output.tolist() == [*PROMPTS[0], *answer[: answer.index(end) + 1]]


def test_sampling_follows_its_seed_and_top_k_one_is_greedy(model: LlamaForCausalLM) -> None:
    def run(**given: Any) -> list[int]:
        ids: list[int] = model.generate(PROMPTS[0], max_new_tokens=20, **given)[0].tolist()
        return ids

    sampled = run(do_sample=True, top_k=50, seed=1)
    assert sampled == run(do_sample=True, top_k=50, seed=1)
    assert sampled != run(do_sample=True, top_k=50, seed=2)
    assert run(do_sample=True, top_k=1) == run(do_sample=False, top_k=50)
    assert run(repetition_penalty=1.9) != run()


class Recorder:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def put(self, value: Any) -> None:
        self.seen.append(value)

    def end(self) -> None:
        self.seen.append("end")


def test_streamer_of_one_text(model: LlamaForCausalLM) -> None:
    streamer = Recorder()
    (output,) = model.generate(PROMPTS[0], max_new_tokens=5, streamer=streamer)
    prompt, *steps, end = streamer.seen
    assert prompt.tolist() == [PROMPTS[0]] and end == "end"
    assert steps == [[token] for token in output[4:].tolist()]


def test_streamer_of_a_batch(model: LlamaForCausalLM) -> None:
    streamer = Recorder()
    outputs = model.generate(PROMPTS, max_length=9, streamer=streamer)
    prompts, *steps, _ = streamer.seen
    assert prompts.shape == (3, 6)
    assert [len(step) for step in steps] == [3] * len(steps)
    for row, (prompt, output) in enumerate(zip(PROMPTS, outputs, strict=True)):
        assert [t for step in steps for t in step[row]] == output[len(prompt) :].tolist()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"max_new_token": 3}, UsageError, "did you mean 'max_new_tokens'"),
        ({"max_length": 4}, PromptTooLong, "4 tokens"),
        ({"logits_processor": []}, UsageError, "logits_processor"),
        ({"generation_config": {"top_q": 1}}, UsageError, "top_"),
        ({"do_sample": True, "top_p": -1.0}, UsageError, "top_p"),
    ],
)
def test_errors(model: LlamaForCausalLM, given: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        model.generate(PROMPTS[0], **given)


def test_a_token_outside_the_vocabulary(model: LlamaForCausalLM) -> None:
    with pytest.raises(GenerationError, match="outside"):
        model.generate([1, 4000], max_new_tokens=2)
    assert model.generate([1, 40], max_new_tokens=2)


def test_set_train(model: LlamaForCausalLM) -> None:
    assert model.set_train(False) is model
    with pytest.raises(UsageError, match="train"):
        model.set_train()


@pytest.mark.parametrize("which", ["hf", "ckpt", "gguf", "mindformers", "converted", "yaml"])
def test_every_kind_of_weights(tiny: Tiny, which: str) -> None:
    path = str(getattr(tiny, which))
    expected = [*PROMPTS[0], *tiny.greedy(PROMPTS[0], 12)]
    if which in ("hf", "gguf", "mindformers", "converted"):
        # A YAML file that does not say do_sample means MindFormers' default, which is True.
        model = AutoModel.from_pretrained(path, dtype="fp32", eos_token_id=319, do_sample=False)
    elif which == "yaml":
        model = AutoModel.from_config(MindFormerConfig(path), eos_token_id=319)
    else:
        keys = {**tiny.model_config, "checkpoint_name_or_path": path, "eos_token_id": 319}
        model = LlamaForCausalLM(LlamaConfig(**keys))
    assert model.generate(PROMPTS[0], max_new_tokens=12)[0].tolist() == expected
    if which in ("hf", "ckpt", "gguf"):  # the same through a configuration that names them
        config = LlamaConfig(**{**tiny.model_config, "checkpoint_name_or_path": path})
        config.eos_token_id = 319
        assert (
            AutoModel.from_config(config).generate(PROMPTS[0], max_new_tokens=12)[0].tolist()
            == expected
        )


def test_weights_that_are_absent_are_an_error_that_says_where(tmp_path: Path) -> None:
    for call in (
        lambda: AutoModel.from_pretrained("llama2_7b"),
        lambda: AutoModel.from_config(AutoConfig.from_pretrained("llama2_7b")),
    ):
        with pytest.raises(ModelNotFound, match=r"llama2_7b\.ckpt") as caught:
            call()
        assert "paddock pull llama2-7b" in str(caught.value)
    missing = str(tmp_path / "absent.ckpt")
    with pytest.raises(ModelNotFound, match=r"absent\.ckpt"):
        LlamaForCausalLM(LlamaConfig(checkpoint_name_or_path=missing))


def test_a_configuration_of_another_model_is_named(tiny: Tiny) -> None:
    with pytest.raises(CheckpointError, match="num_layers is 3 in the configuration and 2"):
        AutoModel.from_pretrained(str(tiny.hf), num_layers=3)
    keys = {**tiny.model_config, "hidden_size": 128}
    with pytest.raises(CheckpointError):
        LlamaForCausalLM(LlamaConfig(**keys)).generate(PROMPTS[0], max_new_tokens=1)


def test_float16_on_a_cpu_is_replaced_by_torch_and_said(tiny: Tiny) -> None:
    keys = {**tiny.model_config, "compute_dtype": "float16"}
    model = LlamaForCausalLM(LlamaConfig(**keys), device="cpu", runtime="torch")
    with pytest.warns(UserWarning, match="compute_dtype float16 is slow on cpu"):
        assert model.runtime.dtype == "fp32"  # type: ignore[attr-defined]
    insisting = LlamaForCausalLM(LlamaConfig(**keys), device="cpu", runtime="torch", dtype="fp16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert insisting.runtime.dtype == "fp16"  # type: ignore[attr-defined]


@pytest.mark.skipif(library.unavailable() is not None, reason=str(library.unavailable()))
def test_the_native_runtime_holds_weights_in_any_type(tiny: Tiny) -> None:
    for name, dtype in (("float16", "fp16"), ("bfloat16", "bf16"), ("float32", "fp32")):
        keys = {**tiny.model_config, "compute_dtype": name}
        runtime = LlamaForCausalLM(LlamaConfig(**keys), device="cpu").runtime
        assert runtime.dtype == dtype  # type: ignore[attr-defined]


def test_seq_length_may_exceed_what_the_file_says(tiny: Tiny) -> None:
    model = AutoModel.from_pretrained(str(tiny.hf), seq_length=600)
    assert model.runtime.limits.max_seq_len == 600


def test_load_param_into_net(tiny: Tiny) -> None:
    values = load_checkpoint(str(tiny.ckpt))
    assert values["model.tok_embeddings.embedding_weight"].shape == (320, 64)
    assert isinstance(values["lm_head.weight"], Tensor)
    config = LlamaConfig(**{**tiny.model_config, "checkpoint_name_or_path": ""})
    config.eos_token_id = 319
    net = LlamaForCausalLM(config)
    with pytest.raises(CheckpointError, match="no weights for 21 tensors"):
        net.generate(PROMPTS[0], max_new_tokens=2)
    head = values.pop("lm_head.weight")
    values["global_step"] = Tensor(3)
    assert load_param_into_net(net, values) == (["lm_head.weight"], ["global_step"])
    with pytest.raises(CheckpointError, match=r"output\.weight"):
        net.generate(PROMPTS[0], max_new_tokens=2)
    with pytest.raises(TensorMismatch, match=r"output\.weight"):
        load_param_into_net(net, {"lm_head.weight": head[:3]})
    not_loaded, left_over = load_param_into_net(net, {"lm_head.weight": head})
    assert (len(not_loaded), left_over) == (20, [])
    expected = [*PROMPTS[0], *tiny.greedy(PROMPTS[0], 12)]
    assert net.generate(PROMPTS[0], max_new_tokens=12)[0].tolist() == expected


def test_loaded_parameters_replace_those_of_a_file(tiny: Tiny) -> None:
    net = AutoModel.from_config(str(tiny.yaml), eos_token_id=319)
    before = net.generate(PROMPTS[0], max_new_tokens=8)[0].tolist()
    head = load_checkpoint(str(tiny.hf))["lm_head.weight"]
    load_param_into_net(net, {"lm_head.weight": head[::-1]})
    assert net.generate(PROMPTS[0], max_new_tokens=8)[0].tolist() != before


def test_model_wrapper(model: LlamaForCausalLM) -> None:
    wrapper = Model(model)
    assert wrapper.infer_predict_layout(Tensor(np.ones((1, 8)), int32)) == {}
    assert wrapper.predict_network is model


def test_what_is_no_configuration(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="LlamaConfig"):
        LlamaForCausalLM("llama2_7b")  # type: ignore[arg-type]
