"""Arguments, padding and lengths, without a model; expectations from MindFormers 1.0.0's source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from paddock import LlamaConfig, Tensor, int32
from paddock.errors import GenerationError, PromptTooLong, UsageError
from paddock.inference.auto import generation

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "lengths.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_lengths(case: dict[str, Any]) -> None:
    config = LlamaConfig(**{"seq_length": 100, **case.get("config", {})})
    chosen = generation.options(config, case.get("given", {}))
    prompts = [[5] * length for length in case["prompts"]]
    if "too_long" in case:
        with pytest.raises(PromptTooLong, match=case["too_long"]):
            generation.requests(prompts, chosen, 0, config.seq_length, False)
        return
    made = generation.requests(prompts, chosen, 0, config.seq_length, False)
    assert [request.max_new_tokens for request in made] == case["new"]


def test_an_explicit_length_beyond_the_model_is_said() -> None:
    chosen = generation.options(LlamaConfig(), {"max_new_tokens": 500})
    with pytest.warns(UserWarning, match="seq_length 100"):
        generation.requests([[1]], chosen, 0, 100, True)


@pytest.mark.parametrize(
    "ids",
    [
        [[7, 8, 0], [7, 8, 9]],
        [[7, 8], [7, 8, 9, 0, 0]],
        np.array([[7, 8, 0], [7, 8, 9]]),
        Tensor([[7, 8, 0, 0], [7, 8, 9, 0]], int32),
        [np.array([7, 8, 0]), np.array([7, 8, 9])],
        ((7, 8), (7, 8, 9)),
    ],
)
def test_rows_lose_their_padding(ids: Any) -> None:
    assert generation.rows(ids, 0) == [[7, 8], [7, 8, 9]]


def test_one_row_inner_padding_and_other_padding() -> None:
    assert generation.rows([1, 0, 5, 0], 0) == [[1, 0, 5]]
    assert generation.rows([1, 0, 3, 3], 3) == [[1, 0]]
    assert generation.rows([1, 5, 0], None) == [[1, 5]]


@pytest.mark.parametrize("ids", ["text", [], 5, None, [[1.5, 2]], [[["deep"]]], [["a"]]])
def test_what_is_no_ids(ids: Any) -> None:
    with pytest.raises(UsageError, match="input_ids"):
        generation.rows(ids, 0)


@pytest.mark.parametrize("ids", [[0, 0], [[1], [0]], [[1], []]])
def test_empty_rows(ids: Any) -> None:
    with pytest.raises(GenerationError, match="row"):
        generation.rows(ids, 0)


def test_options_come_from_the_call_then_the_configuration_then_the_defaults() -> None:
    config = LlamaConfig(top_k=7, repetition_penalty=1.2, do_sample=True, eos_token_id=[2, 9])
    chosen = generation.options(config, {"top_k": 3, "do_sample": None})
    assert (chosen.top_k, chosen.top_p, chosen.temperature, chosen.do_sample) == (3, 1, 1, True)
    assert chosen.stop_ids == (2, 9)
    assert generation.options(LlamaConfig(use_past=True), {"use_past": False}).use_past is False
    sampling = chosen.sampling(5)
    assert (sampling.temperature, sampling.top_k, sampling.seed) == (1.0, 3, 5)
    assert sampling.repetition_penalty == 1.2


def test_greedy_ignores_top_k_and_top_p_as_in_mindformers() -> None:
    chosen = generation.options(LlamaConfig(), {"do_sample": False, "top_k": 3, "top_p": 2.0})
    assert chosen.sampling(0).greedy


def test_top_p_above_one_and_top_k_zero_are_off() -> None:
    given = {"do_sample": True, "top_k": 0, "top_p": 1.5}
    sampling = generation.options(LlamaConfig(), given).sampling(0)
    assert (sampling.top_k, sampling.top_p) == (0, 1.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_new_token": 3}, "did you mean 'max_new_tokens'"),
        ({"num_beams": 4}, "beam search"),
        ({"encoder_repetition_penalty": 1.1}, "encoder_repetition_penalty"),
    ],
)
def test_what_cannot_be_honoured(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        generation.options(LlamaConfig(), given)


def test_tensor() -> None:
    tensor = Tensor(np.ones((1, 4)), int32)
    assert tensor.dtype == np.int32 and tensor.shape == (1, 4)
    assert type(tensor.asnumpy()) is np.ndarray
