"""What each command of ``paddock bench`` measures, from its options to a Result."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from paddock import settings as settings_module
from paddock.bench import ceilings, facts, load, result, rounds
from paddock.bench.ceilings import Ceilings
from paddock.bench.offline import Local
from paddock.bench.passes import Passes
from paddock.bench.peers import session
from paddock.bench.result import Measured, Result, Run
from paddock.bench.rounds import Contestant
from paddock.bench.storage import of_gguf
from paddock.bench.summary import Summary
from paddock.bench.workload import Workload
from paddock.errors import UsageError
from paddock.inference.checkpoint import convert, store
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.runtimes.base import Runtime
from paddock.inference.runtimes.ranks.group import GroupRuntime

Progress = Callable[[int, int], None]
_FILE_TYPE = {"int4": "q4_0", "int8": "q8_0"}


def _silent(done: int, total: int) -> None:
    """Progress for nobody."""


@dataclass(frozen=True)
class Options:
    """What the commands have in common. ``model`` is a name or a path, None the built-in one.

    ``opening`` are further options of LLM.open (``dtype``, ``device``, ``runtime``, …).
    """

    model: str | None = None
    quant: str | None = None
    threads: int | None = None
    prompt_tokens: int = 128
    new_tokens: int = 64
    batch: int = 1
    repeats: int = 5
    seed: int = 0
    busy: int = 0
    opening: tuple[tuple[str, Any], ...] = ()

    @property
    def n_threads(self) -> int:
        """The threads asked for, or one for each core that this process may use."""
        return self.threads or settings_module.load().threads or len(os.sched_getaffinity(0))

    def path(self) -> Path:
        """Where the model lies."""
        return store.locate(self.model, settings_module.load())

    def config(self) -> ModelConfig:
        """The model's shape. Raises UsageError if its context is too short for the work."""
        config = open_checkpoint(self.path()).config()
        if self.prompt_tokens + self.new_tokens > config.max_seq_len:
            raise UsageError(
                f"{self.prompt_tokens} and {self.new_tokens} tokens are more than the model's"
                f" context of {config.max_seq_len}"
            )
        return config

    def workload(self, config: ModelConfig) -> Workload:
        """What is asked of it."""
        return Workload(
            config.vocab_size,
            config.bos_id,
            self.prompt_tokens,
            self.new_tokens,
            self.batch,
            self.repeats,
            self.seed,
            self.busy,
            low=min(3, config.vocab_size - 1),
        )


def speed(kind: str, options: Options, progress: Progress = _silent) -> Result:
    """``decode``, ``prefill`` or ``batch`` of one model in this process.

    ``batch`` takes turns with one sequence and with ``options.batch``; with ``busy`` every turn is
    also taken undisturbed. Both give ratios.
    """
    host = facts.host()
    options.config()  # before weights are read
    with ExitStack() as stack:
        local = Local.open(
            options.path(),
            threads=options.n_threads,
            length=options.prompt_tokens + options.new_tokens,
            batch=options.batch,
            quant=options.quant,
            **dict(options.opening),
        )
        stack.callback(local.close)
        test = ceilings.open_ceilings(options.n_threads)
        stack.callback(test.close)
        local.passes = Passes(test)
        workload = options.workload(local.config)
        contestants = [
            Contestant(name, local, one, local.storage, _run(name, local, options))
            for name, one in _turns(kind, workload).items()
        ]
        runs, measured = rounds.measure(contestants, local.config, test, options.repeats, progress)
        names = [contestant.name for contestant in contestants]
        ratios = rounds.compare(runs, [(name, names[0]) for name in names[1:]])
        model = _model(options, local.config)
        model["in_huge_pages"] = facts.in_huge_pages(options.path())
        return result.new(kind, runs, host=host, model=model, ceilings=measured, ratios=ratios)


def _turns(kind: str, workload: Workload) -> dict[str, Workload]:
    """The workloads that take turns, the first being what the others are compared with."""
    if kind == "batch":
        if workload.batch < 2:
            raise UsageError("a batch of 1 has nothing to be compared with", hint="--batch 8")
        return {
            "paddock, 1 sequence": replace(workload, batch=1),
            f"paddock, {workload.batch} sequences": workload,
        }
    if workload.busy:
        return {
            "paddock": replace(workload, busy=0),
            f"paddock, {workload.busy} competing": workload,
        }
    return {"paddock": workload}


def peers(
    options: Options,
    *,
    only: Sequence[str] = (),
    pythons: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    models: dict[str, str] | None = None,
    gguf: Path | None = None,
    best: bool = False,
    timeout: float = 600.0,
    progress: Progress = _silent,
) -> Result:
    """Paddock and every installed peer in turn.

    ``gguf`` is the same model as a GGUF file; without it one is written for the time of the
    measurement, quantized like ``options.quant``. ``models`` maps a peer's name to weights in a
    form of its own. Of ``runtimes``, ours, each takes part; without any LLM.open chooses.
    """
    host = facts.host()
    session.check_names((*only, *(models or {})))
    path, config = options.path(), options.config()
    with ExitStack() as stack:
        where = _files(path, options.quant, gguf, config, only, stack)
        storage = of_gguf(Path(where["gguf"])) if "gguf" in where else None
        opening = dict(options.opening)
        if options.quant:
            opening["quant"] = options.quant
        plan = session.Plan(
            config,
            options.workload(config),
            options.n_threads,
            where | (models or {}),
            ours=tuple(opening | {"runtime": name} for name in runtimes) or (opening,),
            only=tuple(only) or tuple(session.PEERS),
            pythons=(sys.executable, *pythons),
            storages={"gguf": storage} if storage else {},
            variants={"transformers": _dtypes(config)},
            best=best,
            timeout=timeout,
        )
        test = ceilings.open_ceilings(options.n_threads)
        stack.callback(test.close)
        runs, measured, ratios = session.compare_peers(plan, test, progress)
    model = _model(options, config)
    return result.new("peers", runs, host=host, model=model, ceilings=measured, ratios=ratios)


def measure_load(
    options: Options, cache: str = "warm", timeout: float = 600.0, progress: Progress = _silent
) -> Result:
    """Start to first token of ``paddock run``, and the most memory that it had resident."""
    host = facts.host()
    path = options.path()
    run = load.measure_load(
        path,
        threads=options.n_threads,
        quant=options.quant,
        cache=cache,
        repeats=options.repeats,
        timeout=timeout,
        progress=progress,
    )
    model = _model(options, open_checkpoint(path).config())
    return result.new("load", [run], host=host, model=model)


def roofline(
    options: Options, test: Ceilings | None = None, progress: Progress = _silent
) -> Result:
    """The machine's ceilings alone."""
    host = facts.host()
    own = test or ceilings.open_ceilings(options.n_threads)
    try:
        samples: dict[str | None, list[float]] = {}
        for number in range(options.repeats):
            for kind in (None, *ceilings.KINDS):
                found = ceilings.best(own, kind)
                if found is not None:
                    samples.setdefault(kind, []).append(found)
            progress(number + 1, options.repeats)
        measured = Measured(
            own.method,
            own.threads,
            Summary.of(samples[None]),
            {kind: Summary.of(values) for kind, values in samples.items() if kind is not None},
            {kind: own.instruction(kind) for kind in ceilings.KINDS},
        )
    finally:
        own.close()
    return result.new("roofline", [], host=host, ceilings=measured)


def _run(name: str, local: Local, options: Options) -> Run:
    runtime: Any = local.llm.runtime
    opened: dict[str, Any] = {"quant": options.quant, "threads": options.n_threads}
    for key in ("decode_path", "instructions", "kv"):
        if hasattr(runtime, key):
            opened[key] = getattr(runtime, key)
    opened["runtime"] = type(runtime).__name__
    opened |= _ranks(runtime)
    note = None if local.storage else "no ceilings: how this runtime holds the model is not known"
    weights = f"{local.storage.weights}, head {local.storage.head}" if local.storage else None
    return Run(
        name,
        version=facts.packages()["paddock"],
        weights=weights,
        note=note,
        options=opened | dict(options.opening),
    )


def _ranks(runtime: Runtime) -> dict[str, Any]:
    """Over how many ranks the model is spread, and what each said when it had loaded its part."""
    if not isinstance(runtime, GroupRuntime):
        return {"tp": 1, "pp": 1}
    reports = [
        {k: v for k, v in asdict(report).items() if k != "limits"}
        for _, report in sorted(runtime.reports.items())
    ]
    return {"tp": runtime.split.tp, "pp": runtime.split.pp, "ranks": reports}


def _model(options: Options, config: ModelConfig) -> dict[str, Any]:
    return {
        "name": options.model or store.DEMO,
        "quant": options.quant,
        "n_params": config.n_params(),
        "config": config.to_dict(),
    }


def _files(
    path: Path,
    quant: str | None,
    gguf: Path | None,
    config: ModelConfig,
    only: Sequence[str],
    stack: ExitStack,
) -> dict[str, str]:
    """The model for each kind of reader; see session.Plan."""
    found = {session.OURS: str(path)}
    if path.is_dir() and any(path.glob("*.safetensors")):
        found["hf"] = str(path)
    if path.suffix == ".gguf":
        found |= {"hf": str(path), "gguf": str(path)}
    elif gguf is not None:
        found["gguf"] = str(gguf)
    elif not only or any(session.PEERS[name].reads == "gguf" for name in only):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paddock-bench-")))
        dtype = _FILE_TYPE[quant] if quant else config.dtype
        target = folder / f"model-{dtype}.gguf"
        found["gguf"] = str(convert.convert(path, target, to="gguf", dtype=dtype))
        if quant:  # the same 4 or 8 bits for all: ours reads the file without loss
            found[session.OURS] = found["gguf"]
    return found


def _dtypes(config: ModelConfig) -> tuple[dict[str, Any], ...]:
    """transformers in fp32, which CPUs compute quickest, and in the model's own type."""
    return tuple({"dtype": name} for name in dict.fromkeys(("fp32", config.dtype)))
