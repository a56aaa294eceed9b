"""The API as clients see it: what is answered, what is refused and how, by a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from serverkit import Server, serving

GREEDY = {"temperature": 0, "seed": 1}
OPENING = "I love Beijing, because"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def events(text: str) -> list[Any]:
    lines = [line for line in text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


# --- the official client ------------------------------------------------------------------------


def test_chat_by_the_official_client(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi!"}]
    whole = client.chat.completions.create(model="demo", messages=messages, **GREEDY)
    assert whole.choices[0].message.role == "assistant"
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    pieces = list(
        client.chat.completions.create(
            model="demo", messages=messages, stream=True, stream_options={"include_usage": True},
            **GREEDY,
        )
    )  # fmt: skip
    assert pieces[0].choices[0].delta.role == "assistant"
    text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert text == whole.choices[0].message.content
    assert [p.choices[0].finish_reason for p in pieces if p.choices][-1] == "stop"
    assert pieces[-1].choices == []
    assert pieces[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({p.id for p in pieces}) == 1


def test_token_counts_in_every_chunk(server: Server, client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "demo", "prompt": "LLaMA is a", "max_tokens": 9, **GREEDY}
    counted = {"include_usage": True, "continuous_usage_stats": True}
    pieces = list(client.completions.create(stream=True, stream_options=counted, **asked))
    made = [piece.usage.completion_tokens for piece in pieces]
    assert made == sorted(made) and made[-1] == 9 and made[0] <= 2
    prompts = {piece.usage.prompt_tokens for piece in pieces}
    assert len(prompts) == 1 and pieces[-1].usage.total_tokens == 9 + prompts.pop()
    reply = server.post(
        "/v1/completions",
        {**asked, "stream": True, "stream_options": {"continuous_usage_stats": True}},
    )
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "stream_options.continuous_usage_stats"


def test_asynchronous_client(server: Server) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:

            async def one(text: str) -> str:
                parts = []
                async for piece in await client.completions.create(
                    model="demo", prompt=text, stream=True, max_tokens=12, **GREEDY
                ):
                    parts.append(piece.choices[0].text)
                return "".join(parts)

            return await asyncio.gather(*(one(text) for text in [OPENING, "Once", OPENING]))

    answers = asyncio.run(ask())
    assert answers[0] == answers[2] and answers[0] and answers[1] != answers[0]


def test_structured_output_by_the_official_client(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "animal": {"enum": ["dog", "horse", "llama"]},
            "legs": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["animal", "legs"],
        "additionalProperties": False,
    }
    for stream in (False, True):
        reply: Any = client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": "Name an animal."}],
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
            max_tokens=60,
            stream=stream,
            **GREEDY,
        )
        if stream:
            text = "".join(p.choices[0].delta.content or "" for p in reply)
        else:
            text = reply.choices[0].message.content
        value = json.loads(text)
        assert set(value) == {"animal", "legs"}
        assert value["animal"] in ("dog", "horse", "llama") and 0 <= value["legs"] <= 9


def test_errors_reach_the_official_client_as_its_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'gpt-9' is not served here; 'demo' is"):
        client.completions.create(model="gpt-9", prompt="x")
    with pytest.raises(openai.UnprocessableEntityError, match="temperature"):
        client.completions.create(model="demo", prompt="x", temperature=-5)
    with pytest.raises(openai.BadRequestError, match="logit_bias is not supported") as caught:
        client.completions.create(model="demo", prompt="x", logit_bias={"5": 1})
    assert caught.value.param == "logit_bias"
    with pytest.raises(openai.BadRequestError, match="not supported: this server runs"):
        client.embeddings.create(model="demo", input="x")
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").id == "demo"


# --- what the fields do -------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_text(server: Server) -> None:
    ask = {"max_tokens": 20, "temperature": 1.2}
    texts = [server.complete("The", seed=seed, **ask).json()["choices"][0]["text"]
             for seed in (7, 7, 8)]  # fmt: skip
    assert texts[0] == texts[1] != texts[2]


def test_several_prompts_and_answers_come_in_order(server: Server) -> None:
    body = server.complete([OPENING, "Once"], n=2, max_tokens=8, **GREEDY).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    texts = [choice["text"] for choice in body["choices"]]
    assert texts[0] == texts[1] and texts[2] == texts[3] and texts[0] != texts[2]
    alone = server.complete("Once", max_tokens=8, **GREEDY).json()
    assert alone["choices"][0]["text"] == texts[2]
    assert body["usage"]["completion_tokens"] == 32
    pieces = events(
        server.complete([OPENING, "Once"], n=2, max_tokens=8, stream=True, **GREEDY).text
    )
    streamed = ["", "", "", ""]
    for piece in pieces:
        for choice in piece["choices"]:
            streamed[choice["index"]] += choice["text"]
    assert streamed == texts


def test_token_ids_are_a_prompt_too(server: Server) -> None:
    ids = server.post("/tokenize", {"prompt": OPENING}).json()
    assert ids["count"] == len(ids["tokens"]) and ids["max_model_len"] >= 512
    by_ids = server.complete(ids["tokens"], max_tokens=8, **GREEDY).json()
    by_text = server.complete(OPENING, max_tokens=8, **GREEDY).json()
    assert by_ids["choices"] == by_text["choices"]
    assert server.post("/detokenize", {"tokens": ids["tokens"]}).json()["prompt"] == OPENING


@pytest.mark.parametrize("stream", [False, True])
def test_echo_and_stop(server: Server, stream: bool) -> None:
    whole = server.complete(OPENING, max_tokens=30, **GREEDY).json()["choices"][0]["text"]
    word = whole.split()[3]
    reply = server.complete(
        OPENING, max_tokens=30, stop=["never said", word], echo=True, stream=stream, **GREEDY
    )
    if stream:
        choices = [p["choices"][0] for p in events(reply.text)]
    else:
        choices = reply.json()["choices"]
    text = "".join(choice["text"] for choice in choices)
    assert text == OPENING + whole[: whole.index(word)]
    assert choices[-1]["finish_reason"] == "stop"


def test_logprobs_of_both_kinds(server: Server) -> None:
    legacy = server.complete(OPENING, max_tokens=5, logprobs=3, **GREEDY).json()["choices"][0]
    scored = legacy["logprobs"]
    assert "".join(scored["tokens"]) == legacy["text"]
    assert all(len(top) == 3 for top in scored["top_logprobs"])
    for token, value, top in zip(
        scored["tokens"], scored["token_logprobs"], scored["top_logprobs"], strict=True
    ):
        assert top[token] == value == max(top.values()) <= 0
    offsets = scored["text_offset"]
    assert offsets[0] == 0 and offsets == sorted(offsets)
    chat = server.chat("Hi!", logprobs=True, top_logprobs=2, max_tokens=4, **GREEDY).json()
    content = chat["choices"][0]["logprobs"]["content"]
    assert len(content) == 4
    for one in content:
        assert bytes(one["bytes"]).decode() == one["token"]
        assert one["top_logprobs"][0]["logprob"] == one["logprob"]
        assert len(one["top_logprobs"]) == 2


def test_the_answer_ends_at_the_context(server: Server) -> None:
    ids = [1] + [100] * 1000
    body = server.complete(ids, max_tokens=500, ignore_eos=True, **GREEDY).json()
    assert body["usage"]["total_tokens"] == 1024
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    again = server.complete(ids, max_tokens=2, **GREEDY).json()
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] >= 900


def test_an_answer_is_the_same_among_others(server: Server) -> None:
    alone = server.complete("Once upon a time", max_tokens=40, **GREEDY).json()["choices"]

    async def crowd() -> list[Any]:
        import httpx

        async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:

            def ask(prompt: str) -> Any:
                body = {"model": "demo", "prompt": prompt, "max_tokens": 40, **GREEDY}
                return client.post("/v1/completions", json=body)

            others = [ask(f"Number {i} is") for i in range(31)]
            replies = await asyncio.gather(ask("Once upon a time"), *others)
            return [reply.json()["choices"] for reply in replies]

    assert asyncio.run(crowd())[0] == alone


# --- what is refused ----------------------------------------------------------------------------

REFUSED = [
    ("completions", {"prompt": "x", "temperature": 2.1}, 422, "temperature"),
    ("completions", {"prompt": "x", "temperature": "1"}, 422, "temperature"),
    ("completions", {"prompt": "x", "temperature": True}, 422, "temperature"),
    ("completions", {"prompt": "x", "top_p": 0}, 422, "top_p"),
    ("completions", {"prompt": "x", "n": 0}, 422, "n"),
    ("completions", {"prompt": "x", "max_tokens": 0}, 422, "max_tokens"),
    ("completions", {"prompt": "x", "stop": ["a"] * 17}, 422, "stop"),
    ("completions", {"prompt": "x", "stop": "\ud800"}, 422, "stop"),
    ("completions", {"prompt": "x", "logprobs": 21}, 422, "logprobs"),
    ("completions", {"prompt": []}, 422, "prompt"),
    ("completions", {"prompt": [[]]}, 422, "prompt"),
    ("completions", {"prompt": [-1]}, 422, "prompt"),
    ("completions", {"prompt": [10**9]}, 400, "prompt"),
    ("completions", {"prompt": {"a": 1}}, 422, "prompt"),
    ("completions", {"prompt": "\ud800"}, 400, "prompt"),
    ("completions", {}, 422, "prompt"),
    ("completions", {"prompt": "x", "best_of": 2}, 400, "best_of"),
    ("completions", {"prompt": "x", "suffix": "y"}, 400, "suffix"),
    ("completions", {"prompt": "x", "tempreature": 1}, 400, "tempreature"),
    ("completions", {"prompt": "x", "stream_options": {}}, 400, "stream_options"),
    ("completions", {"prompt": "x", "echo": True, "logprobs": 1}, 400, "echo"),
    ("completions", {"prompt": [5] * 2000}, 400, "prompt"),
    ("chat/completions", {"messages": []}, 422, "messages"),
    ("chat/completions", {"messages": [{"role": "user"}]}, 422, "messages"),
    ("chat/completions", {"messages": [{"role": "boss", "content": "x"}]}, 422, "messages"),
    ("chat/completions", {"messages": [{"role": "assistant", "content": "x"}]}, 400, "messages"),
    ("chat/completions", {"top_logprobs": 1}, 400, "top_logprobs"),
    ("chat/completions", {"tools": [{"type": "function"}]}, 400, "tools"),
    ("chat/completions", {"tool_choice": "auto"}, 400, "tool_choice"),
    ("chat/completions", {"max_tokens": 1, "max_completion_tokens": 2}, 400, "max_tokens"),
    ("chat/completions", {"response_format": {"type": "json_schema"}}, 400, "response_format"),
    ("chat/completions", {"response_format": {"type": "json_schema", "json_schema":
        {"schema": {"type": "nonsense"}}}}, 400, "response_format"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "status", "param"), REFUSED)
def test_bad_fields_are_named(
    server: Server, path: str, fields: dict[str, Any], status: int, param: str
) -> None:
    if path.startswith("chat"):
        fields = {"messages": [{"role": "user", "content": "x"}], **fields}
    content = json.dumps({"model": "demo", **fields})
    headers = {"Content-Type": "application/json"}
    reply = server.http.post(f"/v1/{path}", content=content, headers=headers)
    error = reply.json()["error"]
    assert reply.status_code == status, error
    assert error["param"].partition(".")[0] == param
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "fields", [{"tools": []}, {"tools": None}, {"logit_bias": {}}, {"store": False}, {"user": "u"},
               {"temperature": None}, {"stop": None}, {"stream": None}, {"seed": -5},
               {"top_k": 10**30}, {"stop_token_ids": [10**30]}, {"seed": -(2**63)}],
)  # fmt: skip
def test_fields_that_ask_for_nothing_are_no_error(server: Server, fields: dict[str, Any]) -> None:
    assert server.chat("Hi!", max_tokens=2, **fields).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("[1]", "application/json", 422),
        ('{"model": "demo", "prompt": NaN}', "application/json", 400),
        ("[" * 50000, "application/json", 400),
        ("{}", "text/plain", 415),
        ("{}", "", 415),
    ],
)
def test_bodies_that_are_no_requests(server: Server, content: str, kind: str, status: int) -> None:
    reply = server.http.post("/v1/completions", content=content, headers={"Content-Type": kind})
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


def test_paths_and_methods_that_do_not_exist(server: Server) -> None:
    assert server.http.get("/v2").status_code == 404
    assert "GET is not possible" in server.http.get("/v1/completions").json()["error"]["message"]
    assert server.http.get("/v1/completions").status_code == 405
    assert server.http.get("/v1/models/other").json()["error"]["code"] == "model_not_found"


def test_nothing_was_lost_and_no_page_is_held(server: Server) -> None:
    server.complete("Once", max_tokens=3, **GREEDY)
    assert server.metric("num_requests_running") == 0
    assert server.metric("num_requests_waiting") == 0
    assert server.metric("kv_cache_pages_used") == 0
    assert server.metric("http_responses_total", status="500") == 0
    ended = server.metric("request_success_total")
    assert ended == server.metric("e2e_request_latency_seconds_count") > 50


def test_the_document_says_what_there_is(server: Server) -> None:
    document = server.http.get("/openapi.json").json()
    paths = set(document["paths"])
    assert {"/v1/completions", "/v1/chat/completions", "/v1/models", "/metrics"} <= paths
    body = document["paths"]["/v1/completions"]["post"]["requestBody"]
    fields = body["content"]["application/json"]["schema"]["properties"]
    assert "prompt" in fields and "temperature" in fields
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        at: Any = document
        for key in reference.removeprefix("#/").split("/"):
            at = at[key]
