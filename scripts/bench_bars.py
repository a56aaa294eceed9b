#!/usr/bin/env python3
"""Measures what Paddock promises of itself on CPUs, in one paired run, against fixed bars.

    scripts/bench_bars.py OUT [--python PATH]... [--rows NAME]... [--like SHAPE] [--layers N]
                              [--threads N] [--again] [--markdown FILE]

Makes random models of true shapes below OUT/models (23 GB for Llama-2-7B in 4 and 8 bits, each in
our format and as GGUF), then measures row by row and saves each row when it is done: a run that was
interrupted goes on where it stopped; rows of another commit or other options are measured again.
Prints figure, bar, what was measured, and whether the bar is met. `--python` names interpreters in
which llama.cpp (llama-cpp-python or xllamacpp) is installed. A machine that does nothing else is
needed; the load average before each row is in the result.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from paddock.bench import facts, run
from paddock.bench.result import Result, Run
from paddock.bench.run import Options
from paddock.bench.summary import Summary
from paddock.errors import PaddockError
from paddock.inference.checkpoint.random_model import make_random

LLAMA_CPP = ("llama-cpp-python", "xllamacpp")


@dataclass
class Verdict:
    """What a row found: words for the table, each condition's value and bar, and the results."""

    measured: str
    met: bool | None
    results: list[dict[str, Any]] = field(default_factory=list)
    load_before: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Bench:
    """The run's options."""

    out: Path
    like: str
    layers: int | None
    threads: int
    pythons: tuple[str, ...]

    def model(self, quant: str, suffix: str = "") -> Path:
        """A random model, made if it is not there yet; ``.gguf`` is the same in that format."""
        name = f"{self.like}-{self.layers or 'all'}-{quant}{suffix}"
        path = self.out / "models" / name
        if not path.exists():
            print(f"making {name}", file=sys.stderr, flush=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            form = "gguf" if suffix else "paddock"
            make_random(path, like=self.like, quant=quant, format=form, layers=self.layers)
        return path

    def options(self, quant: str = "int4", **work: Any) -> Options:
        """Options of a measurement of a random model."""
        return Options(str(self.model(quant)), threads=self.threads, **work)


def decode_and_ratio(bench: Bench, quant: str, share: float, ratio: float) -> Verdict:
    """Decoding alone, read passes in turn with its steps, then in turn with llama.cpp."""
    alone = share_of(bench, share, quant=quant, prompt_tokens=128, new_tokens=64, repeats=5)
    beside = ratio_to(peers(bench, quant, 128, 32, 9), "decode", ratio)
    met = alone.met and beside.met if alone.met is not None and beside.met is not None else None
    words = f"alone {alone.measured}; in turn {beside.measured}"
    return Verdict(words, met, alone.results + beside.results)


def share_of(bench: Bench, share: float, **work: Any) -> Verdict:
    """The share of the bound that decoding reaches, against its bar."""
    found = run.speed("decode", bench.options(**work))
    figure = found.runs[0].figures["decode"]
    if figure.share is None:
        return Verdict("no ceiling", None, [found.to_dict()])
    words = f"{figure.values.median:.2f} tokens/s, {figure.share.median:.3f} of the bound"
    return Verdict(words, figure.share.median >= share, [found.to_dict()])


def ratio_to(found: Result, figure: str, ratio: float) -> Verdict:
    """The ratio to llama.cpp, against its bar."""
    ours = found.runs[0]
    if ours.state != "ok":
        return Verdict(f"not measured: {ours.note}", None, [found.to_dict()])
    words, met = [f"{ours.figures[figure].values.median:.2f} tokens/s"], True
    pairs = [pair for pair in found.ratios if pair.figure == figure]
    for pair in pairs:
        theirs = next(one for one in found.runs if one.runtime == pair.theirs)
        speed = theirs.figures[figure].values.median
        words.append(f"{pair.values.median:.2f} x {pair.theirs} ({speed:.2f})")
        met = met and pair.values.median >= ratio
    if not pairs:
        notes = [one.note or one.state for one in found.runs if one.state != "ok"]
        words.append(f"llama.cpp not measured: {'; '.join(notes)}")
    return Verdict(", ".join(words), met if pairs else None, [found.to_dict()])


def peers(bench: Bench, quant: str, prompt: int, new: int, repeats: int) -> Result:
    """Ours and one llama.cpp, the one that is installed, in its quicker way."""
    for name in LLAMA_CPP:
        found = run.peers(
            bench.options(quant, prompt_tokens=prompt, new_tokens=new, repeats=repeats),
            only=(name,),
            pythons=bench.pythons,
            gguf=bench.model(quant, ".gguf"),
            best=True,
        )
        if any(is_peer(one) for one in found.runs):
            break
    return found


def is_peer(one: Run) -> bool:
    return one.state == "ok" and one.runtime.startswith(LLAMA_CPP)


def decode_int4(bench: Bench) -> Verdict:
    return decode_and_ratio(bench, "int4", 0.90, 1.6)


def decode_int8(bench: Bench) -> Verdict:
    return decode_and_ratio(bench, "int8", 0.90, 1.5)


def prefill(bench: Bench) -> Verdict:
    return ratio_to(peers(bench, "int4", 512, 1, 3), "prefill", 2.5)


def decode_long(bench: Bench) -> Verdict:
    return share_of(bench, 0.80, prompt_tokens=2048, new_tokens=32, repeats=3)


def batch(bench: Bench) -> Verdict:
    found = run.speed("batch", bench.options(batch=8, new_tokens=32, repeats=3))
    return ratio_of(found, "decode", 4.0, "x one sequence")


def busy(bench: Bench) -> Verdict:
    found = run.speed("decode", bench.options(busy=1, new_tokens=32, repeats=5))
    return ratio_of(found, "decode", 0.45, "of the quiet speed")


def ratio_of(found: Result, figure: str, bar: float, words: str) -> Verdict:
    ratio = next(one.values for one in found.ratios if one.figure == figure)
    speeds = " and ".join(f"{one.figures[figure].values.median:.2f}" for one in found.runs)
    told = f"{ratio.median:.2f} {words} ({speeds} tokens/s)"
    return Verdict(told, ratio.median >= bar, [found.to_dict()])


def product_error(bench: Bench) -> Verdict:
    """Relative error of products with fresh random matrices and activations, against float64.

    llama.cpp's are computed from its own rounding (the gguf package's Q4_0 of the weights, Q8_0 of
    the activations) in float64: what its kernels add in fp32 is not held against it.
    """
    import gguf
    import numpy as np

    from paddock.inference.kernels import matrices

    rng = np.random.default_rng()
    ours, theirs = [], []
    q4, q8 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0

    def rounded(array: Any, kind: Any) -> Any:
        return gguf.dequantize(gguf.quantize(array, kind), kind).astype(np.float64)

    for _ in range(8):
        weights = rng.standard_normal((4096, 4096), np.float32) * np.float32(0.02)
        x = rng.standard_normal((4, 4096), np.float32)
        exact = x.astype(np.float64) @ weights.T.astype(np.float64)
        packed = matrices.quantize(weights, 4)
        for found, product in (
            (ours, matrices.product(packed, x, shape=weights.shape, threads=bench.threads)),
            (theirs, rounded(x, q8) @ rounded(weights, q4).T),
        ):
            found.append(float(np.linalg.norm(product - exact) / np.linalg.norm(exact)))
    a, b = Summary.of(ours), Summary.of(theirs)
    worst = max(one / other for one, other in zip(ours, theirs, strict=True))
    told = f"{a.median:.4f} against {b.median:.4f} (at most {worst:.3f} x, 8 matrices)"
    return Verdict(told, worst <= 1.0, [{"ours": a.to_dict(), "llama.cpp": b.to_dict()}])


def perplexity(bench: Bench) -> Verdict:
    import quantization_report as report
    from paddock.inference.checkpoint.open import open_checkpoint
    from paddock.inference.checkpoint.store import builtin
    from paddock.inference.tokenizer.load import load_tokenizer

    base = open_checkpoint(builtin())
    docs = report.texts(load_tokenizer(builtin()), 100, base.config().max_seq_len)
    found = {str(q): report.runtime_perplexity(base, q, docs) for q in (None, "int8", "int4")}
    plain = found.pop("None")
    ratios = {quant: value / plain - 1 for quant, value in found.items()}
    told = f"{plain:.3f} in bf16; " + ", ".join(f"{q} {r:+.2%}" for q, r in ratios.items())
    met = ratios["int8"] <= 0.01 and ratios["int4"] <= 0.05
    return Verdict(told, met, [{"bf16": plain, **found, "documents": len(docs)}])


def load(bench: Bench) -> Verdict:
    found = run.measure_load(bench.options(repeats=3))
    figures = found.runs[0].figures
    first, memory = figures["first_token"].values, figures["peak_rss"].values
    told = (
        f"{first.median:.2f} s ({first.min:.2f} to {first.max:.2f}), {memory.median / 1e9:.1f} GB"
    )
    return Verdict(told, first.median <= 2.0, [found.to_dict()])


ROWS: dict[str, tuple[str, str, Callable[[Bench], Verdict]]] = {
    "int4": (
        "int4 decode, batch 1, context 128", "0.90 of the bound, 1.6 x llama.cpp Q4_0", decode_int4,
    ),
    "long": ("int4 decode at context 2,048", "0.80 of the bound with the cache", decode_long),
    "prefill": ("prefill of 512 tokens", "2.5 x llama.cpp", prefill),
    "batch": ("decode, 8 sequences at once", "4 x the tokens/s of one", batch),
    "busy": ("one competing busy process", "0.45 of the quiet speed", busy),
    "load": ("load of int4, page cache warm", "first token 2 s after start", load),
    "int8": ("int8 decode", "0.90 of the bound, 1.5 x llama.cpp Q8_0", decode_int8),
    "error": ("error of one int4 product", "no more than llama.cpp's Q4_0", product_error),
    "perplexity": ("built-in model in int8 and int4", "within 1 % and 5 % of bf16", perplexity),
}  # fmt: skip


def measure(name: str, bench: Bench, again: bool) -> dict[str, Any]:
    """One row's record, measured or read back."""
    file = bench.out / f"{name}.json"
    conditions = {
        "commit": facts.commit(),
        "like": bench.like,
        "layers": bench.layers,
        "threads": bench.threads,
    }
    if file.exists() and not again:
        record: dict[str, Any] = json.loads(file.read_text())
        if record["conditions"] == conditions and record["met"] is not None:
            return record
    figure, bar, function = ROWS[name]
    host = facts.host()
    begin = time.monotonic()
    print(f"{figure} …", file=sys.stderr, flush=True)
    try:
        verdict = function(bench)
    except PaddockError as error:
        verdict = Verdict(f"not measured: {error}", None)
    verdict.load_before, verdict.seconds = host["load_average"], time.monotonic() - begin
    record = {"row": name, "figure": figure, "bar": bar, "conditions": conditions}
    record |= asdict(verdict)
    bench.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return record


def table(records: list[dict[str, Any]]) -> str:
    words = {True: "met", False: "missed", None: "not measured"}
    rows = [
        f"| {one['figure']} | {one['bar']} | {one['measured']} | {words[one['met']]} |"
        for one in records
    ]
    return "\n".join(["| figure | bar | measured | verdict |", "|---|---|---|---|", *rows]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", action="append", default=[], help="where llama.cpp is")
    parser.add_argument("--rows", action="append", choices=tuple(ROWS), help="only these")
    parser.add_argument("--like", default="llama2-7b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--again", action="store_true", help="measure rows that are done too")
    parser.add_argument("--markdown", type=Path, help="write the table there as well")
    args = parser.parse_args()
    bench = Bench(args.out, args.like, args.layers, args.threads, tuple(args.python))
    records = [measure(name, bench, args.again) for name in args.rows or ROWS]
    text = table(records)
    print(text, end="")
    if args.markdown:
        args.markdown.write_text(text)
    return 0 if all(one["met"] for one in records) else 1


if __name__ == "__main__":
    sys.exit(main())
