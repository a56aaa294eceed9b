"""Requests that nobody would write: generated from the API's own document, and mutated good ones.

Whatever comes, the server answers with its own errors, not with a fault (5xx), and works after.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from serverkit import Server, serving

pytestmark = pytest.mark.e2e
schemathesis = pytest.importorskip("schemathesis", reason="the fuzz tests need schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402

GOOD: dict[str, dict[str, Any]] = {
    "/v1/completions": {
        "model": "demo", "prompt": ["Once", "The"], "max_tokens": 3, "n": 2, "stop": ["x"],
        "temperature": 0.5, "top_p": 0.9, "seed": 1, "logprobs": 2, "presence_penalty": 0.1,
        "frequency_penalty": 0.1, "top_k": 5, "min_p": 0.01, "repetition_penalty": 1.1,
        "stream": False, "user": "u",
    },
    "/v1/chat/completions": {
        "model": "demo", "max_tokens": 3, "temperature": 0, "logprobs": True, "top_logprobs": 1,
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi!"}],
        "response_format": {"type": "json_object"}, "stream": True,
        "stream_options": {"include_usage": True},
    },
    "/tokenize": {"prompt": "Once", "add_special_tokens": True},
    "/detokenize": {"tokens": [1, 5, 9]},
}  # fmt: skip
ODD = [
    None, True, False, 0, -1, 1, 2, 10**9, -(10**9), 2**63, 10**400, 1e308, -1e308, 1e-320, 0.1,
    "", "x", "demo", "\u0000", "\ud800", "💥" * 50, "[INST]", "</s>", "a" * 5000, "NaN",
    [], [[]], [None], [1, "a"], ["a"] * 100, [1] * 3000, [[1], ["a"]], {}, {"type": "text"},
    {"a": {"b": {"c": []}}}, {"$ref": "#"}, [{"role": "user", "content": None}],
    {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}},
    {"type": "json_schema", "json_schema": {"schema": {"pattern": "(a+)+$", "type": "string"}}},
    {"type": "json_schema", "json_schema": {"schema": {"minLength": 10**6, "type": "string"}}},
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--max-batch", "8") as running:
        yield running
        # After all of it: nothing is held, nothing is broken.
        body = {"model": "demo", "prompt": "Once", "max_tokens": 3}
        assert running.post("/v1/completions", body).status_code == 200
        assert running.metric("kv_cache_pages_used") == 0
        assert running.metric("worker_restarts_total") == 0


def mutated(random_: random.Random, value: Any, depth: int = 0) -> Any:
    """A copy of ``value`` with one thing in it replaced, dropped, added or doubled."""
    if isinstance(value, dict) and value and random_.random() < 0.85:
        result = dict(value)
        key = random_.choice(list(result))
        change = random_.random()
        if change < 0.15:
            del result[key]
        elif change < 0.25:
            result[random_.choice([key.upper(), key + "s", "tools", "\u0000", ""])] = value[key]
        else:
            result[key] = mutated(random_, value[key], depth + 1)
        return result
    if isinstance(value, list) and value and random_.random() < 0.6:
        result = list(value)
        at = random_.randrange(len(result))
        result[at] = mutated(random_, result[at], depth + 1)
        return result * random_.choice([1, 1, 1, 2, 20])
    return random_.choice(ODD)


def fire(server: Server, random_: random.Random) -> None:
    path = random_.choice(list(GOOD))
    body: Any = GOOD[path]
    for _ in range(random_.choice([1, 1, 2, 4])):
        body = mutated(random_, body)
    raw = json.dumps(body).encode()
    if random_.random() < 0.1:
        at = random_.randrange(len(raw))
        raw = raw[:at] + bytes([random_.randrange(256)]) + raw[at + random_.randrange(3) :]
    reply = server.http.post(path, content=raw, headers={"Content-Type": "application/json"})
    assert reply.status_code < 500, (path, raw[:2000], reply.text)
    if reply.status_code != 200:
        assert reply.status_code in (400, 404, 413, 422, 429), (raw[:2000], reply.text)
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "requests",
    [pytest.param(1000, id="1000"), pytest.param(10_000, id="10000", marks=pytest.mark.slow)],
)
def test_mutated_requests(server: Server, requests: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    random_ = random.Random(seed)
    for number in range(requests):
        try:
            fire(server, random_)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, request {number}: {error}") from None


def test_what_the_document_allows(server: Server) -> None:
    document = server.http.get("/openapi.json").json()
    for path in ("/v1/completions", "/v1/chat/completions"):
        # Long answers would make the test slow and find nothing more.
        post = document["paths"][path]["post"]
        fields = post["requestBody"]["content"]["application/json"]["schema"]["properties"]
        for name in ("max_tokens", "max_completion_tokens"):
            fields.pop(name, None)
        fields["max_tokens"] = {"type": "integer", "minimum": 1, "maximum": 4}
        fields["n"] = {"type": "integer", "minimum": 1, "maximum": 2}
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server.url)
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation is None:
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=40, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def one(case: Any) -> None:
            reply = case.call(base_url=server.url, timeout=120)
            if case.method == "GET" and case.path == "/ready":
                return
            case.validate_response(reply, excluded_checks=EXCLUDED)

        one()


EXCLUDED = [
    # A null is refused or ignored by meaning, which a schema cannot say.
    schemathesis.checks.positive_data_acceptance,
    schemathesis.checks.negative_data_rejection,
] if hasattr(schemathesis.checks, "positive_data_acceptance") else []  # fmt: skip
