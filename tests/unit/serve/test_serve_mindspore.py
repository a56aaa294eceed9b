"""The server over the MindSpore runtime (with a fake worker): a death costs requests, not it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil

from fake_worker import fake_python
from serverkit import Server, serving


def mindspore_worker(server: Server) -> psutil.Process:
    children = psutil.Process(server.process.pid).children(recursive=True)
    return next(p for p in children if any("fake_worker" in word for word in p.cmdline()))


def test_a_killed_worker_costs_its_requests_and_is_replaced(tmp_path: Path) -> None:
    python = fake_python(tmp_path, "good")
    options = ("--runtime", "mindspore", "--mindspore-python", str(python), "--device", "cpu")
    with serving(*options, "--max-seq-len", "128") as server:
        body = {"model": "demo", "prompt": [1, 5, 9], "max_tokens": 4, "temperature": 0}
        first = server.post("/v1/completions", body)
        assert first.status_code == 200, first.text
        old = mindspore_worker(server)
        os.kill(old.pid, signal.SIGKILL)
        lost = server.post("/v1/completions", body)
        assert lost.status_code == 503
        server.wait_for("the worker died|worker died")
        for _ in range(600):
            again = server.post("/v1/completions", body)
            if again.status_code == 200:
                break
            assert again.status_code == 503
            time.sleep(0.1)
        assert again.json()["choices"] == first.json()["choices"]
        assert mindspore_worker(server).pid != old.pid


def test_a_python_without_mindformers_is_said_at_the_start(tmp_path: Path) -> None:
    python = fake_python(tmp_path, "import")
    server = Server("--runtime", "mindspore", "--mindspore-python", str(python), "--device", "cpu")
    try:
        assert server.process.wait(120) == 1
        assert server.wait_for("cannot import MindFormers: No module named 'mindformers'")
    finally:
        server.close()
