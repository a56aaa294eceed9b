"""ONNX Runtime GenAI, from a folder that its model builder wrote."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

DISTRIBUTION = "onnxruntime-genai"
MODULE = "onnxruntime_genai"


def open(model: str, threads: int, length: int, batch: int, variant: dict[str, Any]) -> Engine:
    """Has no variants."""
    return Engine(model, threads, length, batch)


class Engine:
    """One model with the CPU provider."""

    def __init__(self, path: str, threads: int, length: int, batch: int) -> None:
        import json

        import onnxruntime_genai

        self._lib: Any = onnxruntime_genai
        self._length, self._batch = length, batch
        config = onnxruntime_genai.Config(path)
        options = {"intra_op_num_threads": threads}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = onnxruntime_genai.Model(config)
        self.weights = "as its builder converted them"

    def run(
        self, prompts: Sequence[Sequence[int]], new_tokens: int
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Greedy, all prompts in one batch of equal lengths; nothing ends it early."""
        import numpy as np

        params = self._lib.GeneratorParams(self._model)
        end = len(prompts[0]) + new_tokens
        params.set_search_options(
            do_sample=False, batch_size=len(prompts), max_length=end, min_length=end
        )
        ids = np.array(prompts, np.int32)
        begin = time.perf_counter()
        generator = self._lib.Generator(self._model, params)
        generator.append_tokens(ids)
        tokens: list[list[int]] = [[] for _ in prompts]
        times: list[float] = []
        for _ in range(new_tokens):
            generator.generate_next_token()
            for row, token in zip(tokens, generator.get_next_tokens(), strict=True):
                row.append(int(token))
            times.append(time.perf_counter() - begin)
        return tokens, [times for _ in prompts]
