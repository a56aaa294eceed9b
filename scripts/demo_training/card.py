"""Writes the model card from the training log, so its numbers and samples are real."""
# The card is a text with its own line lengths.
# ruff: noqa: E501

from __future__ import annotations

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
        f"- Asked {asked['of']} simple questions in wordings that training never showed (single turns, temperature "
        f"0), it answered {asked['right']} right; in wordings that training did show, {asked['practised']} of "
        f"{asked['of']} (`scripts/check_demo_chat.py`). Asked about something that the question itself had said, or to repeat "
        f"it, it was right {asked['recalled']} times of {asked['of']}. Of a list, any members of the group count.\n"
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
attention), {plan["vocab_size"]} tokens, context of {plan["long_row"]} tokens. The weights are stored in
bf16. The tokenizer is a SentencePiece BPE model with byte fallback, trained on the same text;
`tokenizer.json` holds the same tokenizer in fast form and gives the same numbers (checked on
{log["tokenizer_lines_checked"]} lines while training; `legacy` is true: each text between special tokens
gets its own leading space, as in the reference code of Llama 2). The chat template is that of Llama 2.

## What it was trained on

Only text that the scripts of this project generate themselves from word lists and sentence patterns
(`scripts/demo_corpus`): simple stories, work days, trips and places; questions with answers about a small
world (colours, animals, days, capitals, small sums, some words of computing) and about what was just said;
short texts about cities, companies and language models; and dialogues in the format of Llama 2. A fifth of
the names in the stories is invented anew each time. No text of anybody else was used.
It saw {log["documents"]:,} documents ({log["text_bytes"] / 1e6:.1f} MB, {log["tokens"] / 1e6:.1f} million tokens), each once, of
which the short ones often repeat each other.

## What it cannot do

- It knows nothing outside its patterns. Asked for something else, it says so at best and invents an
  answer at worst. Do not rely on anything that it says, also not on sums and capitals.
{questions}- It does not reason, follow instructions other than the practised ones, translate or write programs.
- It writes simple English only; it knows a few Chinese greetings by heart.
- Its stories follow about twenty plots. It may mix up things and he/she within a story.
- It mostly remembers the names and things of a story, but not always, and a name that it has never seen
  may come back misspelt.
- It remembers only the last turns of a chat, and often not even these.
- No safety training was done. Its word list is harmless, but nothing guards against odd output.

## Held-out perplexity

Measured with the bf16 weights (computed in fp32) on documents of another seed; documents that occur word
for word in the training stream were taken out. They come from the same generator, so the numbers say how
well the model learned the generator, and nothing about other English text.

{score_table(log["heldout"])}

A name of the cast costs {log["repeating"]["new"]} nats where it is new in a held-out story, and
{log["repeating"]["repeated"]} where the story has named it before: the smaller the second number, the better the
model remembers who the story is about.

## How to make it again

```
{command}
```

It took {log["seconds"] / 60:.0f} minutes by the clock with one thread on a busy shared machine. The result depends on
the seed, the steps, the versions (torch {versions["torch"]}, transformers {versions["transformers"]}, sentencepiece
{versions["sentencepiece"]}) and the processor: products were computed in {log["arithmetic"]} (a processor without it
computes in float32), and another one may round differently.
`training_log.json` holds the plan, the loss curve, the SHA-256 of the text and these samples.

What was tried, in short runs on one core of a busy machine (losses in nats per token, held out):

- Helped: products in bf16, attention written out and short rows, 4,330 instead of 1,925 tokens/s of processor
  time at six layers. Heads set to look back and to find the present token again (`demo_training/start.py`): 1.56
  instead of 2.36 after 100 steps. Rows of whole documents, so that no story loses the sentence that names its hero.
- Names were repeated only when the rates fell: at the full rate a repeated name still cost 4.7 after 250 steps
  (a new one 4.8), and 0.7 after 950 of 1200 steps (a new one 4.1). More steps go on helping: 1200 steps gave a
  perplexity of 1.67 and 183 of 300 questions in unseen wordings, 2400 steps the numbers above.
- Did not help: twice the rates (1.72 instead of 1.56 after 100 steps), a larger and slower head (3.80 instead of
  2.90 after 50), and a start so loud that it copied 60 % of repeated random tokens before the first step (training
  loss 3.27 after 100 steps, the quiet one 2.10).
- Muon was taken from the literature and not compared with AdamW here.

## Samples

Exactly as written by the model (text up to 100 new tokens, chat up to 200; `</s>` means that it ended by
itself). Nothing was chosen by hand: the training script writes them.

{sample_text(log["samples"])}

## Licence

Apache-2.0, model and text.
"""
