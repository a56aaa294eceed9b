"""Runs MindFormers' Llama for Paddock: a request on standard input, an answer on standard output.

Started as ``python worker.py`` by the Python that has MindSpore and MindFormers, which need not be
Paddock's own: this file needs Python 3.7 and those two. Messages in both directions are
two unsigned 32-bit numbers (big-endian: bytes of JSON, bytes of data), the JSON, the data.
Requests have "do"; answers have "ok": true, or "error" and "message". Logits are data: float32,
little-endian, a row for each of the slots asked for. It ends when its input ends.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import re
import struct
import sys
import time
import traceback
from typing import Any, BinaryIO

PROTOCOL = 1
HEADER = struct.Struct(">II")
MODES = {"graph": 0, "pynative": 1}


class Refused(Exception):
    """A wish that this MindFormers cannot honour."""


class Session:
    """The model. What its slots hold is not known here: whoever asks says it each time."""

    def __init__(self) -> None:
        self.model: Any = None
        self.seq_length = self.batch_size = 0
        self.use_past = False
        self.gathers = False
        self.first = True
        self.profiler: Any = None
        self.versions: dict[str, str] = {}

    def open(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Makes the model of "model_config" and loads "checkpoint" into it."""
        context, values = asked["context"], asked["model_config"]
        standins = _import_mindformers(context["device_target"] == "CPU")
        mindspore = sys.modules["mindspore"]
        self.versions = {name: _version(name) for name in ("mindspore", "mindformers")}
        number = _number(self.versions["mindformers"])
        _check(number, values, context["device_target"])
        rank = _init_context(asked)
        self.model, missing = _model(asked, rank)
        self.seq_length, self.batch_size = values["seq_length"], values["batch_size"]
        self.use_past = values["use_past"]
        # Later ones gather the last position by operators that CPUs do not have.
        self.gathers = number < (1, 1)
        return {
            "versions": dict(self.versions, python=".".join(map(str, sys.version_info[:3]))),
            "standins": standins,
            "not_loaded": missing,
            "mode": "pynative" if mindspore.get_context("mode") else "graph",
            "device_target": mindspore.get_context("device_target"),
        }

    def prefill(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Computes "rows" (one for each slot, empty for idle ones) from position 0 on."""
        import numpy as np

        rows = asked["rows"]
        ids = np.zeros((self.batch_size, self.seq_length), np.int32)
        lengths = np.ones(self.batch_size, np.int32)
        for slot, row in enumerate(rows):
            ids[slot, : len(row)] = row
            lengths[slot] = max(1, len(row))
        self._iteration(True)
        return self._forward(ids, lengths, asked["wanted"])

    def decode(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Computes one token of each slot, at position ``lengths - 1``, with what is cached."""
        import numpy as np

        ids = np.array(asked["tokens"], np.int32).reshape(self.batch_size, 1)
        self._iteration(False)
        return self._forward(ids, np.array(asked["lengths"], np.int32), asked["wanted"])

    def everywhere(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Logits at every position of one text; only without use_past."""
        import numpy as np

        ids = np.zeros((self.batch_size, self.seq_length), np.int32)
        ids[0, : len(asked["row"])] = asked["row"]
        mindspore = sys.modules["mindspore"]
        logits = _first(self.model(mindspore.Tensor(ids))).asnumpy()
        logits = logits.reshape(self.batch_size, self.seq_length, -1)[0, : len(asked["row"])]
        return _answer(logits, {})

    def profile(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Starts mindspore.Profiler, whose files go to "folder"."""
        profiler = sys.modules["mindspore"].Profiler
        self.profiler = profiler(output_path=asked["folder"])
        return {}

    def profile_end(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Ends it and has the files written."""
        profiler, self.profiler = self.profiler, None
        profiler.analyse()
        return {}

    def _iteration(self, first: bool) -> None:
        if self.use_past and first is not self.first:
            self.model.is_first_iteration = self.first = first
            self.model.add_flags_recursive(is_first_iteration=first)

    def _forward(self, ids: Any, lengths: Any, wanted: list[int]) -> dict[str, Any]:
        mindspore = sys.modules["mindspore"]
        began = time.perf_counter()
        given = {}
        if self.gathers:
            given["batch_valid_length"] = mindspore.Tensor(lengths.reshape(1, -1))
        out = self.model(mindspore.Tensor(ids), **given)
        logits = _first(out).asnumpy()
        logits = logits.reshape(-1, logits.shape[-1])
        if len(logits) > self.batch_size:
            last = [slot * ids.shape[1] + length - 1 for slot, length in enumerate(lengths)]
            logits = logits[last]
        return _answer(logits[wanted], {"seconds": time.perf_counter() - began})


def _answer(rows: Any, more: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    rows = np.ascontiguousarray(rows, "<f4")
    return dict(more, shape=list(rows.shape), data=rows.tobytes())


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


def _import_mindformers(on_cpu: bool) -> list[str]:
    """Imports MindFormers; on the CPU with the stand-ins, whose names it returns."""
    standins = _file_beside("cpu_standins") if on_cpu else None
    importlib.import_module("mindspore")
    done: list[str] = standins.before_import() if standins else []
    importlib.import_module("mindformers")
    return done + (standins.after_import(_number(_version("mindformers"))) if standins else [])


def _file_beside(name: str) -> Any:
    util = importlib.import_module("importlib.util")
    path = pathlib.Path(__file__).resolve().with_name(f"{name}.py")
    spec = util.spec_from_file_location(f"paddock_{name}", str(path))
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _check(version: tuple[int, ...], values: dict[str, Any], target: str) -> None:
    """Refuses what would fail much later, or run and give wrong tokens."""
    if values["use_past"] and version >= (1, 1):
        raise Refused(
            f"use_past with MindFormers {'.'.join(map(str, version))} means paged attention with"
            " Ascend's own kernels, which this worker does not drive; it has a cache with 1.0.x and"
            " runs newer ones with use_past off"
        )
    if target == "CPU" and values.get("compute_dtype") == "bfloat16":
        raise Refused("MindSpore has no bfloat16 on CPUs; use fp32 or fp16")


def _init_context(asked: dict[str, Any]) -> int:
    """Sets the device and, for several, joins the others; this process's rank."""
    mindspore, context = sys.modules["mindspore"], dict(asked["context"])
    parallel = asked.get("parallel")
    context["mode"] = MODES[context["mode"]]
    if not parallel:
        threads = context.pop("runtime_num_threads", None)
        mindspore.set_context(**context)
        if threads is not None:
            mindspore.set_context(runtime_num_threads=threads)
        return 0
    mindformers = importlib.import_module("mindformers")
    rank: int = mindformers.init_context(
        use_parallel=True, context_config=context, parallel_config=parallel["context"]
    )[0]
    return rank


def _model(asked: dict[str, Any], rank: int) -> tuple[Any, list[str]]:
    """The model with its weights, and the names of those that the checkpoint does not have."""
    mindspore, mindformers = sys.modules["mindspore"], importlib.import_module("mindformers")
    parallel = asked.get("parallel")
    config = mindformers.LlamaConfig(**asked["model_config"])
    if parallel:
        config.parallel_config = mindformers.TransformerOpParallelConfig(**parallel["model"])
    model = mindformers.LlamaForCausalLM(config)
    model.set_train(False)
    checkpoint = asked["checkpoint"]
    if parallel:
        # The layout of the shards is known once the graph is compiled for the shape it will run in.
        import numpy as np

        shape = (config.batch_size, config.seq_length)
        network = importlib.import_module("mindspore.train").Model(model)
        network.infer_predict_layout(mindspore.Tensor(np.ones(shape), mindspore.int32))
        checkpoint = _of_rank(checkpoint, rank)
    weights = mindspore.load_checkpoint(checkpoint)
    # MindSpore 2.0 returns one list of names, later ones that of the file's leftovers as well.
    result = mindspore.load_param_into_net(model, weights)
    missing = result[0] if isinstance(result, tuple) else result
    return model, [name for name in missing if "key_past" not in name and "value_past" not in name]


def _of_rank(folder: str, rank: int) -> str:
    """The newest .ckpt in ``folder``/rank_N, as MindFormers' get_last_checkpoint chooses."""
    own = pathlib.Path(folder) / f"rank_{rank}"
    found = sorted(own.glob("*.ckpt"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise Refused(f"there is no .ckpt in {own}")
    return str(found[-1])


def _version(package: str) -> str:
    try:
        metadata = importlib.import_module("importlib.metadata")
        return str(metadata.version(package))
    except ImportError:  # Python 3.7
        resources = importlib.import_module("pkg_resources")
        return str(resources.get_distribution(package).version)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _receive(stream: BinaryIO) -> Any:
    """A request, None at the end of the input."""
    head = stream.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    size, extra = HEADER.unpack(head)
    body = stream.read(size)
    stream.read(extra)
    return json.loads(body.decode("utf-8")) if len(body) == size else None


def _send(stream: BinaryIO, message: dict[str, Any]) -> None:
    data = message.pop("data", b"")
    body = json.dumps(message).encode("utf-8")
    stream.write(HEADER.pack(len(body), len(data)) + body + data)
    stream.flush()


def main() -> None:
    """Answers until the input ends or "stop" comes."""
    # MindSpore prints, in Python and below it: only messages may reach whoever listens.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[:] = sys.path[1:]  # this folder's files are not modules for others
    session = Session()
    verbs = ("open", "prefill", "decode", "everywhere", "profile", "profile_end")
    _send(answers, {"ok": True, "protocol": PROTOCOL, "pid": os.getpid()})
    while True:
        asked = _receive(requests)
        if asked is None or asked["do"] == "stop":
            return
        try:
            if asked["do"] not in verbs:
                raise Refused(f"there is no request {asked['do']!r}")
            answer = dict(getattr(session, asked["do"])(asked), ok=True)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": type(error).__name__, "message": str(error)[:4000]}
        _send(answers, answer)


if __name__ == "__main__":
    main()
