"""A model ready to answer: checkpoint, tokenizer, runtime and engine put together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from paddock import settings as settings_module
from paddock.errors import TokenizerError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Event, Finish, Request
from paddock.inference.runtimes.base import Runtime, SamplingParams
from paddock.inference.runtimes.load import load_runtime
from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.chat import ChatTemplate, chat_stop_ids
from paddock.inference.tokenizer.load import load_chat_template, load_tokenizer

Prompt = str | Sequence[int] | Sequence[Mapping[str, str]]
"""Plain text (the begin token is put in front), token ids as they are, or chat messages."""


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How to answer. Defaults are greedy, with the model's own end tokens ending the answer."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    use_past: bool = True


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, with its cost. Times in seconds from the call of ``generate``."""

    text: str
    tokens: tuple[int, ...]
    prompt_tokens: int
    finish: Finish
    ttft_s: float
    total_s: float

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Speed after the first token; None for an answer of one token."""
        spent = self.total_s - self.ttft_s
        return (len(self.tokens) - 1) / spent if len(self.tokens) > 1 and spent > 0 else None


class LLM:
    """Opens once, answers many times. Not thread-safe; ``close`` frees the memory."""

    def __init__(
        self,
        runtime: Runtime,
        tokenizer: Tokenizer,
        config: ModelConfig,
        template: ChatTemplate,
        path: Path,
    ) -> None:
        self.runtime = runtime
        self.tokenizer = tokenizer
        self.config = config
        self.template = template
        self.path = path
        self.engine = Engine(runtime, tokenizer)

    @classmethod
    def open(
        cls,
        model: str | Path | None = None,
        *,
        settings: settings_module.Settings | None = None,
        runtime: str = "auto",
        quant: str | None = None,
        **options: Any,
    ) -> LLM:
        """Loads ``model``: a name, a hub id or a path; None is the built-in model.

        ``runtime`` is ``native`` (CPUs, without torch), ``torch`` or ``auto``; ``quant`` is
        ``int4``, ``int8`` or ``fp8``. ``options`` go to the runtime: ``device``, ``dtype``,
        ``kv``, ``max_seq_len``, ``max_batch``, ``cache``, ``threads`` (see runtimes/load.py).
        Raises ModelNotFound, CheckpointError, TokenizerError, DoesNotFit, DeviceError,
        MissingExtra.
        """
        name = str(model) if model is not None else None
        path = store.locate(name, settings or settings_module.load())
        checkpoint = open_checkpoint(path)
        config = checkpoint.config()
        tokenizer = load_tokenizer(path)
        _check_vocabulary(tokenizer, config, path)
        template = load_chat_template(path)
        options.setdefault("vocab_size", tokenizer.vocab_size)
        loaded = load_runtime(checkpoint, runtime, quant=quant, **options)
        return cls(loaded, tokenizer, config, template, path)

    def stream(self, prompt: Prompt, params: GenerationParams | None = None) -> Iterator[Event]:
        """The answer's events as they come; their texts put together are the whole answer."""
        yield from self.engine.stream([self._request(prompt, params or GenerationParams())])

    def generate(
        self, prompts: Sequence[Prompt], params: GenerationParams | None = None
    ) -> list[Completion]:
        """Answers all prompts together, each on its own terms of length."""
        requests = [self._request(prompt, params or GenerationParams()) for prompt in prompts]
        begin = time.perf_counter()
        answers = [_Answer() for _ in requests]
        for event in self.engine.stream(requests):
            answers[event.index].add(event, time.perf_counter() - begin)
        return [
            answer.completion(len(request.prompt))
            for answer, request in zip(answers, requests, strict=True)
        ]

    def ids(self, prompt: Prompt) -> list[int]:
        """The token ids that a prompt becomes."""
        if isinstance(prompt, str):
            return self.tokenizer.encode(prompt, bos=True)
        if _is_chat(prompt):
            return self.template.encode(cast("Sequence[Mapping[str, str]]", prompt), self.tokenizer)
        return list(cast("Sequence[int]", prompt))

    def close(self) -> None:
        """Frees memory and devices."""
        self.runtime.close()

    def _request(self, prompt: Prompt, params: GenerationParams) -> Request:
        ends = () if params.ignore_eos else (*self.config.eos_ids, *chat_stop_ids(self.tokenizer))
        return Request(
            self.ids(prompt),
            params.sampling,
            params.max_new_tokens,
            tuple(dict.fromkeys((*params.stop_ids, *ends))),
            params.stop,
            params.use_past,
            fresh=_is_chat(prompt),
        )


@dataclass
class _Answer:
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    finish: Finish = "length"
    first_s: float = 0.0
    last_s: float = 0.0

    def add(self, event: Event, now: float) -> None:
        self.first_s = self.first_s if self.tokens else now
        self.last_s = now
        self.tokens.append(event.token)
        self.text += event.text
        self.finish = event.finish or self.finish

    def completion(self, prompt_tokens: int) -> Completion:
        return Completion(
            self.text, tuple(self.tokens), prompt_tokens, self.finish, self.first_s, self.last_s
        )


def _is_chat(prompt: Prompt) -> bool:
    return not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], Mapping)


def _check_vocabulary(tokenizer: Tokenizer, config: ModelConfig, path: Path) -> None:
    # Models pad their embedding to a round number; fewer rows than words cannot be right.
    if tokenizer.vocab_size > config.vocab_size:
        raise TokenizerError(
            f"{path}: the tokenizer knows {tokenizer.vocab_size} tokens, the model"
            f" {config.vocab_size}",
            hint="these files belong to different models",
        )
