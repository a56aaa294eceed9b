"""Between our requests and answers and vLLM's completions API, of which only tokens are used.

Prompts go as token ids and stop tokens as ids, so that tokenizer, chat template and what ends an
answer are this house's own, whatever computes. Source: docs.vllm.ai, "OpenAI-Compatible Server".
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paddock.errors import UsageError
from paddock.inference.engine.request import Finish, Usage
from paddock.inference.serve.wire import Ask, Piece, Scored

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
    """Turns the chunks of one request's stream into pieces; counts tokens answer by answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._made = [0] * ask.n
        self._cached = 0

    def pieces(self, chunk: Mapping[str, Any]) -> Iterator[Piece]:
        """One piece for each choice of a chunk; its tokens' time is that of the chunk."""
        now = time.monotonic()
        usage = chunk.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        self._cached = details.get("cached_tokens") or self._cached
        for choice in chunk.get("choices", ()):
            index = choice.get("index", 0)
            tokens = choice.get("token_ids") or []
            text = choice.get("text") or ""
            self._made[index] += len(tokens)
            finish = choice.get("finish_reason")
            if not tokens and not text and finish is None:
                continue
            yield Piece(
                0,
                index,
                text,
                len(tokens),
                now,
                now,
                _FINISH.get(finish, "cancelled") if finish else None,
                self._usage(index) if finish else None,
                _scored(choice.get("logprobs"), tokens, text),
            )

    def _usage(self, index: int) -> Usage:
        return Usage(len(self._ask.prompt), self._made[index], self._cached, 0, 0)


def _scored(scores: Any, tokens: Sequence[int], text: str) -> tuple[Scored, ...]:
    """The log probabilities of a chunk's tokens, if there are any; all text is the last one's."""
    if not scores:
        return ()
    found = []
    listed = scores.get("top_logprobs") or []
    for at, token in enumerate(tokens):
        top = (listed[at] if at < len(listed) else None) or {}
        best = sorted(top.items(), key=lambda item: -item[1])
        found.append(
            Scored(
                token,
                text if at == len(tokens) - 1 else "",
                scores["token_logprobs"][at],
                tuple((int(name.removeprefix(_PREFIX)), value) for name, value in best),
            )
        )
    return tuple(found)


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
