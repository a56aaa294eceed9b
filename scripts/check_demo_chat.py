"""Counts how many simple questions the built-in model answers right, and writes it into its card.

A third of them is asked in wordings that training never showed, and a third is about something that
the question itself says. Right is the one right answer word for word; only where members of a group
are wanted, other members of it are right as well.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

from demo_corpus import dialogues, facts, recall
from demo_training.card import model_card
from paddock import LLM, GenerationParams

DEMO = Path(__file__).parents[1] / "src" / "paddock" / "assets" / "demo"
EACH = 300


def count_right(llm: LLM, ask: Callable[[random.Random], dialogues.Turn], show: bool) -> int:
    """Ask ``EACH`` questions that ``ask`` draws from a fixed seed."""
    rng = random.Random("check-demo-chat")
    turns = [ask(rng) for _ in range(EACH)]
    prompts = [[{"role": "user", "content": question}] for question, _ in turns]
    answers = llm.generate(prompts, GenerationParams(max_new_tokens=80))
    right = 0
    for (question, wanted), answer in zip(turns, answers, strict=True):
        good = facts.is_right(wanted, answer.text)
        right += good
        if show and not good:
            print(f"{question}\n  -> {answer.text.strip()}\n  :: {wanted}")
    return right


def main() -> None:
    """All three kinds; writes the counts into the training log and the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo", help="demo, or a folder, which is left as it is")
    parser.add_argument("--show", action="store_true", help="print the wrong answers")
    args = parser.parse_args()
    llm = LLM.open(args.model, device="cpu", dtype="fp32", max_batch=16)
    counts = {
        "right": count_right(llm, lambda rng: dialogues.question_turn(rng, True), args.show),
        "practised": count_right(llm, dialogues.question_turn, args.show),
        "recalled": count_right(llm, lambda rng: recall.turns(rng)[0], args.show),
        "of": EACH,
    }
    print(counts)
    if args.model != "demo":
        return
    path = DEMO / "training_log.json"
    log = json.loads(path.read_text(encoding="utf-8"))
    log["questions_right"] = counts
    path.write_text(json.dumps(log, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (DEMO / "README.md").write_text(model_card(log, quick=False), encoding="utf-8")


if __name__ == "__main__":
    main()
