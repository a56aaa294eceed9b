"""OpenVINO GenAI's LLMPipeline, from an OpenVINO folder or straight from a GGUF file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

DISTRIBUTION = "openvino-genai"
MODULE = "openvino_genai"


def open(model: str, threads: int, length: int, batch: int, variant: dict[str, Any]) -> Engine:
    """Has no variants; ``length`` and ``batch`` come as they do."""
    return Engine(model, threads)


class Engine:
    """One pipeline on the CPU."""

    def __init__(self, path: str, threads: int) -> None:
        import openvino_genai

        self._lib: Any = openvino_genai
        self._pipeline = openvino_genai.LLMPipeline(path, "CPU", INFERENCE_NUM_THREADS=threads)
        self.weights = "as OpenVINO converts them"

    def run(
        self, prompts: Sequence[Sequence[int]], new_tokens: int
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Greedy, all prompts in one batch of equal lengths."""
        import numpy as np
        import openvino

        config = self._lib.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = new_tokens
        config.ignore_eos = True
        config.do_sample = False
        ids = np.array(prompts, np.int64)
        inputs = self._lib.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
        begin = time.perf_counter()
        answer = self._pipeline.generate(inputs, config)
        end = time.perf_counter() - begin
        # It tells the time to the first token and the duration of each one after it, in ms.
        metrics = answer.perf_metrics
        gaps = [float(gap) / 1000 for gap in metrics.raw_metrics.m_durations]
        first = end - sum(gaps[-(new_tokens - 1) :]) if new_tokens > 1 else end
        spent = end - first
        times = [first + spent * i / max(1, new_tokens - 1) for i in range(new_tokens)]
        return [list(map(int, row)) for row in answer.tokens], [times for _ in prompts]
