"""Counts how often the built-in model answers practised kinds of questions word for word right.

Writes the counts into its training log and its card. Only one right wording is known for each
question, so greetings and refusals count as wrong where the model chooses another good one.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from demo_corpus import dialogues
from demo_model_card import model_card
from paddock import LLM, GenerationParams

DEMO = Path(__file__).parents[1] / "src" / "paddock" / "assets" / "demo"
EACH = 60


def main() -> None:
    """60 questions of the kind with one right answer, from a seed that training never used."""
    llm = LLM.open(device="cpu", dtype="fp32", max_batch=16)
    rng = random.Random("acc")
    turns = [dialogues.question_turn(rng) for _ in range(EACH)]
    prompts = [[{"role": "user", "content": question}] for question, _ in turns]
    answers = llm.generate(prompts, GenerationParams(max_new_tokens=60))
    right = sum(
        answer.text.strip() == wanted.strip()
        for answer, (_, wanted) in zip(answers, turns, strict=True)
    )
    path = DEMO / "training_log.json"
    log = json.loads(path.read_text(encoding="utf-8"))
    log["questions_right"] = {"right": right, "of": EACH}
    path.write_text(json.dumps(log, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (DEMO / "README.md").write_text(model_card(log, quick=False), encoding="utf-8")
    print(f"{right} of {EACH}")


if __name__ == "__main__":
    main()
