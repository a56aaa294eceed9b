"""Requests to what the engine is asked, and what comes to the objects that clients wait for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from paddock.errors import PaddockError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.engine.request import Usage
from paddock.inference.runtimes.base import Limits, SamplingParams
from paddock.inference.serve import grammar
from paddock.inference.serve.errors import ApiError, from_paddock
from paddock.inference.serve.schema import (
    ChatRequest,
    CompletionRequest,
    Generation,
    Message,
    ResponseFormat,
)
from paddock.inference.serve.wire import Ask, Piece, Scored
from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.chat import ChatTemplate, chat_stop_ids

COMPLETION_TOKENS = 16
"""``max_tokens`` of ``/v1/completions`` where a client says nothing; OpenAI's own default."""


@dataclass(frozen=True)
class Served:
    """What the server itself knows of the model: everything but its weights."""

    name: str
    tokenizer: Tokenizer
    template: ChatTemplate
    config: ModelConfig
    created: int = field(default_factory=lambda: int(time.time()))

    def prompts(self, request: CompletionRequest, limits: Limits) -> list[list[int]]:
        """Token ids of each prompt. Raises ApiError (400)."""
        given: Any = request.prompt
        if isinstance(given, str) or isinstance(given[0], int):
            given = [given]
        prompts = [self._encode(one) if isinstance(one, str) else list(one) for one in given]
        for ids in prompts:
            self._check(ids, limits, "prompt")
        return prompts

    def conversation(self, messages: Sequence[Message], limits: Limits | None) -> list[int]:
        """Token ids of a conversation, up to where the answer begins. Raises ApiError (400)."""
        plain = [
            {"role": "system" if one.role == "developer" else one.role, "content": one.text()}
            for one in messages
        ]
        try:
            ids = self.template.encode(plain, self.tokenizer)
        except PaddockError as error:
            raise from_paddock(error, "messages") from None
        if limits is not None:
            self._check(ids, limits, "messages")
        return ids

    def _encode(self, text: str) -> list[int]:
        try:
            return self.tokenizer.encode(text, bos=self.tokenizer.bos_id is not None)
        except PaddockError as error:
            raise from_paddock(error, "prompt") from None

    def _check(self, ids: list[int], limits: Limits, param: str) -> None:
        if not ids:
            raise ApiError(400, "the prompt is empty", code="invalid_value", param=param)
        if max(ids) >= limits.vocab_size:
            raise ApiError(
                400,
                f"token id {max(ids)} is not in the vocabulary of {limits.vocab_size}",
                code="invalid_value",
                param=param,
            )
        room = min(limits.max_seq_len, limits.page_size * limits.n_pages)
        if len(ids) >= room:
            raise ApiError(
                400,
                f"the prompt has {len(ids)} tokens; prompt and answer together have {room}",
                code="context_length_exceeded",
                param=param,
            )

    def ask(self, request: Generation, prompt: list[int], limits: Limits) -> Ask:
        """What the engine is asked for one prompt. Raises ApiError (400)."""
        chat = isinstance(request, ChatRequest)
        ends = () if request.ignore_eos else (*self.config.eos_ids, *chat_stop_ids(self.tokenizer))
        stop = request.stop or ()
        wanted = request.max_tokens
        if isinstance(request, ChatRequest):
            wanted = wanted or request.max_completion_tokens
        room = limits.max_seq_len - len(prompt)
        default = room if chat else COMPLETION_TOKENS
        return Ask(
            prompt,
            sampling_of(request, limits.vocab_size),
            min(wanted or default, room),
            _stop_ids(request, ends, limits.vocab_size),
            tuple(one for one in ((stop,) if isinstance(stop, str) else stop) if one),
            fresh=chat,
            n=request.n,
            logprobs=logprobs_of(request),
            grammar=_grammar(request.response_format),
            stream=bool(request.stream),
        )

    def spelled(self, token: int) -> tuple[str, list[int] | None]:
        """A token's text and UTF-8 bytes, as logprobs show them."""
        raw = self.tokenizer.token_bytes(token)
        if raw is None:
            return self.tokenizer.id_to_piece(token), None
        return raw.decode("utf-8", "replace"), list(raw)


def sampling_of(request: Generation, vocab_size: int) -> SamplingParams:
    """The sampling parameters of a request; a null is the default, a seed is drawn if none is."""

    def given(value: float | None, default: float) -> float:
        return default if value is None else float(value)

    seed = secrets.randbits(48) if request.seed is None else request.seed
    return SamplingParams(
        temperature=given(request.temperature, 1.0),
        # More than there are is all of them, whatever a runtime's integers hold.
        top_k=min(max(0, request.top_k or 0), vocab_size),
        top_p=given(request.top_p, 1.0),
        min_p=given(request.min_p, 0.0),
        repetition_penalty=given(request.repetition_penalty, 1.0),
        presence_penalty=given(request.presence_penalty, 0.0),
        frequency_penalty=given(request.frequency_penalty, 0.0),
        seed=seed,
    )


def _stop_ids(request: Generation, ends: Sequence[int], vocab_size: int) -> tuple[int, ...]:
    """The tokens that end an answer; one that the model does not have never comes."""
    wanted = (*(request.stop_token_ids or ()), *ends)
    return tuple(dict.fromkeys(one for one in wanted if one < vocab_size))


def logprobs_of(request: Generation) -> int | None:
    """How many likeliest tokens are reported; None for no log probabilities at all."""
    if isinstance(request, ChatRequest):
        return (request.top_logprobs or 0) if request.logprobs else None
    assert isinstance(request, CompletionRequest)
    return request.logprobs


def _grammar(form: ResponseFormat | None) -> str | None:
    if form is None or form.type == "text":
        return None
    schema = form.json_schema.schema_ if form.json_schema else grammar.ANY_OBJECT
    try:
        return grammar.compile_schema(schema)
    except PaddockError as error:
        raise from_paddock(error, "response_format") from None


class Shape:
    """How one kind of request is answered: whole, and in pieces."""

    def __init__(self, served: Served, request: Generation) -> None:
        self.served = served
        self.chat = isinstance(request, ChatRequest)
        kind = "chat.completion" if self.chat else "text_completion"
        self.head = {
            "id": f"{'chatcmpl' if self.chat else 'cmpl'}-{secrets.token_hex(12)}",
            "object": kind,
            "created": int(time.time()),
            "model": served.name,
        }
        self.with_logprobs = logprobs_of(request) is not None
        options = request.stream_options
        self.usage_in_chunks = bool(options and options.include_usage)
        self.usage_in_each = bool(options and options.continuous_usage_stats)

    def whole(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
        """The response to a request that does not stream."""
        return {**self.head, "choices": choices, "usage": usage}

    def chunk(self, choices: list[dict[str, Any]], usage: Any = None) -> dict[str, Any]:
        """One chunk of a stream."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        body = {**self.head, "object": kind, "choices": choices}
        # OpenAI: null in every chunk but the last, if it was asked for at all.
        return {**body, "usage": usage} if self.usage_in_chunks else body

    def first(self, index: int, echo: str) -> list[dict[str, Any]]:
        """What stands before the first text of answer ``index``; chats name the role."""
        if self.chat:
            delta = {"role": "assistant", "content": ""}
            return [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}]
        return (
            [{"index": index, "text": echo, "logprobs": None, "finish_reason": None}]
            if echo
            else []
        )

    def piece(self, index: int, piece: Piece, offset: int) -> dict[str, Any]:
        """What came of an answer as a stream's choice; ``offset`` characters were before it."""
        logprobs = self.logprobs(piece.scored, offset) if self.with_logprobs else None
        if self.chat:
            text = {"delta": {"content": piece.text} if piece.text else {}}
        else:
            text = {"text": piece.text}  # type: ignore[dict-item]
        return {"index": index, **text, "logprobs": logprobs, "finish_reason": piece.finish}

    def choice(self, index: int, answer: Answer, echo: str) -> dict[str, Any]:
        """One finished answer."""
        logprobs = self.logprobs(answer.scored, 0) if self.with_logprobs else None
        text = answer.text
        body: dict[str, Any] = {"index": index}
        if self.chat:
            body["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            body["text"] = echo + text
        return {**body, "logprobs": logprobs, "finish_reason": answer.finish}

    def logprobs(self, scored: Sequence[Scored], offset: int) -> dict[str, Any]:
        """Log probabilities of tokens, in the newer shape for chats."""
        if self.chat:
            return {"content": [self._scored(one) for one in scored], "refusal": None}
        starts = []
        for one in scored:
            starts.append(offset)
            offset += len(one.text)
        tops = [{self.served.spelled(i)[0]: value for i, value in one.top} for one in scored]
        return {
            "tokens": [self.served.spelled(one.token)[0] for one in scored],
            "token_logprobs": [one.logprob for one in scored],
            "top_logprobs": tops,
            "text_offset": starts,
        }

    def _scored(self, one: Scored) -> dict[str, Any]:
        return {
            **self._one(one.token, one.logprob),
            "top_logprobs": [self._one(token, value) for token, value in one.top],
        }

    def _one(self, token: int, value: float) -> dict[str, Any]:
        text, raw = self.served.spelled(token)
        return {"token": text, "logprob": value, "bytes": raw}


@dataclass
class Answer:
    """One answer as it grows; times in seconds of ``time.monotonic``, tokens' by the engine."""

    text: str = ""
    tokens: int = 0
    finish: str | None = None
    usage: Usage | None = None
    scored: list[Scored] = field(default_factory=list)
    first_s: float | None = None
    last_s: float = 0.0
    told_s: float = 0.0

    def add(self, piece: Piece, *, keep: bool) -> None:
        """Takes what came next; ``keep`` for log probabilities."""
        self.told_s = time.monotonic()
        if self.first_s is None:
            self.first_s = piece.first_s
        self.last_s = piece.last_s
        self.text += piece.text
        self.tokens += piece.tokens
        self.finish = piece.finish or self.finish
        self.usage = piece.usage or self.usage
        if keep:
            self.scored.extend(piece.scored)


def usage_of(answers: Sequence[Answer], prompt_tokens: int) -> dict[str, Any]:
    """OpenAI's token counts; a prompt counts once, however many answers it has."""
    new = sum(one.usage.new_tokens if one.usage else one.tokens for one in answers)
    cached = sum(one.usage.cached_tokens for one in answers if one.usage)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": new,
        "total_tokens": prompt_tokens + new,
        "prompt_tokens_details": {"cached_tokens": min(cached, prompt_tokens)},
    }
