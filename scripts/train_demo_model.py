#!/usr/bin/env python3
"""Trains the demo model of the package from nothing but a seed, so that anyone can repeat it."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Both must be set before torch starts its threads; spinning threads are slow on a shared machine.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from demo_corpus import Document, documents
from demo_evaluation import evaluate, heldout, reload, samples
from demo_model_card import model_card
from demo_tokenizer import check_equal, encode, save_tokenizer, train_tokenizer


@dataclass(frozen=True)
class Plan:
    """Everything that decides the result, besides the code."""

    seed: int
    steps: int
    tail: int
    batch_tokens: int
    block: int
    long_block: int
    warmup: int
    learning_rate: float
    vocab_size: int
    hidden_size: int
    layers: int
    intermediate_size: int
    heads: int
    kv_heads: int
    tokenizer_documents: int
    heldout_documents: int


FULL = Plan(
    seed=1,
    steps=5000,
    tail=1250,
    batch_tokens=1024,
    block=512,
    long_block=1024,
    warmup=150,
    learning_rate=1.5e-3,
    vocab_size=2048,
    hidden_size=256,
    layers=6,
    intermediate_size=640,
    heads=8,
    kv_heads=2,
    tokenizer_documents=12000,
    heldout_documents=600,
)
QUICK = Plan(
    seed=1,
    steps=6,
    tail=2,
    batch_tokens=512,
    block=128,
    long_block=256,
    warmup=2,
    learning_rate=2e-3,
    vocab_size=1024,
    hidden_size=64,
    layers=2,
    intermediate_size=128,
    heads=4,
    kv_heads=2,
    tokenizer_documents=300,
    heldout_documents=20,
)


class Packed:
    """A stream of token blocks from the corpus that also hashes the text it has used."""

    def __init__(self, seed: int, processor: Any) -> None:
        self.stream: Iterator[Document] = documents(seed)
        self.processor = processor
        self.buffer: list[int] = []
        self.digest = hashlib.sha256()
        self.documents = 0
        self.text_bytes = 0

    def skip(self, count: int, buffer: list[int]) -> None:
        """Go on after ``count`` documents, of which ``buffer`` is not used yet."""
        while self.documents < count:
            self._next()
        self.buffer = buffer

    def _next(self) -> Document:
        document = next(self.stream)
        raw = document.text.encode()
        self.digest.update(raw)
        self.text_bytes += len(raw)
        self.documents += 1
        return document

    def take(self, rows: int, length: int) -> list[list[int]]:
        """The next ``rows`` blocks of ``length`` tokens."""
        while len(self.buffer) < rows * length:
            self.buffer += encode(self.processor, self._next())
        used, self.buffer = self.buffer[: rows * length], self.buffer[rows * length :]
        return [used[i * length : (i + 1) * length] for i in range(rows)]


def rate(plan: Plan, step: int) -> float:
    """Warm-up, a flat part, and a cosine down to a fiftieth over the tail.

    The flat part does not depend on the number of steps, so an interrupted run may be given a new
    number of steps and still equals a run that had this number from the start.
    """
    if step < plan.warmup:
        return plan.learning_rate * (step + 1) / plan.warmup
    part = max(0.0, (step - (plan.steps - plan.tail)) / plan.tail)
    return plan.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))


def build_model(plan: Plan) -> Any:
    """A fresh LlamaForCausalLM with grouped-query attention."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(plan.seed)
    config = LlamaConfig(
        vocab_size=plan.vocab_size,
        hidden_size=plan.hidden_size,
        intermediate_size=plan.intermediate_size,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.kv_heads,
        max_position_embeddings=plan.long_block,
        rms_norm_eps=1e-5,
        initializer_range=0.02,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
        attention_bias=False,
        mlp_bias=False,
        hidden_act="silu",
    )
    return LlamaForCausalLM(config)


def train(
    plan: Plan,
    processor: Any,
    say: Callable[[str], None],
    checkpoint: Callable[[Any, int], None],
    every: int,
    state_file: Path | None,
) -> tuple[Any, dict[str, Any]]:
    """The learning loop; ``checkpoint`` is called with the model every ``every`` steps."""
    import torch

    model = build_model(plan)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=plan.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-8,
        fused=True,
    )
    data = Packed(plan.seed, processor)
    curve: list[dict[str, float]] = []
    recent: list[float] = []
    first, before = 0, 0.0
    if state_file is not None and state_file.exists():
        state = torch.load(state_file, weights_only=True)
        if state["step"] > plan.steps - plan.tail:
            raise ValueError(f"{state_file} is already past step {plan.steps - plan.tail}")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        data.skip(state["documents"], state["buffer"])
        first, before, curve = state["step"], state["seconds"], state["curve"]
        say(f"going on after step {first}")
    start = time.monotonic() - before
    model.train()
    model.config.use_cache = False
    for step in range(first, plan.steps):
        length = plan.block if step < plan.steps - plan.tail else plan.long_block
        blocks = torch.tensor(data.take(plan.batch_tokens // length, length))
        for group in optimizer.param_groups:
            group["lr"] = rate(plan, step)
        loss = model(input_ids=blocks, labels=blocks).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        recent.append(loss.item())
        if (step + 1) % 25 == 0 or step + 1 == plan.steps:
            mean = sum(recent) / len(recent)
            recent = []
            seconds = time.monotonic() - start
            speed = (step + 1) * plan.batch_tokens / seconds
            curve.append({"step": step + 1, "loss": round(mean, 4)})
            say(
                f"step {step + 1}/{plan.steps} loss {mean:.4f} {speed:.0f} tokens/s {seconds:.0f} s"
            )
        if (step + 1) % every == 0 and step + 1 < plan.steps:
            checkpoint(model, step + 1)
            if state_file is not None and step + 1 <= plan.steps - plan.tail:
                part = state_file.with_suffix(".part")
                torch.save(
                    {
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "documents": data.documents,
                        "buffer": data.buffer,
                        "step": step + 1,
                        "seconds": time.monotonic() - start,
                        "curve": curve,
                    },
                    part,
                )
                part.replace(state_file)
    model.config.use_cache = True
    model.eval()
    return model, {
        "seconds": round(time.monotonic() - start),
        "tokens": plan.steps * plan.batch_tokens,
        "documents": data.documents,
        "text_bytes": data.text_bytes,
        "corpus_sha256": data.digest.hexdigest(),
        "loss_curve": curve,
    }


def save_weights(model: Any, out: Path, long_block: int) -> None:
    """config.json, generation_config.json and model.safetensors in bf16."""
    import torch
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach().to(torch.bfloat16).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})
    c = model.config
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_hidden_layers,
        "num_attention_heads": c.num_attention_heads,
        "num_key_value_heads": c.num_key_value_heads,
        "head_dim": c.hidden_size // c.num_attention_heads,
        "hidden_act": "silu",
        "max_position_embeddings": long_block,
        "rms_norm_eps": c.rms_norm_eps,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "pretraining_tp": 1,
        "tie_word_embeddings": False,
        "use_cache": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }
    write_json(out / "config.json", config)
    write_json(
        out / "generation_config.json",
        {
            "bos_token_id": 1,
            "eos_token_id": 2,
            "do_sample": True,
            "temperature": 0.6,
            "top_p": 0.9,
            "max_length": long_block,
        },
    )


def write_json(path: Path, value: Any) -> None:
    """Readable JSON with a line end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=(
            "The result depends on the seed and the number of steps, not on the time. About 40 "
            "minutes on two quiet cores for the full run."
        ),
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished model")
    parser.add_argument("--seed", type=int, default=FULL.seed, help="of corpus and weights")
    parser.add_argument("--steps", type=int, help=f"learning steps (default {FULL.steps})")
    parser.add_argument(
        "--minutes",
        type=float,
        help="choose the steps so that two quiet "
        "cores need about this long (140 steps a minute); the result depends on "
        "the steps alone",
    )
    parser.add_argument("--quick", action="store_true", help="a tiny model in seconds, for tests")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="also keep the newest unfinished model in this folder, complete with its tokenizer",
    )
    parser.add_argument(
        "--state",
        type=Path,
        help="file that keeps the state of the run; if it exists, the run goes on from it",
    )
    parser.add_argument("--checkpoint-every", type=int, default=200, help="in steps (200)")
    args = parser.parse_args(argv)
    if args.steps is not None and args.minutes is not None:
        parser.error("give --steps or --minutes, not both")
    if args.steps is not None and args.steps < 2:
        parser.error("--steps must be at least 2")
    if args.minutes is not None and args.minutes <= 0:
        parser.error("--minutes must be more than 0")
    if args.checkpoint_every < 1:
        parser.error("--checkpoint-every must be at least 1")
    if args.out.exists() and not args.out.is_dir():
        parser.error(f"--out {args.out} is a file, but a folder is needed")
    return args


def make_plan(args: argparse.Namespace) -> Plan:
    """The plan that the options ask for."""
    base = QUICK if args.quick else FULL
    steps = args.steps or base.steps
    if args.minutes is not None:
        steps = max(2, round(args.minutes * 140))
    values = asdict(base)
    values.update(
        seed=args.seed,
        steps=steps,
        warmup=min(base.warmup, max(1, steps // 4)),
        tail=max(1, steps // 4),
    )
    return Plan(**values)


def main(argv: list[str] | None = None) -> int:
    """Run everything; returns the exit status."""
    args = parse(argv)
    try:
        import sentencepiece
        import tokenizers
        import torch
        import transformers
    except ImportError as error:
        print(f"This needs torch, transformers and sentencepiece: {error}", file=sys.stderr)
        return 1
    plan = make_plan(args)
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)

    def say(text: str) -> None:
        print(text, flush=True)

    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    say(f"Tokenizer: {plan.tokenizer_documents} documents, {plan.vocab_size} pieces")
    stream = documents(plan.seed)
    processor, proto = train_tokenizer(
        [next(stream) for _ in range(plan.tokenizer_documents)], plan.vocab_size
    )
    save_tokenizer(proto, out, plan.long_block)
    count = 200 if args.quick else 4000
    lines = check_equal(processor, out, documents(f"check-{plan.seed}"), count)
    say(f"Tokenizer: both forms agree on {lines} lines")

    def checkpoint(model: Any, step: int) -> None:
        if args.checkpoint is None:
            return
        folder = Path(args.checkpoint)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            part = Path(scratch) / "part"
            save_weights(model, part, plan.long_block)
            save_tokenizer(proto, part, plan.long_block)
            folder.mkdir(parents=True, exist_ok=True)
            for file in part.iterdir():
                file.replace(folder / file.name)
        say(f"checkpoint of step {step} in {folder}")

    if args.checkpoint is not None:
        checkpoint(build_model(plan), 0)
    model, facts = train(plan, processor, say, checkpoint, args.checkpoint_every, args.state)
    save_weights(model, out, plan.long_block)
    del model
    model = reload(out)
    say("Held-out perplexity ...")
    tokens = plan.steps * plan.batch_tokens
    docs = heldout(plan.seed, plan.heldout_documents, tokens)
    scores = evaluate(model, processor, docs, plan.long_block)
    texts = samples(model, processor, plan.seed)
    log = {
        "plan": asdict(plan),
        "parameters": sum(p.numel() for p in model.parameters()),
        **facts,
        "tokenizer_lines_checked": lines,
        "heldout": scores,
        "versions": {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "sentencepiece": sentencepiece.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "samples": texts,
    }
    write_json(out / "training_log.json", log)
    (out / "README.md").write_text(model_card(log, quick=args.quick), encoding="utf-8")
    say(json.dumps(scores["all"]))
    say(f"Finished: {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
