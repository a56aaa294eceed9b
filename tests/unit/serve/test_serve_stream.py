"""Streams whose tokens are handed on together say the same as those that hand on each one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from paddock.errors import UsageError
from paddock.inference.serve.config import ServeConfig
from serverkit import Server, serving

OPENING = "I love Beijing, because"
GREEDY = {"temperature": 0, "seed": 1, "max_tokens": 60, "ignore_eos": True}


@pytest.fixture(scope="module")
def each() -> Iterator[Server]:
    with serving("--stream-interval-ms", "0") as server:
        yield server


@pytest.fixture(scope="module")
def together() -> Iterator[Server]:
    with serving("--stream-interval-ms", "1000") as server:
        yield server


def chunks(server: Server, path: str, **fields: Any) -> list[Any]:
    body = {"model": "demo", **GREEDY, "stream": True, **fields}
    body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    lines = [line for line in server.post(path, body).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def put_together(parts: list[Any]) -> dict[int, dict[str, Any]]:
    """Each answer of a stream, as one that was not streamed would be."""
    answers: dict[int, dict[str, Any]] = {}
    for part in parts:
        for choice in part["choices"]:
            answer = answers.setdefault(choice["index"], {"text": "", "scored": {}, "end": None})
            assert answer["end"] is None, "something came after the end"
            answer["text"] += choice["text"] if "text" in choice else choice["delta"].get(
                "content", ""
            )  # fmt: skip
            for name, values in (choice["logprobs"] or {}).items():
                if values:
                    answer["scored"].setdefault(name, []).extend(values)
            answer["end"] = choice["finish_reason"]
    return answers


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/completions", {"prompt": OPENING}),
        ("/v1/completions", {"prompt": [OPENING, "Once"], "n": 2, "temperature": 0.8}),
        ("/v1/completions", {"prompt": OPENING, "logprobs": 2, "max_tokens": 20}),
        ("/v1/completions", {"prompt": OPENING, "echo": True, "stop": [" the", "q"]}),
        ("/v1/completions", {"prompt": OPENING, "max_tokens": 1}),
        ("/v1/completions", {"prompt": "日", "temperature": 1.9, "max_tokens": 40}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi!"}],
                                  "logprobs": True, "top_logprobs": 1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Name an animal."}],
                                  "response_format": {"type": "json_object"}}),
    ],
)  # fmt: skip
def test_the_same_is_said_in_fewer_chunks(
    each: Server, together: Server, path: str, fields: dict[str, Any]
) -> None:
    one_by_one, few = chunks(each, path, **fields), chunks(together, path, **fields)
    assert put_together(one_by_one) == put_together(few)
    assert len(few) <= len(one_by_one)
    counts = [parts[-1]["usage"] for parts in (one_by_one, few)]
    for usage in counts:
        del usage["prompt_tokens_details"]  # what was cached depends on what was asked before
    assert counts[0] == counts[1]
    whole = together.post(path, {"model": "demo", **GREEDY, **fields}).json()
    for choice in whole["choices"]:
        answer = put_together(few)[choice["index"]]
        text = choice["text"] if "text" in choice else choice["message"]["content"]
        assert (answer["text"], answer["end"]) == (text, choice["finish_reason"])
        scored = {name: value for name, value in (choice["logprobs"] or {}).items() if value}
        assert answer["scored"] == scored


def test_the_first_token_comes_alone_and_usage_counts_tokens(together: Server) -> None:
    parts = chunks(together, "/v1/completions", prompt=OPENING)
    made = [part["usage"]["completion_tokens"] for part in parts]
    assert made[0] == 1 and made[-1] == 60
    # 60 tokens of this model take far less than the second for which the others may wait.
    assert len(parts) <= 10
    assert put_together(parts)[0]["end"] == "length"


def test_times_of_tokens_are_the_engines_however_they_are_told() -> None:
    with serving("--stream-interval-ms", "1000", "--runtime", "torch", "--threads", "1") as server:
        asked = {"max_tokens": 400, "ignore_eos": True, "temperature": 0}
        server.complete("Once", **asked)
        name = "_seconds_sum"
        first, token, whole = (
            server.metric(kind + name)
            for kind in ("time_to_first_token", "time_per_output_token", "e2e_request_latency")
        )
        # Told at its end only, and yet its first token has its own time.
        assert 0 < first < whole / 2
        assert first + 399 * token == pytest.approx(whole, rel=0.2)


def test_what_is_no_interval() -> None:
    assert ServeConfig().stream_interval_s == 0.01
    assert ServeConfig(stream_interval_ms=0).stream_interval_s == 0
    for wrong in (-1, 1001, float("nan")):
        with pytest.raises(UsageError, match="stream_interval_ms is"):
            ServeConfig(stream_interval_ms=wrong)
    with pytest.raises(UsageError, match="not honoured by the vllm runtime") as caught:
        ServeConfig(stream_interval_ms=5, options={"runtime": "vllm"})
    assert "--stream-interval" in str(caught.value)
