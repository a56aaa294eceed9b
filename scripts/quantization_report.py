#!/usr/bin/env python3
"""Measures what 4 and 8 bits cost a model: perplexity on held-out text and error of the weights.

    scripts/quantization_report.py [--model PATH] [--documents N] [--json FILE]

The text is the built-in model's own, drawn with seeds that its training did not see; another model
can be measured on it too, but only ratios mean something then. Weights are quantized as
``paddock quantize`` does and computed with in fp32 by transformers, so that nothing but the weights
differs; what a runtime's activations in 8 bits add is not in the table.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from demo_evaluation import evaluate, heldout

from paddock.inference.checkpoint.base import Array, Checkpoint
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import GROUP, Packed
from paddock.inference.checkpoint.quantize import quantize
from paddock.inference.checkpoint.quantized import Quantized
from paddock.inference.checkpoint.store import builtin
from paddock.inference.checkpoint.verify import checked

EMBEDDING, HEAD = "tok_embeddings.weight", "output.weight"
Weights = Iterator[tuple[str, Array]]


@dataclass(frozen=True)
class Case:
    """One way of storing the weights."""

    name: str
    weights: Callable[[Checkpoint], Weights]


def usual(bits: int, head: int | None = 8, search: bool = True) -> Callable[[Checkpoint], Weights]:
    return lambda base: Quantized(base, bits, head_bits=head, search=search).tensors()


def embedding_too(bits: int, embedding: int) -> Callable[[Checkpoint], Weights]:
    def weights(base: Checkpoint) -> Weights:
        for name, array in Quantized(base, bits).tensors():
            same = name != EMBEDDING
            yield name, array if same else quantize(array, embedding).dequantize()

    return weights


def asymmetric(bits: int, search: bool) -> Callable[[Checkpoint], Weights]:
    """q * scale + offset, both fp16: 5 bits a weight for 4. The head as usual."""

    def weights(base: Checkpoint) -> Weights:
        for name, weight in Quantized(base, 8).stored():
            if isinstance(weight, Packed) and name == HEAD:
                yield name, weight.dequantize()
            elif not isinstance(weight, Packed):
                yield name, weight
        for name, array in base.tensors():
            if array.ndim == 2 and name not in (EMBEDDING, HEAD):
                yield name, _asymmetric(array.astype(np.float32), bits, search)

    return weights


def _asymmetric(array: Array, bits: int, search: bool) -> Array:
    """The nearest of 2^bits levels between a minimum and a maximum, which ``search`` pulls in."""
    x = array.reshape(-1, GROUP)
    low, high, levels = x.min(1, keepdims=True), x.max(1, keepdims=True), (1 << bits) - 1
    best, least = np.empty_like(x), np.full((len(x), 1), np.inf, np.float32)
    steps = np.linspace(0, 0.15, 7) if search else (0.0,)
    for below in steps:
        for above in steps:
            span = high - low
            start = (low + span * below).astype(np.float16).astype(np.float32)
            scale = (span * (1 - below - above) / levels).astype(np.float16).astype(np.float32)
            q = np.divide(x - start, scale, out=np.zeros_like(x), where=scale > 0)
            y = np.clip(np.rint(q), 0, levels) * scale + start
            error = ((y - x) ** 2).sum(1, keepdims=True)
            best = np.where(error < least, y, best)
            least = np.minimum(error, least)
    return best.reshape(array.shape)


CASES = [
    Case("as it is", lambda base: base.tensors()),
    Case("int8", usual(8)),
    Case("int8, no search", usual(8, search=False)),
    Case("int4, head int8", usual(4)),
    Case("int4, head int8, no search", usual(4, search=False)),
    Case("int4, head int4", usual(4, 4)),
    Case("int4, head as it is", usual(4, None)),
    Case("int4, head int8, embedding int8", embedding_too(4, 8)),
    Case("int4, head int8, embedding int4", embedding_too(4, 4)),
    Case("int4 asymmetric, head int8", asymmetric(4, True)),
    Case("int4 asymmetric, head int8, no search", asymmetric(4, False)),
]


def model_of(base: Checkpoint, path: Path) -> Any:
    """transformers' model of the checkpoint's shape, its weights to be put in."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(str(path))
    torch.set_default_dtype(torch.float32)
    return LlamaForCausalLM(config).eval()


def put(model: Any, weights: Weights, plain: dict[str, Array]) -> float:
    """Fills the model; the relative error of its layers' matrices, in float64."""
    import torch

    parameters, wrong, size = dict(model.named_parameters()), 0.0, 0.0
    parameters.setdefault("lm_head.weight", model.lm_head.weight)
    for name, array in weights:
        values = array.astype(np.float32)
        with torch.no_grad():
            parameters[to_theirs("hf", name)].copy_(torch.from_numpy(values))
        if array.ndim == 2 and name not in (EMBEDDING, HEAD):
            exact = plain[name].astype(np.float64)
            wrong += float(((values - exact) ** 2).sum())
            size += float((exact**2).sum())
    return math.sqrt(wrong / size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=builtin())
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from sentencepiece import SentencePieceProcessor

    base = open_checkpoint(options.model)
    plain = {name: np.array(array) for name, array in checked(base)}
    processor = SentencePieceProcessor(model_file=str(options.model / "tokenizer.model"))
    plan = json.loads((builtin() / "training_log.json").read_text())["plan"]
    documents = heldout(plan["seed"], options.documents, plan["steps"] * plan["batch_tokens"])
    model = model_of(base, options.model)
    rows = []
    print(f"{len(documents)} documents of held-out text, {options.model.name}\n")
    print("| weights | perplexity | to as it is | error of the layers' weights |")
    print("|---|---:|---:|---:|")
    for case in CASES:
        error = put(model, case.weights(base), plain)
        score = evaluate(model, processor, documents, base.config().max_seq_len)["all"]
        perplexity = math.exp(score["bits_per_byte"] * math.log(2) * score["bytes"] / score["tokens"])
        rows.append({"weights": case.name, "perplexity": perplexity, "error": error})
        ratio = perplexity / rows[0]["perplexity"] - 1
        print(f"| {case.name} | {perplexity:.4f} | {ratio:+.2%} | {error:.4f} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
