"""Greedy answers through the C++ decode step, and without it, are those of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamas import SHAPES, greedy, prompts, saved
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.torch import native
from paddock.inference.runtimes.torch.build import build

BUILT = native.available() is None


@pytest.mark.parametrize("shape", SHAPES)
def test_200_tokens_are_those_of_transformers(shape: str, tmp_path: Path) -> None:
    theirs = saved(tmp_path, shape)
    # The prompt of one token is computed natively too.
    asked = list(prompts((5, 17, 1)))
    want = [greedy(theirs, prompt, 200) for prompt in asked]
    for cache, native_ in (("contiguous", BUILT), ("paged", BUILT), ("contiguous", False)):
        runtime = build(
            open_checkpoint(tmp_path), device="cpu", dtype="fp32", cache=cache, native=native_
        )
        answers = Engine(runtime).run([Request(prompt, max_new_tokens=200) for prompt in asked])
        assert answers == want
        runtime.close()
