"""What is asked of the engine and what it says back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from paddock.errors import GenerationError, UsageError
from paddock.inference.runtimes.base import SamplingParams

Finish = Literal["stop", "length"]
"""``stop``: a stop token or string. ``length``: ``max_new_tokens`` or the end of the context."""


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and how to go on from it.

    ``stop_ids`` end the answer and are its last token; ``stop`` strings end the text before them
    (they need an engine with a tokenizer). ``use_past=False`` computes the whole text anew for
    every token, as MindFormers does by default: slow, kept so that its cost can be shown.
    ``fresh``: the answer is a text of its own (chat), not the rest of the prompt's last word.
    """

    prompt: Sequence[int]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_new_tokens: int = 128
    stop_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    use_past: bool = True
    fresh: bool = False

    def __post_init__(self) -> None:
        if not self.prompt:
            raise GenerationError("the prompt has no tokens", hint="give at least one, such as <s>")
        if self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {self.max_new_tokens}", hint="use 1 or more")
        if any(not text for text in self.stop):
            raise UsageError("a stop string is empty", hint="leave it out")


@dataclass(frozen=True, slots=True)
class Event:
    """One new token of request ``index`` and the text that it made certain (often ``""``).

    The last event of a request carries ``finish`` and all text that was held back. ``token`` is
    not part of ``text`` if it is a stop token.
    """

    index: int
    token: int
    text: str
    finish: Finish | None
