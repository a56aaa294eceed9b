"""The same answers as MindFormers 1.0.0 itself, which scripts/record_mindformers.py recorded.

Recorded on MindSpore 2.7.0, CPU, float32, with the weights and the tokenizer of the ``tiny``
fixture.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from autotiny import GOLDEN, Tiny

from paddock import LlamaConfig, LlamaForCausalLM, LlamaTokenizer, pipeline

RECORD = json.loads((GOLDEN / "mindformers-1.0.0.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer(tiny: Tiny) -> LlamaTokenizer:
    return LlamaTokenizer(vocab_file=str(tiny.tokenizer))


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(**{**tiny.model_config, "eos_token_id": 319}))


# MindFormers leaves a text whole where cutting would leave nothing of it. Here it is cut.
CUT_TO_NOTHING = {"max_length": 1}


@pytest.mark.parametrize("case", RECORD["tokenizer"], ids=lambda case: f"{case['call']}")
def test_tokenizer(tokenizer: LlamaTokenizer, case: dict[str, Any]) -> None:
    answer = tokenizer(case["text"], **case["call"])
    if case["call"] == CUT_TO_NOTHING and case["text"]:
        assert answer != case["answer"]
        assert answer == tokenizer("" if isinstance(case["text"], str) else [""] * 3)
    else:
        assert answer == case["answer"]


@pytest.mark.parametrize("case", RECORD["decode"], ids=str)
def test_decode(tokenizer: LlamaTokenizer, case: dict[str, Any]) -> None:
    assert tokenizer.decode(case["ids"], skip_special_tokens=case["skip"]) == case["answer"]


@pytest.mark.parametrize("case", RECORD["generate"], ids=lambda case: f"{case['given']}")
def test_generate(model: LlamaForCausalLM, case: dict[str, Any]) -> None:
    outputs = model.generate(case["ids"], **{"use_past": case["past"], **case["given"]})
    assert [row.tolist() for row in outputs] == case["answer"]


@pytest.mark.parametrize("case", RECORD["stream"], ids=lambda case: f"{len(case['ids'])}")
def test_streamer(model: LlamaForCausalLM, case: dict[str, Any]) -> None:
    class Streamer:
        seen: list[Any] = []  # noqa: RUF012

        def put(self, value: Any) -> None:
            self.seen.append(value.tolist() if hasattr(value, "tolist") else value)

        def end(self) -> None:
            self.seen.append("end")

    several = isinstance(case["ids"][0], list)
    given = {"max_length": 9} if several else {"max_new_tokens": 3}
    streamer = Streamer()
    model.generate(case["ids"], streamer=streamer, **given)
    assert streamer.seen == case["seen"]


@pytest.mark.parametrize("case", RECORD["pipeline"], ids=lambda case: f"{case['given']}")
def test_pipeline(model: LlamaForCausalLM, tokenizer: LlamaTokenizer, case: dict[str, Any]) -> None:
    task = pipeline("text_generation", model=model, tokenizer=tokenizer)
    assert task(case["inputs"], **case["given"]) == case["answer"]
