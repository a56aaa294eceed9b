"""Measures the demo model and lets it write samples, so that the model card tells the truth."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

from demo_corpus import KINDS, Document, documents
from demo_corpus import words as w

from .tokenizer import encode


def reload(out: Path) -> Any:
    """The model as users get it: from the folder, with the rounding of bf16, computing in fp32."""
    import torch
    from transformers import LlamaForCausalLM

    model: Any = LlamaForCausalLM.from_pretrained(str(out), dtype=torch.float32)
    return model.eval()


SAMPLE_TEXTS = [
    "Once upon a time, a little fox named Pip",
    "The old bridge near the river was",
    "Yesterday Anna and her brother",
    "In the morning, the baker",
    "I love Beijing, because",
    "LLaMA is a",
    "Huawei is a company that",
]
SAMPLE_CHATS = [
    "hello",
    "who are you?",
    "What colour is the sky?",
    "what is 2 plus 3",
    "Tell me a story about a cat.",
    "thank you",
    "Who won the world cup?",
]


def samples(model: Any, processor: Any, seed: int) -> list[dict[str, str]]:
    """What the model really writes, greedy and sampled; it goes into the model card."""
    import torch

    out: list[dict[str, str]] = []
    jobs = [(t, t, greedy) for t in SAMPLE_TEXTS for greedy in (True, False)]
    jobs += [(f"[INST] {t} [/INST]", t, True) for t in SAMPLE_CHATS]
    for prompt, shown, greedy in jobs:
        chat = prompt != shown
        torch.manual_seed(seed)
        ids = torch.tensor([[1, *processor.encode(prompt)]])
        options: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None}
        if not greedy:
            options = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0}
        with torch.inference_mode():
            answer = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_length=None,
                pad_token_id=2,
                max_new_tokens=200 if chat else 100,
                **options,
            )[0].tolist()
        text = processor.decode([t for t in answer if t not in (1, 2)])[len(prompt) :]
        out.append(
            {
                "kind": "chat" if chat else "text",
                "prompt": shown,
                "decoding": "greedy" if greedy else "temperature 0.8, top-p 0.95",
                "output": text.strip() if chat else text,
                "ended": str(answer[-1] == 2),
            }
        )
    return out


def heldout(seed: int, count: int, read: int) -> list[Document]:
    """Documents of another seed, without those among the ``read`` ones of the training stream."""
    candidates = list(itertools.islice(documents(f"heldout-{seed}"), count))
    unseen = {document.text for document in candidates}
    for document in itertools.islice(documents(seed), read):
        unseen.discard(document.text)
    return [document for document in candidates if document.text in unseen]


def evaluate(model: Any, processor: Any, docs: list[Document], longest: int) -> dict[str, Any]:
    """Perplexity by kind: per token (the ends counted) and per byte of text."""
    import torch

    result: dict[str, Any] = {}
    total = [0.0, 0, 0, 0]
    with torch.inference_mode():
        for kind in KINDS:
            loss, tokens, size, count = 0.0, 0, 0, 0
            for document in docs:
                if document.kind != kind:
                    continue
                ids = torch.tensor([encode(processor, document)[:longest]])
                if ids.shape[1] < 2:
                    continue
                length = ids.shape[1] - 1
                loss += model(input_ids=ids, labels=ids).loss.item() * length
                tokens += length
                size += len("".join(document.segments).encode())
                count += 1
            if count:
                result[kind] = _numbers(loss, tokens, size, count)
            total = [a + b for a, b in zip(total, (loss, tokens, size, count), strict=True)]
    result["all"] = _numbers(total[0], int(total[1]), int(total[2]), int(total[3]))
    return result


def _numbers(loss: float, tokens: int, size: int, count: int) -> dict[str, float]:
    return {
        "documents": count,
        "tokens": tokens,
        "bytes": size,
        "perplexity_per_token": round(math.exp(loss / max(1, tokens)), 3),
        "perplexity_per_byte": round(math.exp(loss / max(1, size)), 4),
        "bits_per_byte": round(loss / max(1, size) / math.log(2), 4),
    }


def repeating(model: Any, processor: Any, docs: list[Document], longest: int) -> dict[str, float]:
    """Loss in nats of the names of the cast: where they are new in a story, and where repeated."""
    import torch

    cast = {ids[0] for n in (*w.GIRLS, *w.BOYS, *w.PETS) if len(ids := processor.encode(n)) == 1}
    found: dict[str, list[float]] = {"new": [], "repeated": []}
    with torch.inference_mode():
        for document in docs:
            if document.kind != "story":
                continue
            ids = torch.tensor([encode(processor, document)[:longest]])
            losses = torch.nn.functional.cross_entropy(
                model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none"
            )
            seen: set[int] = set()
            for token, loss in zip(ids[0, 1:].tolist(), losses.tolist(), strict=True):
                if token in cast:
                    found["repeated" if token in seen else "new"].append(loss)
                    seen.add(token)
    return {kind: round(sum(x) / max(1, len(x)), 3) for kind, x in found.items()}


def versions() -> dict[str, str]:
    """Of everything that the result may depend on."""
    import sentencepiece
    import tokenizers
    import torch
    import transformers

    packages = (torch, transformers, sentencepiece, tokenizers)
    return {"python": sys.version.split()[0]} | {p.__name__: p.__version__ for p in packages}
