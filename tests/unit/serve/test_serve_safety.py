"""What keeps a server up and to itself: keys, limits, draining, a worker that dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from paddock import errors
from paddock.errors import PaddockError, UsageError
from paddock.inference.serve import keys
from paddock.inference.serve.config import ServeConfig, from_mapping
from paddock.inference.serve.supervisor import _again
from serverkit import serving

LONG = {"max_tokens": 900, "ignore_eos": True, "temperature": 0}
SLOW = ("--runtime", "torch", "--threads", "1")
"""Where an answer must last some seconds: the native runtime makes 900 tokens in 0.2 s."""


# --- configuration ------------------------------------------------------------------------------


def test_other_machines_need_a_key(tmp_path: Path) -> None:
    assert ServeConfig(host="localhost").loopback and ServeConfig(host="::1").loopback
    with pytest.raises(UsageError, match=r"0\.0\.0\.0 can be reached.*--insecure"):
        ServeConfig(host="0.0.0.0")
    assert not ServeConfig(host="0.0.0.0", insecure=True).loopback
    assert not ServeConfig(host="0.0.0.0", api_key_file=tmp_path).loopback


def test_files_say_what_is_wrong_with_them() -> None:
    assert from_mapping({"max-batch": 3}, "f") == {"max_batch": 3}
    with pytest.raises(UsageError, match="f: unknown key 'prot'; did you mean 'port'"):
        from_mapping({"prot": 3}, "f")
    for wrong in ({"port": "3"}, {"insecure": 1}, {"port": True}, {"cors_origins": [1]}):
        with pytest.raises(UsageError, match="f: "):
            from_mapping(wrong, "f")
    with pytest.raises(UsageError, match="port is 70000"):
        ServeConfig(port=70000)


def test_keys_are_kept_as_digests_only(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    alice, bob = keys.add(file, "alice"), keys.add(file, "bob")
    assert alice != bob and alice not in file.read_text() and file.stat().st_mode & 0o777 == 0o600
    known = keys.read(file)
    assert (known.owner(alice), known.owner(bob), known.owner(alice + "x")) == (
        "alice",
        "bob",
        None,
    )
    with pytest.raises(UsageError, match="has a key for 'bob' already"):
        keys.add(file, "bob")
    with pytest.raises(UsageError, match="no name for a key"):
        keys.add(file, "a:b")
    file.write_text("# nobody\n")
    with pytest.raises(UsageError, match="holds no key"):
        keys.read(file)
    file.write_text("alice:secret\n")
    with pytest.raises(UsageError, match="line 1: this is no name:sha256"):
        keys.read(file)


# --- a running server ---------------------------------------------------------------------------


def test_keys_guard_everything_but_health_and_the_page(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "paddock", "key", "new", "alice", "--file", str(tmp_path / "keys")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = made.stdout.strip()
    log = "--log-format", "json"
    with serving("--api-key-file", str(tmp_path / "keys"), *log) as server:
        for path in ("/health", "/ready", "/"):
            assert server.http.get(path).status_code == 200
        for path in ("/v1/models", "/metrics"):
            assert server.http.get(path).status_code == 401
        refused = server.chat("Hi!")
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        wrong = server.post("/v1/completions", {}, headers={"Authorization": "Bearer pk-wrong"})
        assert wrong.json()["error"]["code"] == "invalid_api_key"
        allowed = {"Authorization": f"Bearer {key}"}
        assert server.http.get("/v1/models", headers=allowed).status_code == 200
        server.http.headers.update(allowed)
        assert server.chat("a most secret word", max_tokens=2).status_code == 200
        server.end()
        logged = [json.loads(line) for line in server.lines]
    assert any(line.get("key") == "alice" and line["status"] == 200 for line in logged)
    text = "\n".join(server.lines)
    assert "secret word" not in text and key not in text and "pk-wrong" not in text


def test_prompts_are_logged_only_if_asked() -> None:
    with serving("--log-prompts") as server:
        server.chat("a most peculiar word", max_tokens=2, user="u-7")
        server.wait_for(r"said user=u-7 .*a most peculiar word")


def test_bodies_are_bounded_in_size_and_time() -> None:
    with serving("--max-body", "2000") as server:
        assert server.complete("x" * 3000).status_code == 413

        def chunks() -> Any:
            for _ in range(4):
                yield b" " * 1000

        headers = {"Content-Type": "application/json"}
        reply = server.http.post("/v1/completions", content=chunks(), headers=headers)
        assert reply.status_code == 413 and reply.json()["error"]["type"]
        assert server.complete("x", max_tokens=1).status_code == 200


def test_a_full_queue_says_when_to_come_back() -> None:
    with serving(*SLOW, "--max-batch", "2", "--max-waiting", "1") as server:
        threads = [
            threading.Thread(target=server.complete, args=("Once",), kwargs=LONG) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: server.metric("num_requests_running") == 2)
        refused = server.complete("x")
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert server.complete("x", n=4).status_code == 429
        for thread in threads:
            thread.join()
        assert server.complete("x", max_tokens=1).status_code == 200


def wait_until(true: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_who_goes_away_is_no_longer_computed_for(stream: bool) -> None:
    with serving(*SLOW) as server:
        body = json.dumps({"model": "demo", "prompt": "Once", "stream": stream, **LONG}).encode()
        head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
            client.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: server.metric("num_requests_running") == 1)
        wait_until(lambda: server.metric("num_requests_running") == 0)
        wait_until(lambda: server.metric("request_cancelled_total") == 1)
        assert server.metric("kv_cache_pages_used") == 0


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    with serving(*SLOW, "--request-timeout", "0.3") as server:
        whole = server.complete("Once", n=2, **LONG)
        assert whole.status_code == 503
        assert "not there after 0.3 s" in whole.json()["error"]["message"]
        last = server.complete(["Once", "The"], stream=True, **LONG).text.strip().split("\n")[-1]
        assert "not there after" in last and "[DONE]" not in last
        wait_until(lambda: server.metric("request_cancelled_total") == 4)
        assert server.metric("kv_cache_pages_used") == 0


def test_who_leaves_before_the_first_word_takes_no_place() -> None:
    body = json.dumps({"model": "demo", "prompt": "Once", "stream": True, "max_tokens": 500})
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    request = (head + f"Content-Type: application/json\r\n\r\n{body}").encode()
    with serving("--max-batch", "4", "--max-waiting", "0") as server:
        address = server.url.removeprefix("http://").split(":")
        for _ in range(60):
            with socket.create_connection((address[0], int(address[1]))) as client:
                client.sendall(request)
        end = time.monotonic() + 60
        # All four places at once, as soon as the last cancellation is through.
        while (reply := server.complete("Once", n=4, max_tokens=2)).status_code == 429:
            assert time.monotonic() < end, reply.text
            time.sleep(0.1)
        assert reply.status_code == 200
        assert server.end() == 0


def test_sigterm_lets_accepted_requests_end() -> None:
    with serving(*SLOW) as server:
        replies: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: replies.append(server.complete("Once", **LONG)))
        thread.start()
        wait_until(lambda: server.metric("num_requests_running") == 1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining answers=1")
        with httpx.Client(base_url=server.url, timeout=60) as other:
            assert other.get("/ready").status_code == 503
            assert (
                other.post("/v1/completions", json={"model": "demo", "prompt": "x"}).status_code
                == 503
            )
        thread.join()
        assert server.process.wait(60) == 0
    assert replies[0].status_code == 200
    assert replies[0].json()["usage"]["completion_tokens"] == 900


def test_a_second_sigterm_ends_at_once() -> None:
    with serving(*SLOW) as server:
        many = {**LONG, "n": 16}
        thread = threading.Thread(target=ignoring, args=(server.complete, "Once"), kwargs=many)
        thread.start()
        wait_until(lambda: server.metric("num_requests_running") == 16)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        assert server.end(seconds=20) == 0
        thread.join()


def ignoring(call: Any, *args: Any, **kwargs: Any) -> None:
    with contextlib.suppress(httpx.HTTPError):
        call(*args, **kwargs)


def test_a_worker_that_dies_is_started_again() -> None:
    with serving(*SLOW) as server:
        replies: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: replies.append(server.complete("Once", **LONG)))
        thread.start()
        wait_until(lambda: server.metric("num_requests_running") == 1)
        os.kill(server.worker_pid(), signal.SIGKILL)
        thread.join()
        assert replies[0].status_code == 503 and "worker died" in replies[0].text
        wait_until(lambda: server.http.get("/ready").status_code == 200)
        assert server.complete("Once", max_tokens=3).status_code == 200
        assert server.metric("worker_restarts_total") == 1


def test_a_stream_that_breaks_says_so() -> None:
    with serving(*SLOW) as server:
        body = {"model": "demo", "prompt": "Once", "stream": True, **LONG}
        with server.http.stream("POST", "/v1/completions", json=body) as reply:
            lines = reply.iter_lines()
            assert next(lines).startswith("data: {")
            os.kill(server.worker_pid(), signal.SIGKILL)
            rest = [line for line in lines if line]
        assert "worker died" in json.loads(rest[-1].removeprefix("data: "))["error"]["message"]


def test_what_cannot_be_served_ends_with_one_line(tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    with taken:
        for options, says in (
            (("--port", str(port)), "cannot be listened on"),
            (("nosuchmodel",), "nosuchmodel"),
            (("--device", "cuda"), "CUDA"),
            (("--host", "0.0.0.0"), "--insecure"),
            (("--config", str(tmp_path / "no.toml")), "no.toml"),
        ):
            run = subprocess.run(
                [sys.executable, "-m", "paddock", "serve", *options],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert run.returncode in (1, 2), run.stderr
            assert says in run.stderr.splitlines()[-1] and "Traceback" not in run.stderr


def test_a_configuration_file_is_obeyed(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('name = "little"\nmax-batch = 3\n[options]\nmax_seq_len = 64\n')
    with serving("--config", str(file), "--max-batch", "4") as server:
        model = server.http.get("/v1/models").json()["data"][0]
        assert (model["id"], model["max_model_len"]) == ("little", 64)


def test_errors_of_the_worker_keep_their_kind() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, PaddockError):
            again = _again(kind, "what", "do this")
            assert isinstance(again, kind) and str(again) == "what (do this)"
