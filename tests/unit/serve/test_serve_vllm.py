"""vLLM behind the server, played by a stand-in of its command line and HTTP. Not vLLM itself."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock import settings
from paddock.errors import UsageError
from paddock.inference.checkpoint.store import locate
from paddock.inference.runtimes.base import SamplingParams
from paddock.inference.serve.vllm.command import Command
from paddock.inference.serve.vllm.stream import Translator, body_of, stats_of
from paddock.inference.serve.wire import Ask, Scored
from serverkit import Server, serving

STAND_IN = Path(__file__).parents[2] / "vllm_stand_in.py"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bin") / "vllm"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def server(program: str) -> Iterator[Server]:
    options = ("--runtime", "vllm", "--vllm", program, "--tp", "2", "--dtype", "bf16")
    with serving(*options, "--max-batch", "4", "--max-seq-len", "512") as made:
        yield made


def test_how_it_was_started(server: Server) -> None:
    said = json.loads(server.wait_for(r"^stand-in (.*)")[1])
    argv = said["argv"]
    assert argv[0] == "serve"
    for name, value in (
        ("--host", "127.0.0.1"), ("--served-model-name", "demo"), ("--dtype", "bfloat16"),
        ("--max-num-seqs", "4"), ("--max-model-len", "512"), ("--tensor-parallel-size", "2"),
        ("--pipeline-parallel-size", "1"),
    ):  # fmt: skip
        assert argv[argv.index(name) + 1] == value
    assert "--api-key" not in argv  # a command line is everybody's to read


def test_whole_answers_and_usage(server: Server) -> None:
    answer = server.complete([1, 40], max_tokens=3, n=2).json()
    assert [choice["text"] for choice in answer["choices"]] == [" 41 42 43"] * 2
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["length"] * 2
    assert answer["usage"]["completion_tokens"] == 6
    ended = server.complete([1, 40], max_tokens=9, stop_token_ids=[43]).json()["choices"][0]
    assert (ended["text"], ended["finish_reason"]) == (" 41 42", "stop")


def test_streams_and_chats(server: Server) -> None:
    body = {"model": "demo", "prompt": [1, 40], "max_tokens": 2, "stream": True}
    with server.http.stream("POST", "/v1/completions", json=body) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    assert "".join(json.loads(line)["choices"][0]["text"] for line in lines[:-1]) == " 41 42"
    assert server.chat("Hello", max_tokens=2).status_code == 200


def test_logprobs_come_as_ids_and_are_spelled_here(server: Server) -> None:
    scores = server.complete([1, 40], max_tokens=2, logprobs=2).json()["choices"][0]["logprobs"]
    assert scores["token_logprobs"] == [-0.5, -0.5]
    assert list(scores["top_logprobs"][0].values()) == [-0.5, -1.5]


def test_what_it_refuses_is_refused(server: Server) -> None:
    shape = {"type": "json_object"}
    answer = server.complete([1, 40], max_tokens=2, response_format=shape)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_parameter")


def test_metrics_are_its_own_under_our_names(server: Server) -> None:
    server.complete([1, 40], max_tokens=2)
    for _ in range(100):
        if server.metric("prefix_cache_queries_total"):
            break
        threading.Event().wait(0.1)
    assert server.metric("prefix_cache_queries_total") >= 1
    assert server.metric("generation_tokens_total") >= 2


def test_a_death_costs_what_was_computed_and_it_comes_back(program: str) -> None:
    options = ("--runtime", "vllm", "--vllm", program, "--vllm-arg=--gpu-memory-utilization")
    with serving(*options, "--vllm-arg=0.8", "--log-format", "json") as server:
        answer = server.complete([1, 666], max_tokens=9)
        assert answer.status_code == 503
        assert "vLLM died" in answer.json()["error"]["message"]
        for _ in range(300):
            again = server.complete([1, 40], max_tokens=2)
            if again.status_code == 200:
                break
            assert again.status_code == 503
            threading.Event().wait(0.1)
        assert again.json()["choices"][0]["text"] == " 41 42"
        assert server.metric("worker_restarts_total") == 1
        assert server.end() == 0


def test_a_program_that_cannot_start_ends_the_server(program: str) -> None:
    options = ("--runtime", "vllm", "--vllm", program, "--vllm-arg=--no-such-option")
    with serving(*options, ready=False) as server:
        assert server.process.wait(60) == 1
        assert server.wait_for("vLLM ended with exit code 2")
    with serving("--runtime", "vllm", "--vllm", "/nowhere/vllm", ready=False) as server:
        assert server.process.wait(60) == 1
        assert server.wait_for("there is no program '/nowhere/vllm'")


def command(**options: Any) -> Command:
    demo = locate(None, settings.load())
    return Command.of(demo, "demo", 8, {"runtime": "vllm", "cache": "paged", **options})


def test_several_hosts() -> None:
    common = {"tp": 8, "pp": 2, "nnodes": 2, "rdzv_endpoint": "127.0.0.1:29411", "device": "npu"}
    first, second = (command(node_rank=i, **common) for i in range(2))
    words = first.argv(8001)
    assert words[words.index("--distributed-executor-backend") :] == [
        *("--distributed-executor-backend", "mp", "--nnodes", "2", "--node-rank", "0"),
        *("--master-addr", "127.0.0.1", "--master-port", "29411"),
    ]
    assert second.argv(8001)[-1] == "--headless"
    variables = second.variables()
    assert variables["VLLM_HOST_IP"] == "127.0.0.1"
    assert variables["HCCL_SOCKET_IFNAME"] == "=lo"
    assert "expandable_segments" in variables["PYTORCH_NPU_ALLOC_CONF"]
    assert "PYTORCH_NPU_ALLOC_CONF" not in command().variables()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kv": "int8"}, "kv is 'int8', which the vllm runtime does not have"),
        ({"quant": "int4"}, "quant is 'int4', which the vllm runtime does not have"),
        ({"device": "cpu"}, "vLLM on a CPU is not supported"),
        ({"dtype": "fp8"}, "dtype is 'fp8'"),
    ],
)
def test_options_that_it_does_not_have(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        command(**options)


def test_only_its_own_format_is_handed_to_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder in Hugging Face's layout"):
        Command.of(tmp_path, "x", 1, {})


def test_requests_and_chunks() -> None:
    sampling = SamplingParams(temperature=0.5, top_k=0, seed=7)
    ask = Ask([1, 2], sampling, 5, stop_ids=(2,), logprobs=1)
    body = body_of(ask, "m")
    assert (body["top_k"], body["seed"], body["stop_token_ids"]) == (-1, 7, [2])
    with pytest.raises(UsageError, match="response_format"):
        body_of(Ask([1], sampling, 5, grammar="x"), "m")
    scores = {"token_logprobs": [-1.0, -2.0], "top_logprobs": [{"token_id:5": -1.0}, None]}
    choice = {"index": 0, "text": "ab", "token_ids": [5, 6], "logprobs": scores,
              "finish_reason": "abort", "stop_reason": None}  # fmt: skip
    (piece,) = Translator(ask).pieces({"choices": [choice]})
    assert (piece.text, piece.tokens, piece.finish) == ("ab", 2, "cancelled")
    assert piece.scored == (Scored(5, "", -1.0, ((5, -1.0),)), Scored(6, "ab", -2.0))
    assert piece.usage is not None and piece.usage.new_tokens == 2
    assert list(Translator(ask).pieces({"choices": [], "usage": {"total_tokens": 3}})) == []


def test_statistics() -> None:
    text = 'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_running{engine="1"} 3.0\n'
    assert stats_of(text) == {"running": 5.0}
