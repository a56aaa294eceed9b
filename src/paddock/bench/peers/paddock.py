"""Paddock itself, in a process of its own like the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

DISTRIBUTION = "paddock"
MODULE = "paddock"

# Where it is not installed but run from its sources; last, so that it hides nothing.
sys.path.append(str(Path(__file__).parents[3]))


def open(model: str, threads: int, length: int, batch: int, variant: dict[str, Any]) -> Engine:
    """``variant``: options of LLM.open, such as {"quant": "int4"}."""
    return Engine(model, threads, length, batch, variant)


class Engine:
    """bench/offline.py behind the workers' protocol."""

    def __init__(
        self, model: str, threads: int, length: int, batch: int, variant: dict[str, Any]
    ) -> None:
        from paddock.bench.offline import Local

        self._local = Local.open(model, threads=threads, length=length, batch=batch, **variant)
        storage = self._local.storage
        self.storage = asdict(storage) if storage else None
        self.weights = f"{storage.weights}, head {storage.head}" if storage else "mixed"

    def run(
        self, prompts: Sequence[Sequence[int]], new_tokens: int
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Tokens and times of all prompts together."""
        turn = self._local.run(prompts, new_tokens)
        return [[token for token in row if token is not None] for row in turn.tokens], [
            list(row) for row in turn.times
        ]
