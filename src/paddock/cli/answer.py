"""Streams one answer and measures it, for ``run`` and ``chat`` alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddock.inference.engine.request import Event
    from paddock.inference.llm import LLM, GenerationParams, Prompt


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer. ``finish`` is ``stop`` or ``length``; times in seconds.

    ``ttft_s`` is the time to the first token, prompt included, loading excluded.
    ``decode_tokens_per_s`` counts the tokens after the first; None where there is only one. Of
    ``drafted`` guesses ``accepted`` were right; ``acceptance_rate`` is None where none was made.
    """

    text: str
    tokens: int
    prompt_tokens: int
    finish: str
    ttft_s: float
    decode_tokens_per_s: float | None
    total_s: float
    seed: int | None
    drafted: int = 0
    accepted: int = 0
    acceptance_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values, times rounded to microseconds."""
        return {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }

    def statistics(self) -> str:
        """One line: counts, TTFT, tokens/s, why it ended and, if it was random, the seed."""
        speed = self.decode_tokens_per_s
        parts = [
            f"{self.prompt_tokens} prompt tokens",
            f"{self.tokens} new tokens",
            f"TTFT {self.ttft_s:.3f} s",
            f"{speed:.1f} tokens/s" if speed else "",
            "ended by itself" if self.finish == "stop" else "ended by length",
            f"seed {self.seed}" if self.seed is not None else "",
            f"{self.accepted} of {self.drafted} guesses right" if self.drafted else "",
        ]
        return f"[{', '.join(part for part in parts if part)}]"


def stream(
    llm: LLM, prompt: Prompt, params: GenerationParams, show: Callable[[Event], None]
) -> Answer:
    """Generates, hands every event to ``show`` at once and returns the whole with its cost."""
    begin = first = last = time.perf_counter()
    texts: list[str] = []
    tokens, finish, usage = 0, "length", None
    for event in llm.stream(prompt, params):
        last = time.perf_counter()
        first = last if tokens == 0 else first
        tokens += 1
        texts.append(event.text)
        finish = event.finish or finish
        usage = event.usage or usage
        show(event)
    spent = last - first
    return Answer(
        text="".join(texts),
        tokens=tokens,
        prompt_tokens=len(llm.ids(prompt)),
        finish=finish,
        ttft_s=first - begin,
        decode_tokens_per_s=(tokens - 1) / spent if spent > 0 else None,
        total_s=last - begin,
        seed=None if params.sampling.greedy else params.sampling.seed,
        drafted=usage.drafted if usage else 0,
        accepted=usage.accepted if usage else 0,
        acceptance_rate=usage.acceptance_rate if usage else None,
    )
