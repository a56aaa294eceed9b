"""Every failure is one readable line, or one JSON object, and an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddock.cli.failures import EXTRA_OF, explain
from paddock.errors import GatedModel, MissingExtra

CASES = json.loads((Path(__file__).parent / "usage.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case["args"]) or "nothing")
def test_usage(paddock: Callable[..., Any], case: dict[str, Any]) -> None:
    result = paddock(*case["args"])
    assert (result.code, result.out, result.err) == (2, "", f"error: {case['error']}\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case["args"]) or "nothing")
def test_usage_as_json(paddock: Callable[..., Any], case: dict[str, Any]) -> None:
    if case["args"][0].startswith("-") or case["args"][0] == "rnu":
        pytest.skip("no command, so nothing that takes --json")
    # In front of the arguments, where an unexpected one cannot swallow it.
    result = paddock(case["args"][0], "--json", *case["args"][1:])
    error = json.loads(result.out)["error"]
    hint = f" ({error['hint']})" if error["hint"] else ""
    assert (result.code, result.err) == (2, "")
    assert error["message"] + hint == case["error"]


def test_an_unknown_model_names_the_nearest(paddock: Callable[..., Any]) -> None:
    result = paddock("inspect", "llama2-7")
    assert result.code == 1
    assert "did you mean 'llama2-7b'?" in result.err
    assert result.err.count("\n") == 1


def test_debug_shows_the_trace(paddock: Callable[..., Any]) -> None:
    result = paddock("inspect", "nothing-of-that-name", "--debug")
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("error: no model 'nothing-of-that-name'")


def test_a_prompt_may_look_like_an_option(paddock: Callable[..., Any]) -> None:
    result = paddock("inspect", "--", "--json")
    assert result.code != 0
    assert result.err.startswith("error: ")  # not JSON: what follows -- is no option


def test_bytes_that_are_no_text(paddock: Callable[..., Any]) -> None:
    result = paddock("run", "-", stdin=b"ab\xff")
    assert result.code == 2
    assert (
        result.err == "error: standard input is not UTF-8 text (byte 2) (convert it with iconv)\n"
    )


def test_explain_keeps_message_and_hint() -> None:
    failure = explain(GatedModel("meta's model is gated", hint="accept the licence"))
    assert (failure.kind, failure.exit_code) == ("GatedModel", 1)
    assert failure.to_dict()["hint"] == "accept the licence"


def test_explain_names_the_extra_of_a_missing_library() -> None:
    failure = explain(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert failure == explain(MissingExtra("torch", "torch"))
    ours = explain(ModuleNotFoundError("No module named 'paddock.x'", name="paddock.x"))
    assert "fault of Paddock" in (ours.hint or "")


def test_extras_are_those_of_the_project() -> None:
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    for library, extra in EXTRA_OF.items():
        name = {"google": "protobuf"}.get(library, library).replace("_", "-")
        section = text.split(f"\n{extra} = [", 1)[1].split("]\n", 1)[0]
        assert f'"{name}' in section, f"{name} is not in the extra {extra}"


def test_explain_files_and_faults() -> None:
    assert explain(FileNotFoundError(2, "No such file or directory", "x")).message == (
        "No such file or directory: x"
    )
    fault = explain(KeyError("a\nb"))
    assert fault.exit_code == 1
    assert "\n" not in fault.message
    assert "--debug" in (fault.hint or "")
