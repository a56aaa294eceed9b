"""Writes the model card from the training log, so its numbers and samples are real."""
# The card is a text with its own line lengths.
# ruff: noqa: E501

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NAMES = {
    "story": "stories",
    "question": "questions with answers",
    "essay": "short texts about things",
    "dialogue": "dialogues",
    "all": "all together",
}


def score_table(scores: dict[str, dict[str, float]]) -> str:
    """Held-out perplexity by kind."""
    lines = [
        "| Text | Documents | Tokens | Perplexity per token | Perplexity per byte | Bits per byte |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind, s in scores.items():
        lines.append(
            f"| {NAMES[kind]} | {s['documents']} | {s['tokens']} | {s['perplexity_per_token']} | "
            f"{s['perplexity_per_byte']} | {s['bits_per_byte']} |"
        )
    return "\n".join(lines)


def sample_text(samples: list[dict[str, str]]) -> str:
    """The outputs word for word; the prompt stands in bold."""
    parts = []
    for s in samples:
        end = " `</s>`" if s["ended"] == "True" else " ..."
        text = s["output"].replace("\n\n", "\n>\n> ").rstrip()
        if s["kind"] == "chat":
            parts.append(f"Chat, {s['decoding']}:\n\n> **{s['prompt']}**\n>\n> {text.strip()}{end}")
        else:
            parts.append(f"Text, {s['decoding']}:\n\n> **{s['prompt']}**{text}{end}")
    return "\n\n".join(parts)


def model_card(log: dict[str, Any], quick: bool) -> str:
    """The README.md of the model folder."""
    plan, versions = log["plan"], log["versions"]
    command = f"python scripts/train_demo_model.py --seed {plan['seed']} --steps {plan['steps']} --out OUT"
    if quick:
        command += " --quick"
    asked = log.get("questions_right")
    questions = (
        f"- Of {asked['of']} simple questions of the practised kinds (single turns, temperature 0) it answered "
        f"{asked['right']} right, word for word (`scripts/check_demo_chat.py`).\n"
        if asked
        else ""
    )
    return f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# Paddock demo model

A very small language model of the Llama 2 architecture that comes with Paddock, so that every command
works in a room without a network. It is a toy: use it to see that a deployment works, not to learn
anything from its answers.

## The model

{log["parameters"]:,} parameters: {plan["layers"]} layers, width {plan["hidden_size"]}, feed-forward width
{plan["intermediate_size"]}, {plan["heads"]} query heads and {plan["kv_heads"]} key/value heads (grouped-query
attention), {plan["vocab_size"]} tokens, context of {plan["long_block"]} tokens. The weights are stored in
bf16. The tokenizer is a SentencePiece BPE model with byte fallback, trained on the same text;
`tokenizer.json` holds the same tokenizer in fast form and gives the same numbers (checked on
{log["tokenizer_lines_checked"]} lines while training; `legacy` is true: each text between special tokens
gets its own leading space, as in the reference code of Llama 2). The chat template is that of Llama 2.

## What it was trained on

Only text that the scripts of this project generate themselves from word lists and sentence patterns
(`scripts/demo_corpus`): simple stories, work days, trips and places; questions with answers about a small
world (colours, animals, days, capitals, small sums, some words of computing); short texts about cities,
companies and language models; and dialogues in the format of Llama 2. No text of anybody else was used.
It saw {log["documents"]:,} documents ({log["text_bytes"] / 1e6:.1f} MB, {log["tokens"] / 1e6:.1f} million tokens), each once, of
which the short ones often repeat each other.

## What it cannot do

- It knows nothing outside its patterns. Asked for something else, it says so at best and invents an
  answer at worst. Do not rely on anything that it says, also not on sums and capitals.
{questions}- It does not reason, follow instructions other than the practised ones, translate or write programs.
- It writes simple English only; it knows a few Chinese greetings by heart.
- Its stories follow about twenty plots. It may mix up things and he/she within a story.
- Names change within a story: somebody who was called Pip may be called Rolo two sentences later. The
  model has learned sentences and plots, but hardly to remember names.
- It remembers only the last turns of a chat, and often not even these.
- No safety training was done. Its word list is harmless, but nothing guards against odd output.

## Held-out perplexity

Measured with the bf16 weights (computed in fp32) on documents of another seed; documents that occur word
for word in the training stream were taken out. They come from the same generator, so the numbers say how
well the model learned the generator, and nothing about other English text.

{score_table(log["heldout"])}

## How to make it again

```
{command}
```

It took {log["seconds"] / 60:.0f} minutes by the clock with two threads, on a busy shared machine and with pauses (a quiet one needs
about 40). The
result depends on the seed, the steps and the versions (torch {versions["torch"]}, transformers
{versions["transformers"]}, sentencepiece {versions["sentencepiece"]}); another processor may round differently.
`training_log.json` holds the plan, the loss curve, the SHA-256 of the text and these samples.

## Samples

Exactly as written by the model (text up to 100 new tokens, chat up to 200; `</s>` means that it ended by
itself). Nothing was chosen by hand: the training script writes them.

{sample_text(log["samples"])}

## Licence

Apache-2.0, model and text.
"""


def main() -> int:
    """Write README.md again from the training log of a model folder."""
    if len(sys.argv) != 2:
        print("usage: demo_model_card.py MODEL_FOLDER", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    log = json.loads((folder / "training_log.json").read_text(encoding="utf-8"))
    (folder / "README.md").write_text(model_card(log, quick=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
