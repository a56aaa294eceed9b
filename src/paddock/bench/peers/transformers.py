"""Hugging Face transformers: ``generate`` as its users call it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

DISTRIBUTION = "transformers"
MODULE = "transformers"


def open(model: str, threads: int, length: int, batch: int, variant: dict[str, Any]) -> Engine:
    """``variant``: {"dtype": "fp32", "bf16" or "fp16"}, the rest comes as it does."""
    return Engine(model, threads, variant["dtype"])


class Engine:
    """A model folder or GGUF file (transformers dequantizes it) in one type."""

    def __init__(self, path: str, threads: int, dtype: str) -> None:
        import pathlib

        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        torch.set_num_threads(threads)
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
        file = pathlib.Path(path)
        where: dict[str, Any] = {"pretrained_model_name_or_path": path}
        if file.suffix == ".gguf":
            where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        self._model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=kind).eval()
        # Else every call warns that max_new_tokens wins.
        self._model.generation_config.max_length = None
        self.weights = dtype

    def run(
        self, prompts: Sequence[Sequence[int]], new_tokens: int
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Greedy; ``min_new_tokens`` and no end token keep the length."""
        import torch

        clock = _Clock()
        ids = torch.tensor(prompts)
        begin = time.perf_counter()
        with torch.inference_mode():
            made = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new_tokens,
                min_new_tokens=new_tokens,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
                # Called after each step, as a streamer is, which takes one sequence only.
                stopping_criteria=[clock],
            )
        times = [at - begin for at in clock.times]
        return made[:, ids.shape[1] :].tolist(), [times for _ in prompts]


class _Clock:
    """Notes when each step is done; never stops."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        self.times.append(time.perf_counter())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
