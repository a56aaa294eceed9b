#!/usr/bin/env python3
"""Measures what Paddock promises of its server, in one paired run with llama.cpp's servers.

    scripts/bench_serve.py OUT [--xllamacpp PYTHON] [--llama-cpp PYTHON] [--layers N] [--rounds N]
                               [--threads N] [--rows ROW]... [--again]

Makes below OUT a GGUF file of the built-in model and one of Llama 2 7B's shapes with N layers and
random 4-bit weights (Q4_0), which all servers read. PYTHON are interpreters in which xllamacpp and
llama-cpp-python[server] are installed. All servers run at the same time, those whose turn it is not
are stopped (SIGSTOP). A round is one turn of each; ratios are taken round by round. Everything is
on one machine, the measuring client included, whose share of a core is in the result, as is what a
token costs in processor time of all threads. Each row is saved in OUT/rows.jsonl when it is done,
and is not measured again unless --again says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from paddock.bench import facts
from paddock.bench.serving.client import Reply, Target, ask, session
from paddock.bench.serving.load import Load
from paddock.bench.serving.measure import measure
from paddock.inference.checkpoint import convert, store
from paddock.inference.checkpoint.random_model import make_random
from paddock.inference.engine.request import Request
from paddock.inference.llm import LLM

CLIENTS = 8
IN_PROCESS = f"engine in process, {CLIENTS}"
XLLAMACPP = """
import sys, time, xllamacpp as x
path, port, threads, context, flash = sys.argv[1], *map(int, sys.argv[2:])
p = x.CommonParams()
p.model.path, p.port, p.n_gpu_layers = path, port, 0
p.n_parallel, p.n_ctx, p.n_batch, p.n_ubatch = 8, 8 * context, 512, 512
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
kinds = x.llama_flash_attn_type
p.flash_attn_type = (kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash
                     else kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED)
server = x.Server(p)
print(server.listening_address, flush=True)
time.sleep(1e9)
"""


@dataclass(frozen=True)
class Bench:
    """The run's options."""

    out: Path
    pythons: dict[str, str]
    layers: int
    rounds: int
    threads: int


class Server:
    """A server in a process group of its own, stopped until its turn."""

    def __init__(self, name: str, argv: Sequence[str], port: int, log: Path) -> None:
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        with log.open("w") as file:
            self.process = subprocess.Popen(argv, stdout=file, stderr=file, start_new_session=True)
        end = time.monotonic() + 120
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        self._send(signal.SIGSTOP)

    def _ready(self) -> bool:
        try:
            # Loading servers list their model already: only an answer says that they are ready.
            body = {"model": "demo", "prompt": "a", "max_tokens": 1}
            return httpx.post(f"{self.url}/v1/completions", json=body, timeout=60).is_success
        except httpx.HTTPError:
            return False

    def _send(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    @contextmanager
    def turn(self) -> Iterator[str]:
        """Its URL, while it runs."""
        self._send(signal.SIGCONT)
        try:
            yield self.url
        finally:
            self._send(signal.SIGSTOP)

    def cpu_s(self) -> float:
        """Processor time of its processes so far."""
        own = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    def close(self) -> None:
        if self.process.poll() is None:
            self._send(signal.SIGKILL)
            self.process.wait()


def servers(bench: Bench, model: Path, context: int, stack: ExitStack) -> dict[str, Server]:
    """Ours, and those of llama.cpp that are installed, each with flash attention on and off."""
    threads, found = str(bench.threads), {}

    def start(name: str, argv: Callable[[str], list[str]]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        found[name] = Server(name, argv(str(port)), port, bench.out / f"{name}.log")
        stack.callback(found[name].close)

    start("paddock", lambda port: [
        sys.executable, "-m", "paddock", "serve", str(model), "--name", "demo", "--port", port,
        "--max-batch", str(CLIENTS), "--threads", threads, "--max-seq-len", str(context),
    ])  # fmt: skip
    for flash in (0, 1):
        if "xllamacpp" in bench.pythons:
            start(f"xllamacpp-fa{flash}", lambda port, flash=flash: [  # type: ignore[misc]
                bench.pythons["xllamacpp"], "-c", XLLAMACPP, str(model), port, threads,
                str(context), str(flash),
            ])  # fmt: skip
        if "llama_cpp" in bench.pythons:
            start(f"llama_cpp.server-fa{flash}", lambda port, flash=flash: [  # type: ignore[misc]
                bench.pythons["llama_cpp"], "-m", "llama_cpp.server", "--model", str(model),
                "--model_alias", "demo", "--port", port, "--n_threads", threads,
                "--n_threads_batch", threads, "--n_ctx", str(context), "--n_batch", "512",
                "--flash_attn", str(bool(flash)),
                # Its default lets a new request break off the one that is being answered.
                "--interrupt_requests", "False",
            ])  # fmt: skip
    return found


def clients(bench: Bench, model: Path, load: Load) -> dict[str, Any]:
    """Tokens/s with 8 clients and with one; the same prompts through the engine in this process."""
    context = 1024
    samples: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    with ExitStack() as stack:
        started = servers(bench, model, context, stack)
        llm = LLM.open(model, threads=bench.threads, max_seq_len=context, max_batch=CLIENTS,
                       cache="paged")  # fmt: skip
        stack.callback(llm.close)
        for number in range(bench.rounds + 1):
            for name, server in started.items():
                with server.turn() as url:
                    for count in (CLIENTS, 1) if name == "paddock" else (CLIENTS,):
                        # One answer at a time needs fewer of them to show its speed.
                        part = 8 if name.startswith("llama_cpp") else 4 if count == 1 else 1
                        asked = replace(
                            load, concurrency=count, seed=number, requests=load.requests // part
                        )
                        before = server.cpu_s()
                        run = measure(Target(url), asked).runs[0]
                        assert run.served is not None and not run.served.failed, run.served
                        key = f"{name}, {count}"
                        _note(samples, key, run.figures["output"].values.median)
                        shares.setdefault(key, []).append(run.served.client_cpu)
                        made = run.served.new_tokens + load.new_tokens  # with the warm-up's
                        spent.setdefault(key, []).append((server.cpu_s() - before) / made * 1e6)
            before = time.process_time()
            rate, made = in_process(llm, load, number)
            _note(samples, IN_PROCESS, rate)
            spent.setdefault(IN_PROCESS, []).append((time.process_time() - before) / made * 1e6)
            if not number:
                _slower_variants(started, samples)
    # The first round is the warm-up of all.
    samples = {name: values[1:] for name, values in samples.items() if values[1:]}
    ours = samples["paddock, 8"]
    ratios = {
        f"paddock, 8 over {name}": _spread([a / b for a, b in zip(ours, theirs, strict=True)])
        for name, theirs in samples.items()
        if name != "paddock, 8"
    }
    return {
        "tokens_per_s": {name: _spread(values) for name, values in samples.items()},
        "ratios": ratios,
        "client_cpu": _without_first(shares),
        "processor_us_per_token": _without_first(spent),
    }


def _slower_variants(started: dict[str, Server], samples: dict[str, list[float]]) -> None:
    """Takes out of ``started`` the slower way of running of each engine of llama.cpp's."""
    for engine in ("xllamacpp", "llama_cpp.server"):
        names = [name for name in started if name.startswith(engine)]
        names.sort(key=lambda name: samples[f"{name}, {CLIENTS}"][0])
        for name in names[:-1]:
            started.pop(name).close()


def in_process(llm: LLM, load: Load, seed: int) -> tuple[float, int]:
    """Tokens/s of the engine itself, always with 8 requests as if of clients; how many it made."""
    words = Load(load.requests, CLIENTS, prompt_tokens=load.prompt_tokens, seed=seed).prompts()
    waiting = [llm.tokenizer.encode(str(one), bos=True) for one in words]
    first, engine, made, running = waiting.pop(), llm.engine, 0, 0
    list(engine.stream([Request(first, max_new_tokens=load.new_tokens)]))
    begin = time.perf_counter()
    while waiting or running:
        while waiting and running < CLIENTS:
            engine.add(Request(waiting.pop(), max_new_tokens=load.new_tokens))
            running += 1
        for event in engine.step():
            made += event.token is not None
            running -= event.finish is not None
    return made / (time.perf_counter() - begin), made + load.new_tokens


def prefix(bench: Bench, model: Path) -> dict[str, Any]:
    """TTFT of a prompt whose first 1,000 tokens were computed before, over that of the first."""
    first, again = [], []
    with ExitStack() as stack:
        only = Bench(bench.out, {}, bench.layers, bench.rounds, bench.threads)
        server = servers(only, model, 1024, stack)["paddock"]
        drawn = random.Random(0)

        async def pair(url: str) -> None:
            target = Target(url, "demo")
            async with session(target) as http:
                shared = [1, *(drawn.randrange(3, 2000) for _ in range(999))]
                for into in (first, again):
                    ids = [*shared, *(drawn.randrange(3, 2000) for _ in range(8))]
                    reply = await ask(http, target, ids, 4, time.perf_counter())
                    assert reply.state == "ok", reply
                    into.append(reply.first_s)

        with server.turn() as url:
            for _ in range(bench.rounds * 3 + 1):
                asyncio.run(pair(url))
    share = [b / a for a, b in zip(first[1:], again[1:], strict=True)]
    return {"first_s": _spread(first[1:]), "again_s": _spread(again[1:]), "share": _spread(share)}


def fairness(bench: Bench, model: Path) -> dict[str, Any]:
    """The longest wait for a token of seven answers, while a 3,000-token prompt is computed."""
    with ExitStack() as stack:
        only = Bench(bench.out, {}, bench.layers, bench.rounds, bench.threads)
        server = servers(only, model, 4096, stack)["paddock"]
        drawn = random.Random(1)

        async def turn(url: str, long: bool) -> tuple[float, float]:
            # With log probabilities a token without text is told too, such as an end that is
            # ignored: what is measured is the wait for tokens.
            target = Target(url, "demo", more={"logprobs": 0})
            async with session(target) as http:

                async def one(length: int, new_tokens: int) -> Reply:
                    ids = [1, *(drawn.randrange(3, 2000) for _ in range(length - 1))]
                    began = time.perf_counter()
                    return await ask(http, target, ids, new_tokens, began)

                others = [asyncio.create_task(one(16, 1500)) for _ in range(CLIENTS - 1)]
                await asyncio.sleep(0.5)
                answer = await one(3000, 2) if long else None
                replies = await asyncio.gather(*others)
                assert all(reply.state == "ok" for reply in replies), replies
                return max(max(reply.gaps) for reply in replies), answer.first_s if answer else 0.0

        with server.turn() as url:
            asyncio.run(turn(url, True))
            pairs = [[asyncio.run(turn(url, long)) for long in (False, True)]
                     for _ in range(bench.rounds)]  # fmt: skip
    return {
        "stall_s_without": _spread([alone[0] for alone, _ in pairs]),
        "stall_s_with": _spread([beside[0] for _, beside in pairs]),
        "ttft_s_of_the_long_prompt": _spread([beside[1] for _, beside in pairs]),
    }


def _note(into: dict[str, list[float]], key: str, value: float) -> None:
    print(f"{key}: {value:.4g}", file=sys.stderr, flush=True)
    into.setdefault(key, []).append(value)


def _without_first(samples: dict[str, list[float]]) -> dict[str, Any]:
    return {name: _spread(values[1:]) for name, values in samples.items() if values[1:]}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4),
            "max": round(max(values), 4), "samples": len(values)}  # fmt: skip


def models(bench: Bench) -> dict[str, Path]:
    """GGUF files of the built-in model and of 7B shapes; the built-in one with a longer context."""
    bench.out.mkdir(parents=True, exist_ok=True)
    demo, wide = bench.out / "demo.gguf", bench.out / f"llama2-7b-{bench.layers}.gguf"
    if not demo.exists():
        convert.convert(store.builtin(), demo, to="gguf")
    if not wide.exists():
        make_random(wide, like="llama2-7b", quant="int4", format="gguf", layers=bench.layers)
    # The same weights, at positions that they were not trained for: the speed is the same.
    longer = bench.out / "demo-4096"
    if not longer.exists():
        shutil.copytree(store.builtin(), longer)
        config = json.loads((longer / "config.json").read_text())
        config["max_position_embeddings"] = 4096
        (longer / "config.json").write_text(json.dumps(config))
    return {"demo": demo, "wide": wide, "longer": longer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--xllamacpp")
    parser.add_argument("--llama-cpp")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rows", action="append", help="the beginning of a row's name")
    parser.add_argument("--again", action="store_true", help="measure rows that are done too")
    given = parser.parse_args()
    # The servers are ended by whatever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    pythons = {"xllamacpp": given.xllamacpp, "llama_cpp": given.llama_cpp}
    bench = Bench(given.out, {k: v for k, v in pythons.items() if v}, given.layers, given.rounds,
                  given.threads)  # fmt: skip
    made = models(bench)
    rows: dict[str, Callable[[], dict[str, Any]]] = {
        "clients, built-in model": lambda: clients(
            bench, made["demo"], Load(64, CLIENTS, prompt_tokens=48, new_tokens=64)
        ),
        f"clients, 7B shapes, {bench.layers} layers": lambda: clients(
            bench, made["wide"], Load(16, CLIENTS, prompt_tokens=16, new_tokens=64)
        ),
        "prefix, built-in model": lambda: prefix(bench, made["demo"]),
        f"prefix, 7B shapes, {bench.layers} layers": lambda: prefix(bench, made["wide"]),
        "fairness, built-in model with a context of 4,096": lambda: fairness(bench, made["longer"]),
    }
    saved = bench.out / "rows.jsonl"
    lines = saved.read_text().splitlines() if saved.exists() and not given.again else []
    done = {json.loads(line)["row"] for line in lines}
    for name, row in rows.items():
        if given.rows and not name.startswith(tuple(given.rows)):
            continue
        if name in done:
            print(f"{name}: measured already, in {saved}", file=sys.stderr)
            continue
        host, began = facts.host(), time.monotonic()
        found = {"row": name, **row(), "load_before": host["load_average"],
                 "seconds": round(time.monotonic() - began, 1), "cpu": host["cpu"],
                 "commit": facts.commit()}  # fmt: skip
        print(json.dumps(found, indent=1), flush=True)
        with saved.open("a") as file:
            file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
