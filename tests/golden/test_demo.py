"""The built-in model through the whole program: its words at temperature 0, kept as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paddock.inference.llm import LLM, GenerationParams
from paddock.inference.runtimes.native import library

CASES = json.loads((Path(__file__).parent / "demo.json").read_text())
PARAMS = GenerationParams(max_new_tokens=100)


RUNTIMES: dict[str, dict[str, Any]] = {
    "native": {"runtime": "native"},
    "native fp32": {"runtime": "native", "dtype": "fp32"},
    "native paged": {"runtime": "native", "cache": "paged"},
    "torch": {"runtime": "torch", "dtype": "fp32"},
    "torch paged": {"runtime": "torch", "dtype": "fp32", "cache": "paged"},
}


@pytest.fixture(scope="module", params=RUNTIMES)
def llm(request: pytest.FixtureRequest) -> LLM:
    if request.param.startswith("native") and library.unavailable():
        pytest.skip(str(library.unavailable()))
    return LLM.open(device="cpu", **RUNTIMES[request.param])


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["prompt"])[-30:])
def test_the_words_of_the_built_in_model(llm: LLM, case: dict[str, Any]) -> None:
    assert llm.generate([case["prompt"]], PARAMS)[0].text == case["text"]


def test_all_at_once(llm: LLM) -> None:
    answers = llm.generate([case["prompt"] for case in CASES], PARAMS)
    assert [answer.text for answer in answers] == [case["text"] for case in CASES]


def test_openings_do_not_run_in_circles() -> None:
    for case in CASES:
        words = case["text"].split()
        fours = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
        assert len(set(fours)) >= 0.8 * len(fours), case
