"""Loads a server with many clients, a third of whom goes away at random: nothing may be lost.

    python scripts/load_serve.py                        # 200 clients for 60 s
    python scripts/load_serve.py --seconds 600          # memory over ten minutes
    python scripts/load_serve.py -- llama2-7b --quant int4

Starts ``paddock serve`` with the words after ``--``, and prints a report as JSON. The exit status
is 1 if a request of those who stayed was not answered in full, an answer differs from the one that
the same prompt got alone, pages or places are held at the end, or memory was not flat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import httpx
import psutil

PROMPTS = ("Once upon a time", "LLaMA is a", "The horse", "I love Beijing, because", "A dog can")
LENGTHS = (1, 8, 40, 150)
FLAT = 0.05


@dataclass
class Report:
    """What happened. Memory is that of the server's processes together, in bytes."""

    clients: int
    seconds: float
    answered: int = 0
    went_away: int = 0
    refused: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    tokens: int = 0
    pages_held: float = 0
    running: float = 0
    waiting: float = 0
    restarts: float = 0
    cancelled: float = 0
    drained_s: float | None = None
    exit_code: int | None = None
    memory: list[int] = field(default_factory=list)

    @property
    def settled(self) -> list[int]:
        """Samples of memory after the first fifth of the time, in which caches fill."""
        return self.memory[len(self.memory) // 5 :]

    @property
    def spread(self) -> float:
        """The largest deviation of memory from its median, as a share of that."""
        if len(self.settled) < 2:
            return 0.0
        middle = statistics.median(self.settled)
        return max(abs(one - middle) for one in self.settled) / middle

    def faults(self) -> list[str]:
        """Everything that must not be."""
        found = [f"{count} requests lost: {why}" for why, count in self.lost.items()]
        for name in ("wrong", "pages_held", "running", "waiting", "restarts"):
            if getattr(self, name):
                found.append(f"{name} is {getattr(self, name):g}")
        if not self.answered:
            found.append("nothing was answered")
        if self.spread > FLAT:
            found.append(f"memory deviated by {self.spread:.1%} from its median")
        if self.exit_code:
            found.append(f"the server ended with {self.exit_code}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """For the report: the memory's samples as what they come to."""
        plain = asdict(replace(self, lost=Counter()))
        plain |= {"lost": dict(self.lost), "faults": self.faults()}
        plain["memory_spread"] = round(self.spread, 4)
        settled = self.settled or [0]
        plain["memory"] = {
            "first": settled[0], "last": settled[-1], "median": statistics.median(settled),
            "min": min(settled), "max": max(settled), "samples": len(settled),
        }  # fmt: skip
        return plain


async def load(
    url: str, clients: int, seconds: float, seed: int = 0, watched: Sequence[int] = ()
) -> Report:
    """Lets ``clients`` ask for ``seconds``; ``watched`` are the processes whose memory counts."""
    report = Report(clients, seconds)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as http:
        model = (await http.get("/v1/models")).json()["data"][0]["id"]
        alone = {}
        for prompt in PROMPTS:
            for length in LENGTHS:
                alone[prompt, length] = await _ask(http, model, prompt, length, stream=False)
        end = time.monotonic() + seconds
        drawn = random.Random(seed)

        async def failed(error: Exception) -> None:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 429:
                # The queue was full, and said so: what was not accepted is not lost.
                report.refused += 1
                await asyncio.sleep(float(error.response.headers["Retry-After"]))
            else:
                report.lost[f"{type(error).__name__}: {error}"[:120]] += 1

        async def stays() -> None:
            while time.monotonic() < end:
                key = drawn.choice(PROMPTS), drawn.choice(LENGTHS)
                try:
                    answer = await _ask(http, model, *key, stream=drawn.random() < 0.7)
                except (httpx.HTTPError, ValueError) as error:
                    await failed(error)
                    continue
                report.answered += 1
                report.tokens += key[1]
                report.wrong += answer != alone[key]

        async def leaves() -> None:
            while time.monotonic() < end:
                key = drawn.choice(PROMPTS), drawn.choice(LENGTHS)
                patience = drawn.choice((0.0, 0.001, 0.01, 0.1, 1.0)) * drawn.random()
                asked = _ask(http, model, *key, stream=drawn.random() < 0.7)
                try:
                    await asyncio.wait_for(asked, patience)
                except asyncio.TimeoutError:
                    report.went_away += 1
                except (httpx.HTTPError, ValueError) as error:
                    await failed(error)
                await asyncio.sleep(0.2 * drawn.random())

        watch = asyncio.create_task(_watch(watched, report))
        third = clients // 3
        await asyncio.gather(
            *(stays() for _ in range(clients - third)), *(leaves() for _ in range(third))
        )
        watch.cancel()
        await _settle(http, report)
    return report


async def _ask(
    http: httpx.AsyncClient, model: str, prompt: str, length: int, *, stream: bool
) -> str:
    """The whole answer. Raises HTTPError for a refusal, ValueError for half an answer."""
    body = {"model": model, "prompt": prompt, "max_tokens": length, "temperature": 0,
            "ignore_eos": True, "stream": stream}  # fmt: skip
    if not stream:
        reply = await http.post("/v1/completions", json=body)
        reply.raise_for_status()
        return str(reply.json()["choices"][0]["text"])
    text, finish = "", None
    async with http.stream("POST", "/v1/completions", json=body) as reply:
        reply.raise_for_status()
        async for line in reply.aiter_lines():
            if line == "data: [DONE]":
                if finish != "length":
                    raise ValueError(f"the answer ended with {finish}")
                return text
            if line.startswith("data: "):
                choice = json.loads(line[6:])["choices"][0]
                text, finish = text + choice["text"], choice["finish_reason"] or finish
    raise ValueError("the stream broke")


async def _watch(processes: Sequence[int], report: Report, every: float = 1.0) -> None:
    while processes:
        report.memory.append(sum(psutil.Process(pid).memory_info().rss for pid in processes))
        await asyncio.sleep(every)


async def _settle(http: httpx.AsyncClient, report: Report) -> None:
    """Reads what is held when the last client has gone; cancellations take a moment."""
    for _ in range(300):
        metrics = (await http.get("/metrics")).text
        report.pages_held = _metric(metrics, "kv_cache_pages_used")
        report.running = _metric(metrics, "num_requests_running")
        report.waiting = _metric(metrics, "num_requests_waiting")
        if not (report.pages_held or report.running or report.waiting):
            break
        await asyncio.sleep(0.1)
    report.restarts = _metric(metrics, "worker_restarts_total")
    report.cancelled = _metric(metrics, "request_cancelled_total")
    (await http.get("/ready")).raise_for_status()


def _metric(text: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^paddock:{name}\{{.*\}} (\S+)$", text, re.M))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("serve", nargs="*", help="words for paddock serve, after --")
    given = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-m", "paddock", "serve", "--port", "0", *given.serve],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    try:
        url = ""
        for line in server.stderr:
            url = url or (re.search(r"http://\S+", line) or [""])[0]
            if " ready " in line:
                break
        threading.Thread(target=server.stderr.read, daemon=True).start()
        family = [server.pid, *(one.pid for one in psutil.Process(server.pid).children())]
        report = asyncio.run(load(url, given.clients, given.seconds, given.seed, family))
        began = time.monotonic()
        # Places that nobody gave back would keep it from ending.
        server.send_signal(signal.SIGTERM)
        report.exit_code = server.wait(60)
        report.drained_s = round(time.monotonic() - began, 2)
    finally:
        server.kill()
    print(json.dumps(report.to_dict(), indent=1))
    return bool(report.faults())


if __name__ == "__main__":
    sys.exit(main())
