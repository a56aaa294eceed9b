"""What the tests of this folder share: the little model and where the repository is."""

from __future__ import annotations

import importlib.util
import sys
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
        answer: list[int] = llamas().greedy(self.model, prompt, n)
        return answer


def llamas() -> Any:
    """The parity suite's maker of little Llamas."""
    if "parity_llamas" not in sys.modules:
        path = ROOT / "tests" / "parity" / "llamas.py"
        spec = importlib.util.spec_from_file_location("parity_llamas", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules["parity_llamas"] = module
        spec.loader.exec_module(module)
    return sys.modules["parity_llamas"]
