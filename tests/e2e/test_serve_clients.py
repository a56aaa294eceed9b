"""Clients that nobody here wrote, besides OpenAI's own: LangChain's chat model, and curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from serverkit import Server, serving

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def test_langchain(server: Server) -> None:
    langchain = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    model = langchain.ChatOpenAI(
        model="demo",
        base_url=f"{server.url}/v1",
        api_key="none",
        temperature=0,
        seed=1,
        max_retries=0,
    )
    messages = [("system", "Be brief."), ("human", "What colour is the sky?")]
    whole = model.invoke(messages)
    assert whole.content
    assert whole.usage_metadata["output_tokens"] > 0
    assert "".join(piece.content for piece in model.stream(messages)) == whole.content
    schema = {
        "title": "animal",
        "type": "object",
        "properties": {"name": {"enum": ["dog", "cat"]}},
        "required": ["name"],
        "additionalProperties": False,
    }
    structured = model.with_structured_output(schema, method="json_schema")
    assert structured.invoke("Name an animal.")["name"] in ("dog", "cat")


def test_curl(server: Server) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    body = {"model": "demo", "prompt": "LLaMA is a", "max_tokens": 8, "stream": True}
    done = subprocess.run(
        [
            *("curl", "-sN", f"{server.url}/v1/completions"),
            *("-H", "Content-Type: application/json", "-d", json.dumps(body)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[0].removeprefix("data: "))["choices"][0]["text"]
