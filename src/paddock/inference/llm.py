"""A model ready to answer: checkpoint, tokenizer, runtime and engine put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from paddock import settings as settings_module
from paddock.errors import TokenizerError, UsageError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.options import EngineOptions
from paddock.inference.engine.request import Constraint, Event, Finish, Request, Usage
from paddock.inference.engine.speculate.base import Drafter
from paddock.inference.engine.speculate.lookup import LookupDrafter
from paddock.inference.engine.speculate.model import ModelDrafter
from paddock.inference.runtimes.base import Choice, Runtime, SamplingParams
from paddock.inference.runtimes.load import load_runtime
from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.chat import ChatTemplate, chat_stop_ids
from paddock.inference.tokenizer.load import load_chat_template, load_tokenizer

Prompt = str | Sequence[int] | Sequence[Mapping[str, str]]
"""Plain text (the begin token is put in front), token ids as they are, or chat messages."""


LOOKUP = "lookup"
"""The value of ``speculate`` that guesses from the text itself."""


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How to answer. Defaults are greedy, with the model's own end tokens ending the answer.

    ``n``, ``logprobs``, ``constrain``, ``speculate`` and ``prompt_logprobs`` are as in the engine's
    ``Request``; ``speculate`` matters only where the model was opened with a drafter.
    """

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    use_past: bool = True
    n: int = 1
    logprobs: int | None = None
    constrain: Callable[[], Constraint] | None = None
    speculate: bool = True
    prompt_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, with its cost. Times in seconds from the call of ``generate``.

    ``choices`` are the tokens with their log probabilities, if those were asked for. ``stop`` is
    the stop string or token that ended the answer.
    """

    text: str
    tokens: tuple[int, ...]
    prompt_tokens: int
    finish: Finish
    ttft_s: float
    total_s: float
    index: int = 0
    choices: tuple[Choice, ...] = ()
    stop: str | int | None = None
    usage: Usage | None = None

    @property
    def acceptance_rate(self) -> float | None:
        """The share of guesses that were right; None without speculation."""
        return self.usage.acceptance_rate if self.usage is not None else None

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Speed after the first token; None for an answer of one token."""
        spent = self.total_s - self.ttft_s
        return (len(self.tokens) - 1) / spent if len(self.tokens) > 1 and spent > 0 else None


class LLM:
    """Opens once, answers many times; ``close`` frees the memory.

    ``ids`` and ``request`` may be called from any thread; ``stream`` and ``generate`` from one at
    a time. Who serves many clients runs ``engine.step`` in a thread of its own and adds and cancels
    requests from others (see ``Engine``).
    """

    def __init__(
        self,
        runtime: Runtime,
        tokenizer: Tokenizer,
        config: ModelConfig,
        template: ChatTemplate,
        path: Path,
        engine: EngineOptions | None = None,
        drafter: Drafter | None = None,
    ) -> None:
        self.runtime = runtime
        self.tokenizer = tokenizer
        self.config = config
        self.template = template
        self.path = path
        self.engine = Engine(runtime, tokenizer, engine, drafter)

    @classmethod
    def open(
        cls,
        model: str | Path | None = None,
        *,
        settings: settings_module.Settings | None = None,
        runtime: str = "auto",
        quant: str | None = None,
        engine: EngineOptions | None = None,
        speculate: str | Path | LLM | None = None,
        **options: Any,
    ) -> LLM:
        """Loads ``model``: a name, a hub id or a path; None is the built-in model.

        ``runtime`` is ``native`` (CPUs, without torch), ``torch``, ``mindspore`` (MindFormers in a
        Python of its own; neither ``quant`` nor ``speculate``) or ``auto``; ``quant`` is ``int4``,
        ``int8`` or ``fp8``. ``speculate`` guesses several tokens at once, which changes the speed
        and not the answer: "lookup" guesses from the text itself, a model (name, path, or an LLM,
        which is then this one's own) lets that one guess; it must have the same
        vocabulary. ``options`` go to the runtime: ``device``, ``dtype``, ``kv``, ``max_seq_len``,
        ``max_batch``, ``cache``, ``threads`` (see runtimes/load.py). Raises ModelNotFound,
        CheckpointError, TokenizerError, DoesNotFit, DeviceError, MissingExtra.
        """
        if speculate is not None and runtime == "mindspore":
            raise UsageError(
                "MindFormers chooses one token a step, so there is no speculation with it",
                hint="leave speculate out, or choose the native or the torch runtime",
            )
        settings = settings or settings_module.load()
        name = str(model) if model is not None else None
        path = store.locate(name, settings)
        checkpoint = open_checkpoint(path)
        config = checkpoint.config()
        tokenizer = load_tokenizer(path)
        _check_vocabulary(tokenizer, config, path)
        template = load_chat_template(path)
        options.setdefault("vocab_size", tokenizer.vocab_size)
        loaded = load_runtime(checkpoint, runtime, quant=quant, **options)
        try:
            drafter = None
            if speculate is not None:
                if not isinstance(speculate, LLM) and str(speculate) != LOOKUP:
                    speculate = _open_draft(speculate, settings, runtime, options)
                drafter = _drafter(speculate, tokenizer, loaded)
        except BaseException:
            loaded.close()
            raise
        return cls(loaded, tokenizer, config, template, path, engine, drafter)

    def stream(self, prompt: Prompt, params: GenerationParams | None = None) -> Iterator[Event]:
        """The answer's events as they come; their texts put together are the whole answer."""
        yield from self.engine.stream([self.request(prompt, params)])

    def generate(
        self, prompts: Sequence[Prompt], params: GenerationParams | None = None
    ) -> list[Completion]:
        """Answers all prompts together, each on its own terms of length.

        The ``params.n`` answers to a prompt stand beside each other.
        """
        requests = [self.request(prompt, params) for prompt in prompts]
        begin = time.perf_counter()
        answers = [[_Answer(i) for i in range(request.n)] for request in requests]
        for event in self.engine.stream(requests):
            answers[event.request][event.index].add(event, time.perf_counter() - begin)
        return [
            answer.completion(len(request.prompt))
            for request, several in zip(requests, answers, strict=True)
            for answer in several
        ]

    def ids(self, prompt: Prompt) -> list[int]:
        """The token ids that a prompt becomes."""
        if isinstance(prompt, str):
            return self.tokenizer.encode(prompt, bos=True)
        if _is_chat(prompt):
            return self.template.encode(cast("Sequence[Mapping[str, str]]", prompt), self.tokenizer)
        return list(cast("Sequence[int]", prompt))

    def request(self, prompt: Prompt, params: GenerationParams | None = None) -> Request:
        """What the engine is asked: ids, and the tokens that end an answer of this model."""
        params = params or GenerationParams()
        ends = () if params.ignore_eos else (*self.config.eos_ids, *chat_stop_ids(self.tokenizer))
        return Request(
            self.ids(prompt),
            params.sampling,
            params.max_new_tokens,
            tuple(dict.fromkeys((*params.stop_ids, *ends))),
            params.stop,
            params.use_past,
            fresh=_is_chat(prompt),
            n=params.n,
            logprobs=params.logprobs,
            constrain=params.constrain,
            speculate=params.speculate,
            prompt_logprobs=params.prompt_logprobs,
        )

    def close(self) -> None:
        """Frees memory and devices, those of a model that guesses too."""
        self.engine.close()


@dataclass
class _Answer:
    index: int
    text: str = ""
    choices: list[Choice] = field(default_factory=list)
    last: Event | None = None
    first_s: float = 0.0
    last_s: float = 0.0

    def add(self, event: Event, now: float) -> None:
        self.first_s = self.first_s if self.last else now
        self.last_s = now
        self.last = event
        self.text += event.text
        if event.token is not None:
            self.choices.append(Choice(event.token, event.logprob, event.top))

    def completion(self, prompt_tokens: int) -> Completion:
        assert self.last is not None
        assert self.last.finish is not None
        scored = any(choice.logprob is not None for choice in self.choices)
        return Completion(
            self.text,
            tuple(choice.token for choice in self.choices),
            prompt_tokens,
            self.last.finish,
            self.first_s,
            self.last_s,
            self.index,
            tuple(self.choices) if scored else (),
            self.last.stop,
            self.last.usage,
        )


def _open_draft(
    model: str | Path, settings: settings_module.Settings, runtime: str, options: dict[str, Any]
) -> LLM:
    """A model that guesses, opened as the one it guesses for."""
    kept = {k: v for k, v in options.items() if k not in ("vocab_size", "max_seq_len")}
    return LLM.open(model, settings=settings, runtime=runtime, **kept)


def _drafter(speculate: str | Path | LLM, tokenizer: Tokenizer, runtime: Runtime) -> Drafter:
    if not isinstance(speculate, LLM):
        return LookupDrafter()
    theirs = speculate.tokenizer
    size = tokenizer.vocab_size
    same = theirs.vocab_size == size and all(
        theirs.id_to_piece(i) == tokenizer.id_to_piece(i) for i in range(size)
    )
    if not same or speculate.runtime.limits.vocab_size > runtime.limits.vocab_size:
        raise UsageError(
            f"{speculate.path} cannot guess for this model: its vocabulary is another",
            hint="use a smaller model of the same family, or speculate='lookup'",
        )
    return ModelDrafter(speculate.runtime)


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
