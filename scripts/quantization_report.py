#!/usr/bin/env python3
"""Measures what 4 and 8 bits cost a model: perplexity on held-out text and error of the weights.

    scripts/quantization_report.py [--model PATH] [--documents N] [--json FILE]

The text is of the kind that the built-in model learned, drawn with a seed that its training does
not use (short dialogues recur all the same); another model can be measured on it too, but only
ratios mean something then. Weights are quantized as ``paddock quantize`` does and computed with in
fp32 by transformers, so that nothing but the weights differs; the last rows go through Paddock's
runtime for CPUs, which rounds the activations that meet packed weights to 8 bits.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from demo_corpus import documents
from paddock.inference.checkpoint.base import Array, Checkpoint
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import GROUP, Packed
from paddock.inference.checkpoint.quantize import quantize
from paddock.inference.checkpoint.quantized import Quantized
from paddock.inference.checkpoint.store import builtin
from paddock.inference.checkpoint.verify import checked
from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.load import load_tokenizer

SEED = "heldout-quantization"
EMBEDDING, HEAD = "tok_embeddings.weight", "output.weight"
Weights = Iterator[tuple[str, Array]]


def usual(bits: int, head: int | None = 8, search: bool = True) -> Callable[[Checkpoint], Weights]:
    return lambda base: Quantized(base, bits, head_bits=head, search=search).tensors()


def embedding_too(bits: int, embedding: int) -> Callable[[Checkpoint], Weights]:
    def weights(base: Checkpoint) -> Weights:
        for name, array in Quantized(base, bits).tensors():
            packed = name == EMBEDDING
            yield name, quantize(array, embedding).dequantize() if packed else array

    return weights


def asymmetric(bits: int, search: bool) -> Callable[[Checkpoint], Weights]:
    """q * scale + offset, both fp16: 5 bits a weight for 4. The head as usual."""

    def weights(base: Checkpoint) -> Weights:
        for name, weight in Quantized(base, bits).stored():
            if not isinstance(weight, Packed):
                yield name, weight
            elif name == HEAD:
                yield name, weight.dequantize()
        for name, array in base.tensors():
            if array.ndim == 2 and name not in (EMBEDDING, HEAD):
                yield name, nearest_asymmetric(array.astype(np.float32), bits, search)

    return weights


def nearest_asymmetric(array: Array, bits: int, search: bool) -> Array:
    """The nearest of 2^bits levels between a minimum and a maximum, which ``search`` pulls in."""
    x = array.reshape(-1, GROUP)
    low, high, levels = x.min(1, keepdims=True), x.max(1, keepdims=True), (1 << bits) - 1
    best, least = np.empty_like(x), np.full((len(x), 1), np.inf, np.float32)
    steps = np.linspace(0, 0.15, 7).tolist() if search else [0.0]
    for below in steps:
        for above in steps:
            span = high - low
            start = (low + span * below).astype(np.float16).astype(np.float32)
            scale = (span * (1 - below - above) / levels).astype(np.float16).astype(np.float32)
            q = np.divide(x - start, scale, out=np.zeros_like(x), where=scale > 0)
            y = np.clip(np.rint(q), 0, levels) * scale + start
            error = ((y - x) ** 2).sum(1, keepdims=True)
            best, least = np.where(error < least, y, best), np.minimum(error, least)
    return best.reshape(array.shape)


CASES: dict[str, Callable[[Checkpoint], Weights]] = {
    "as it is": lambda base: base.tensors(),
    "int8": usual(8),
    "int8, no search": usual(8, search=False),
    "int4, head int8": usual(4),
    "int4, head int8, no search": usual(4, search=False),
    "int4, head int4": usual(4, 4),
    "int4, head as it is": usual(4, None),
    "int4, head int8, embedding int8": embedding_too(4, 8),
    "int4, head int8, embedding int4": embedding_too(4, 4),
    "int4 asymmetric, head int8": asymmetric(4, True),
    "int4 asymmetric, head int8, no search": asymmetric(4, False),
}


def texts(tokenizer: Tokenizer, count: int, longest: int) -> list[list[int]]:
    """Token ids of held-out documents, each segment between its marks, cut at the context."""
    found = []
    for document in islice(documents(SEED), count):
        ids: list[int] = []
        for segment in document.segments:
            ids += [1, *tokenizer.encode(segment), 2]
        found.append(ids[:longest])
    return found


def model_of(base: Checkpoint, path: Path) -> Any:
    """transformers' model of the checkpoint's shape, its weights still to be put in."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(str(path))
    config.tie_word_embeddings = False  # a quantized head leaves the embedding alone
    torch.set_num_threads(1)  # for so small a model more cost more than they bring
    torch.set_default_dtype(torch.float32)
    return LlamaForCausalLM(config).eval()


def put(model: Any, weights: Weights, plain: dict[str, Array]) -> float:
    """Fills the model; the relative error of its layers' matrices, in float64."""
    import torch

    parameters, wrong, size = dict(model.named_parameters()), 0.0, 0.0
    for name, array in weights:
        values = array.astype(np.float32)
        with torch.no_grad():
            parameters[to_theirs("hf", name)].copy_(torch.from_numpy(values))
            if name == EMBEDDING and HEAD not in plain:
                model.lm_head.weight.copy_(torch.from_numpy(values))
        if array.ndim == 2 and name not in (EMBEDDING, HEAD):
            exact = plain[name].astype(np.float64)
            wrong += float(((values - exact) ** 2).sum())
            size += float((exact**2).sum())
    return math.sqrt(wrong / size)


def perplexity(model: Any, docs: list[list[int]]) -> float:
    """Of every token after a document's first."""
    import torch

    loss, tokens = 0.0, 0
    with torch.inference_mode():
        for ids in docs:
            logits = model(torch.tensor([ids])).logits[0, :-1]
            targets = torch.tensor(ids[1:])
            loss += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
            tokens += len(targets)
    return math.exp(loss / tokens)


def runtime_perplexity(base: Checkpoint, quant: str | None, docs: list[list[int]]) -> float:
    """The same through the native runtime, whole documents as guesses of what comes next."""
    from paddock.inference.runtimes.base import Batch, SamplingParams, Work
    from paddock.inference.runtimes.load import load_runtime

    vocab = base.config().vocab_size
    runtime = load_runtime(base, "native", quant=quant, max_batch=1, threads=1)
    pages = tuple(range(-(-max(map(len, docs)) // runtime.limits.page_size)))
    loss, tokens, chunk = 0.0, 0, 32
    for ids in docs:
        for at in range(0, len(ids) - 1, chunk):
            part = ids[at : at + chunk]
            part = part[: len(ids) - 1 - at]
            work = Work(0, part, at, pages, SamplingParams(), n_draft=len(part) - 1, logprobs=vocab)
            for choice, target in zip(
                runtime.step(Batch((work,))), ids[at + 1 : at + 1 + len(part)], strict=True
            ):
                loss -= dict(choice.top)[target]
                tokens += 1
    runtime.close()
    return math.exp(loss / tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=builtin())
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    base = open_checkpoint(options.model)
    plain = {name: np.array(array) for name, array in checked(base)}
    docs = texts(load_tokenizer(options.model), options.documents, base.config().max_seq_len)
    model = model_of(base, options.model)
    rows: list[dict[str, Any]] = []
    print(f"{len(docs)} documents, {sum(map(len, docs))} tokens, {options.model.name}\n")
    print("| weights | perplexity | to as it is | error of the layers' weights |")
    print("|---|---:|---:|---:|")
    for name, weights in CASES.items():
        error = put(model, weights(base), plain)
        rows.append({"weights": name, "perplexity": perplexity(model, docs), "error": error})
        ratio = rows[-1]["perplexity"] / rows[0]["perplexity"] - 1
        print(f"| {name} | {rows[-1]['perplexity']:.4f} | {ratio:+.2%} | {error:.4f} |", flush=True)
    print("\n| native runtime | perplexity | to as it is |\n|---|---:|---:|")
    first = None
    for quant in (None, "int8", "int4"):
        found = runtime_perplexity(base, quant, docs)
        first = first or found
        rows.append({"weights": f"native {quant or 'as it is'}", "perplexity": found})
        print(f"| {quant or 'as it is'} | {found:.4f} | {found / first - 1:+.2%} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
