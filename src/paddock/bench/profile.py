"""Traces of one answer in Chrome's format, which Perfetto and TensorBoard open."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from paddock.errors import BenchError
from paddock.inference.llm import LLM, GenerationParams, Prompt
from paddock.inference.runtimes.base import Batch, Choice, Runtime

STEP_NAMES = ("prefill", "decode")


class Spans:
    """Events of a trace, in microseconds since it began.

    Source of the format: the Trace Event Format document of Chromium ("X" is a complete event, "M"
    names a process or thread).
    """

    def __init__(self, mark: Callable[[str], AbstractContextManager[Any]] | None = None) -> None:
        """``mark`` puts every span into another trace as well."""
        self._mark = mark
        self._begin = time.perf_counter_ns()
        thread = threading.get_native_id()
        self._where = {"pid": os.getpid(), "tid": thread}
        self.events: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "args": {"name": "paddock"}, **self._where},
            {"ph": "M", "name": "thread_name", "args": {"name": "engine"}, **self._where},
        ]

    @contextmanager
    def span(self, name: str, **args: Any) -> Iterator[None]:
        """One event as long as the block."""
        begin = time.perf_counter_ns()
        try:
            with self._mark(name) if self._mark else nullcontext():
                yield
        finally:
            end = time.perf_counter_ns()
            self.events.append(
                {
                    "ph": "X",
                    "cat": "paddock",
                    "name": name,
                    "ts": (begin - self._begin) / 1000,
                    "dur": (end - begin) / 1000,
                    "args": args,
                    **self._where,
                }
            )

    def save(self, path: Path) -> None:
        """Writes the trace; compressed if the name ends in .gz."""
        text = json.dumps({"displayTimeUnit": "ms", "traceEvents": self.events})
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            path.write_text(text, encoding="utf-8")


class Traced:
    """A runtime whose steps are spans."""

    def __init__(self, runtime: Runtime, spans: Spans) -> None:
        self._runtime, self._spans = runtime, spans
        self.limits = runtime.limits

    def step(self, batch: Batch) -> list[Choice]:
        """See Runtime."""
        decoding = all(
            work.start > 0 and len(work.tokens) == 1 + work.n_draft for work in batch.work
        )
        name = STEP_NAMES[decoding]
        told = {
            "requests": len(batch.work),
            "tokens": sum(len(work.tokens) for work in batch.work),
            "positions": [work.start for work in batch.work],
        }
        with self._spans.span(name, **told):
            return self._runtime.step(batch)

    def close(self) -> None:
        """See Runtime."""
        self._runtime.close()


def profile(llm: LLM, prompt: Prompt, params: GenerationParams, out: Path) -> int:
    """Answers ``prompt`` and writes the trace of it; returns how many events it has.

    A runtime with PyTorch's operations in it is traced by torch.profiler, with a span around each
    step; others have the steps and the engine's own time. Beside the MindSpore runtime's trace,
    ``mindspore.Profiler`` fills ``mindspore_folder(out)``. Raises BenchError if nothing can be
    written at ``out``.
    """
    if not out.parent.is_dir():
        raise BenchError(f"there is no folder {out.parent}")
    runtime = llm.engine.runtime
    try:
        if getattr(runtime, "decode_path", None) is not None:  # the torch runtime
            return _with_torch(llm, prompt, params, out)
        spans = Spans()
        llm.engine.runtime = Traced(runtime, spans)
        profiled = getattr(runtime, "profiled", None)  # the MindSpore runtime
        with profiled(mindspore_folder(out)) if profiled else nullcontext():
            _answer(llm, prompt, params, spans)
        spans.save(out)
        return len(spans.events)
    finally:
        llm.engine.runtime = runtime


def mindspore_folder(out: Path) -> Path:
    """Where MindSpore's own profile goes, for MindInsight: beside the trace."""
    return out.with_name(out.name.removesuffix(".gz").removesuffix(".json") + "-mindspore")


def _answer(llm: LLM, prompt: Prompt, params: GenerationParams, spans: Spans) -> None:
    with spans.span("tokenize"):
        ids = llm.ids(prompt)
    with spans.span("generate", prompt_tokens=len(ids)):
        for _ in llm.stream(ids, params):
            pass


def _with_torch(llm: LLM, prompt: Prompt, params: GenerationParams, out: Path) -> int:
    from torch import profiler

    spans = Spans(profiler.record_function)
    llm.engine.runtime = Traced(llm.engine.runtime, spans)
    activities = profiler.supported_activities()
    with profiler.profile(activities=activities, record_shapes=True) as trace:
        _answer(llm, prompt, params, spans)
    trace.export_chrome_trace(str(out))
    opener = gzip.open if out.suffix == ".gz" else open
    with opener(out, "rt", encoding="utf-8") as file:
        return len(json.load(file)["traceEvents"])
