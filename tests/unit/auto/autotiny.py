"""What the tests of this folder share: the little model and where the repository is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).parent / "golden"


@dataclass
class Tiny:
    """One model in many layouts; ``model`` is transformers', ``converted`` our converter's."""

    hf: Path
    mindformers: Path
    converted: Path
    ckpt: Path
    gguf: Path
    yaml: Path
    tokenizer: Path
    model: Any
    model_config: dict[str, Any]

    def greedy(self, prompt: list[int], n: int) -> list[int]:
        """The continuation by transformers."""
        from llamas import greedy

        answer: list[int] = greedy(self.model, prompt, n)
        return answer
