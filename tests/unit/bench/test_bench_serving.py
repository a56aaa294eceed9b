"""Measuring a server: what is sent and when, what counts as an answer, and what failures are."""

from __future__ import annotations

import json
import re
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from paddock.bench import report, result
from paddock.bench.serving.client import Reply, Target, message_of
from paddock.bench.serving.load import Load
from paddock.bench.serving.measure import measure
from paddock.bench.serving.plot import plot
from paddock.bench.serving.served import percentiles
from paddock.errors import BenchError, UsageError

Script = Callable[["Handler", dict[str, Any], int], None]


class Handler(BaseHTTPRequestHandler):
    """Answers as ``script`` says: the handler, the request's body, how many came before it."""

    protocol_version = "HTTP/1.1"
    script: Script
    seen: list[dict[str, Any]]

    def do_GET(self) -> None:
        self.whole(200, {"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append({**body, "path": self.path, "key": self.headers.get("Authorization")})
        type(self).script(self, body, len(self.seen) - 1)

    def whole(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, *lines: str | float) -> None:
        """Strings are lines of the stream, numbers seconds of silence."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        for line in lines:
            if isinstance(line, str):
                self.wfile.write(line.encode() + b"\n\n")
                self.wfile.flush()
            else:
                time.sleep(line)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


class Listener(ThreadingHTTPServer):
    request_queue_size = 64


def text(word: str, **more: Any) -> str:
    return "data: " + json.dumps({"choices": [{"text": word}], **more})


def said(word: str) -> str:
    return "data: " + json.dumps({"choices": [{"delta": {"content": word}}]})


USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}'
GOOD = (text("a"), text("b"), text("c"), USAGE, "data: [DONE]")


@pytest.fixture
def server() -> Iterator[Callable[[Script], str]]:
    running: list[ThreadingHTTPServer] = []

    def start(script: Script) -> str:
        handler = type("One", (Handler,), {"script": staticmethod(script), "seen": []})
        made = Listener(("127.0.0.1", 0), handler)
        Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        running.append(made)
        return f"http://127.0.0.1:{made.server_address[1]}"

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


SMALL = Load(requests=4, concurrency=2, prompt_tokens=5, new_tokens=3)


def test_times_tokens_and_rates(server: Callable[[Script], str], tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        asked.append(handler.seen[-1])
        handler.stream(0.1, GOOD[0], 0.05, GOOD[1], 0.05, *GOOD[2:])

    url = server(script)
    ticks: list[tuple[int, int]] = []
    found = measure(Target(url, key="k"), SMALL, lambda *tick: ticks.append(tick))
    (run,) = found.runs
    assert ticks == [(i, 4) for i in range(1, 5)]
    assert run.runtime == "m" and run.served is not None
    served = run.served
    assert (served.requests, served.answered, served.failed) == (4, 4, {})
    assert (served.prompt_tokens, served.new_tokens, served.counted) == (28, 12, "server")
    figures = {name: figure.values for name, figure in run.figures.items()}
    assert len(figures["ttft"].samples) == 4 and figures["ttft"].min >= 0.1
    # A little less than the server waits: its words may reach a busy client late.
    assert figures["tpot"].min >= 0.03 and figures["stall"].min >= 0.03
    assert figures["e2e"].min >= 0.2
    # Two at once: 0.4 s at least for four.
    assert served.wall_s >= 0.4
    assert figures["output"].median == pytest.approx(12 / served.wall_s)
    assert figures["total"].median == pytest.approx(40 / served.wall_s)
    assert served.percentiles["ttft"]["p50"] == figures["ttft"].median
    # What was sent: the same fields for all, one prompt each, the key.
    assert len(asked) == 5 and len({one["prompt"] for one in asked}) == 5
    assert {len(one["prompt"].split()) for one in asked} == {5}
    for one in asked:
        assert one["key"] == "Bearer k" and one["path"] == "/v1/completions"
        assert (one["max_tokens"], one["temperature"], one["model"]) == (3, 0, "m")
        assert one["stream"] and one["stream_options"] == {"include_usage": True}
        assert one["ignore_eos"] is True
    # Saved, read and shown again.
    file = tmp_path / "r.json"
    result.save(found, file)
    assert result.read(file) == found
    shown = report.markdown(result.read(file))
    assert "| time to first token | ms |" in shown and "2 clients" in shown
    picture = ElementTree.fromstring(plot([found, found]))
    curves = [one for one in picture.iter() if one.tag.endswith("polyline")]
    assert len(curves) == 2 * 3 * 2  # two results, three kinds of time, curve and legend


def test_a_conversation_is_asked_and_pieces_are_counted_where_the_server_does_not(
    server: Callable[[Script], str],
) -> None:
    asked: list[dict[str, Any]] = []

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        asked.append(body)
        role = 'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}'
        handler.stream(": a comment", role, said("a"), said("b"), "data: [DONE]")

    (run,) = measure(Target(server(script), chat=True, ignore_eos=False), SMALL).runs
    assert run.served is not None
    assert (run.served.new_tokens, run.served.counted) == (8, "pieces")
    assert run.served.prompt_tokens is None and "total" not in run.figures
    assert "ignore_eos" not in asked[0] and asked[0]["messages"][0]["role"] == "user"


def test_tokens_of_a_server_that_does_not_count_are_not_its_pieces(
    server: Callable[[Script], str],
) -> None:
    last = 'data: {"choices": [{"text": " d", "finish_reason": "length"}]}'

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.stream(text("a"), text(" b c"), last, "data: [DONE]")

    (run,) = measure(Target(server(script)), replace(SMALL, new_tokens=7)).runs
    assert run.served is not None
    # It says that the answers ended at their limit, which is seven tokens.
    assert (run.served.new_tokens, run.served.counted) == (28, "server")
    # Several tokens may come in one piece: the time of one is not that between two pieces.
    reply = Reply("ok", 1.0, pieces=(0.1, 0.4, 0.5), counted_tokens=5)
    assert reply.per_token_s == pytest.approx(0.1) and reply.gaps == pytest.approx([0.3, 0.1])


def test_a_kept_connection_that_is_closed_is_asked_anew(server: Callable[[Script], str]) -> None:
    ports: list[int] = []

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        ports.append(handler.client_address[1])
        if ports.count(ports[-1]) == 2:
            # As llama.cpp's server does after some answers: nothing was said, and nothing comes.
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        lines = "".join(line + "\n\n" for line in GOOD).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(lines)))
        handler.end_headers()
        handler.wfile.write(lines)

    (run,) = measure(Target(server(script)), replace(SMALL, concurrency=1)).runs
    assert run.served is not None and run.served.answered == 4
    # Five answers, the first for warming up: a kept connection fails, and the next one is new.
    assert [ports.count(port) for port in dict.fromkeys(ports)] == [2, 1, 2, 1, 1]


LATER: dict[str, tuple[Script, str]] = {
    "429": (lambda h, b, n: h.whole(429, {"error": {"message": "full"}}), "full"),
    "500": (lambda h, b, n: h.whole(500, {"detail": "oh"}), "oh"),
    "timeout": (lambda h, b, n: h.stream(text("a"), 3.0), "no end within 1 s"),
    "no text": (lambda h, b, n: h.stream(USAGE, "data: [DONE]"), ""),
    "no end": (lambda h, b, n: h.stream(text("a")), r"without \[DONE\]"),
    "no JSON": (lambda h, b, n: h.stream(text("a"), "data: {"), "data|JSON"),
    "error": (lambda h, b, n: h.stream(text("a"), 'data: {"error": {"message": "died"}}'), "died"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LATER)
def test_what_fails_later_is_counted_by_kind(server: Callable[[Script], str], kind: str) -> None:
    script, message = LATER[kind]

    def one_fails(handler: Handler, body: dict[str, Any], number: int) -> None:
        if number == 2:
            script(handler, body, number)
        else:
            handler.stream(*GOOD)

    found = measure(Target(server(one_fails), timeout=1), SMALL)
    served = found.runs[0].served
    assert served is not None
    state = kind if kind.isdigit() or kind in ("timeout", "no text") else "broken stream"
    assert served.failed == {state: 1} and served.answered == 3
    assert re.search(message, served.messages[state])
    assert "not answered" in report.markdown(found)
    # Its times are in no figure.
    assert len(found.runs[0].figures["e2e"].values.samples) == 3


def test_what_fails_first_is_an_error(server: Callable[[Script], str]) -> None:
    def refuse(status: int, message: str) -> Script:
        return lambda handler, body, number: handler.whole(status, {"error": {"message": message}})

    for status, hint in ((401, "--api-key-file"), (429, "is full"), (400, "--no-ignore-eos")):
        with pytest.raises(BenchError, match=f"status {status}: no") as raised:
            measure(Target(server(refuse(status, "no"))), SMALL)
        assert hint in (raised.value.hint or "")
    with pytest.raises(BenchError, match="none of 4 requests was answered: 429: no"):
        measure(Target(server(refuse(429, "no"))), replace(SMALL, warm_up=0))
    with pytest.raises(BenchError, match="does not serve the model 'x'; it serves 'm'"):
        measure(Target(server(refuse(500, "")), model="x"), SMALL)
    with pytest.raises(BenchError, match="no server answers"):
        measure(Target("http://127.0.0.1:9"), SMALL)
    with pytest.raises(BenchError, match="no URL"):
        measure(Target("127.0.0.1"), SMALL)
    with pytest.raises(UsageError, match="text, not token ids"):
        measure(Target("http://127.0.0.1:9", chat=True), replace(SMALL, ids_of="demo"))


def test_requests_arrive_by_chance_and_wait_for_nobody(server: Callable[[Script], str]) -> None:
    times = Load(requests=4000, concurrency=None, rate=50, seed=3).arrivals()
    assert times == Load(requests=4000, concurrency=None, rate=50, seed=3).arrivals()
    gaps = np.diff([0, *times])
    # Of an exponential distribution mean and deviation are the same.
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.1)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.1)
    open_ = replace(SMALL, concurrency=None, rate=1000.0, requests=20)
    url = server(lambda handler, body, number: handler.stream(0.5, *GOOD))
    served = measure(Target(url), open_).runs[0].served
    # One after the other it would take ten seconds.
    assert served is not None and served.answered == 20 and served.wall_s < 5


def test_prompts_are_drawn_from_a_seed() -> None:
    words = [str(prompt) for prompt in SMALL.prompts()]
    assert words == SMALL.prompts() and words != replace(SMALL, seed=1).prompts()
    ids = replace(SMALL, ids_of="demo").prompts()
    assert [len(prompt) for prompt in ids] == [5] * 5 and all(one[0] == 1 for one in ids)
    for wrong in ({"concurrency": 2, "rate": 1.0}, {"concurrency": None}, {"concurrency": 0},
                  {"concurrency": None, "rate": -1.0}, {"requests": 0}):  # fmt: skip
        with pytest.raises(UsageError):
            replace(SMALL, **wrong)


def test_percentiles_are_numpys() -> None:
    samples = [statistics.NormalDist().inv_cdf((i + 1) / 38) for i in range(37)]
    found = percentiles(samples[::-1])
    for share in (50, 90, 95, 99):
        assert found[f"p{share}"] == pytest.approx(float(np.percentile(samples, share)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "a", "type": "x"}}', "a"),
        (b'{"error": "b"}', "b"),
        (b'{"detail": [{"msg": "c"}]}', "[{'msg': 'c'}]"),
        (b"<html>", "<html>"),
        (b"\xff", "�"),
    ],
)
def test_errors_of_any_shape_are_read(body: bytes, message: str) -> None:
    assert message_of(body) == message
