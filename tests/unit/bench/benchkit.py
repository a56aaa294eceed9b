"""A model shape, a ceiling test and engines that take no time to speak of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from paddock.bench.turn import Turn
from paddock.inference.checkpoint.config import ModelConfig

ADAPTERS = Path(__file__).parent / "adapters"

SHAPE = ModelConfig(
    vocab_size=100,
    dim=64,
    n_layers=3,
    n_heads=4,
    n_kv_heads=2,
    hidden_dim=96,
    head_dim=16,
    max_seq_len=256,
    dtype="bf16",
)


class FakeCeilings:
    """The same numbers each time: 1 GB/s, 10 Gop/s of int8, no other arithmetic."""

    method = "fake"
    threads = 1

    def read(self) -> float:
        return 1e9

    def product(self, kind: str) -> float | None:
        return 1e10 if kind == "int8" else None

    def instruction(self, kind: str) -> str | None:
        return "fake" if kind == "int8" else None

    def close(self) -> None:
        pass


class FakeEngine:
    """Answers after ``sleep`` seconds; notes in ``calls`` what was done to it."""

    def __init__(self, name: str, calls: list[str], sleep: float = 0.002) -> None:
        self.name, self.calls, self.sleep = name, calls, sleep

    def run(self, prompts: Sequence[Sequence[int]], new_tokens: int) -> Turn:
        self.calls.append(self.name)
        begin = time.perf_counter()
        times = []
        for _ in range(new_tokens):
            time.sleep(self.sleep)
            times.append(time.perf_counter() - begin)
        return Turn(tuple((4,) * new_tokens for _ in prompts), tuple(tuple(times) for _ in prompts))

    def pause(self) -> None:
        self.calls.append(f"pause {self.name}")

    def resume(self) -> None:
        pass

    def discard(self) -> None:
        self.calls.append(f"discard {self.name}")
