"""Runs one adapter in a process of its own and answers questions in lines of JSON.

Started as ``python worker.py ADAPTER.py``, by whichever interpreter has the engine installed; so
it and the adapters use nothing of Paddock. An adapter is a file with

* ``DISTRIBUTION``: what pip calls the engine, and ``MODULE``, what Python does;
* ``open(model, threads, length, batch, variant)``: returns an object with
  ``run(prompts, new_tokens)``, which returns (tokens, times) as in paddock.bench.turn, and
  ``weights``, a text that says what it computes with.

Questions: ``probe`` (is it installed, which version), ``open``, ``run``. An answer is one object;
``error`` in it says what went wrong.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import sys
import traceback
from types import ModuleType
from typing import Any, TextIO

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Answers until standard input ends."""
    # Python put this folder first, where adapters have the names of what they import.
    sys.path.pop(0)
    answers = _private_stdout()
    _go_first()
    adapter = _load(sys.argv[1])
    state: dict[str, Any] = {}
    for line in sys.stdin:
        try:
            answer = _answer(adapter, json.loads(line), state)
        except Exception as error:  # whatever an engine raises is its result
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(adapter: ModuleType, question: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    if question["do"] == "probe":
        found = importlib.util.find_spec(adapter.MODULE) is not None
        return {"present": found, "version": _version(adapter.DISTRIBUTION) if found else None}
    if question["do"] == "open":
        state.clear()  # the model before it goes before the next one comes
        state["engine"] = adapter.open(**question["with"])
        # Paddock alone says how it holds each kind of weight.
        storage = getattr(state["engine"], "storage", None)
        return {"weights": state["engine"].weights, "storage": storage}
    tokens, times = state["engine"].run(question["prompts"], question["new_tokens"])
    return {"tokens": tokens, "times": times}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("adapter", path)
    assert spec is not None and spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    return adapter


def _private_stdout() -> TextIO:
    """Keeps standard output for answers; what an engine prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _go_first() -> None:
    """If memory runs out this process is to be ended, and it ends with the one that started it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  plain, few imports
            file.write("1000")
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    except (OSError, AttributeError):
        return  # not Linux, or not allowed


if __name__ == "__main__":
    main()
