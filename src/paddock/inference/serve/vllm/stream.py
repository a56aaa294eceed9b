"""Between our requests and events and vLLM's completions API, of which only tokens are used.

Prompts go as token ids and stop tokens as ids, so that tokenizer, chat template and what ends an
answer are this house's own, whatever computes. Source: docs.vllm.ai, "OpenAI-Compatible Server".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from paddock.errors import UsageError
from paddock.inference.engine.request import Event, Finish, Usage
from paddock.inference.serve.wire import Ask

_FINISH: dict[str, Finish] = {"stop": "stop", "length": "length"}
_PREFIX = "token_id:"


def body_of(ask: Ask, model: str) -> dict[str, Any]:
    """The request. Raises UsageError for what vLLM would do in another way than it was meant."""
    if ask.grammar is not None:
        raise UsageError(
            "response_format is not supported with the vllm runtime",
            hint="its grammars are not the ones that this server compiles",
        )
    sampling = ask.sampling
    return {
        "model": model,
        "prompt": ask.prompt,
        "max_tokens": ask.max_new_tokens,
        "n": ask.n,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or -1,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "stop": list(ask.stop),
        "stop_token_ids": list(ask.stop_ids),
        "ignore_eos": True,  # the model's own are among stop_token_ids, unless they do not count
        "add_special_tokens": False,
        "logprobs": ask.logprobs,
        "return_tokens_as_token_ids": True,
        "return_token_ids": True,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }


class Translator:
    """Turns the chunks of one request's stream into events; counts tokens answer by answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._made = [0] * ask.n
        self._cached = 0

    def events(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """One event for each token, the text with the last of a chunk's."""
        usage = chunk.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        self._cached = details.get("cached_tokens") or self._cached
        for choice in chunk.get("choices", ()):
            index = choice.get("index", 0)
            tokens = choice.get("token_ids") or []
            scores = choice.get("logprobs")
            self._made[index] += len(tokens)
            finish = choice.get("finish_reason")
            for i, token in enumerate(tokens[:-1]):
                yield Event(0, token, "", None, index, *_scored(scores, i))
            last = len(tokens) - 1
            if not tokens and not choice.get("text") and finish is None:
                continue
            yield Event(
                0,
                tokens[-1] if tokens else None,
                choice.get("text") or "",
                _FINISH.get(finish, "cancelled") if finish else None,
                index,
                *(_scored(scores, last) if tokens else (None, ())),
                choice.get("stop_reason"),
                self._usage(index) if finish else None,
            )

    def _usage(self, index: int) -> Usage:
        return Usage(len(self._ask.prompt), self._made[index], self._cached, 0, 0)


def _scored(scores: Any, at: int) -> tuple[float | None, tuple[tuple[int, float], ...]]:
    """The log probability of a chunk's token ``at``, and the likeliest ones as ids."""
    if not scores:
        return None, ()
    tops = (scores.get("top_logprobs") or [])[at : at + 1] or [{}]
    listed = sorted((tops[0] or {}).items(), key=lambda item: -item[1])
    top = tuple((int(name.removeprefix(_PREFIX)), value) for name, value in listed)
    return scores["token_logprobs"][at], top


def stats_of(text: str) -> dict[str, float]:
    """Our engine's statistics by their names, from vLLM's /metrics."""
    totals: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("vllm:"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            totals[name] = totals.get(name, 0.0) + float(value)
    return {ours: totals[theirs] for theirs, ours in _METRICS.items() if theirs in totals}


_METRICS = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:num_preemptions_total": "preemptions",
    "vllm:prefix_cache_queries_total": "prompt_tokens",
    "vllm:prefix_cache_hits_total": "cached_tokens",
    "vllm:spec_decode_num_draft_tokens_total": "drafted",
    "vllm:spec_decode_num_accepted_tokens_total": "accepted",
}
