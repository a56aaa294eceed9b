"""Writes tests/golden/demo.json: what the built-in model says at temperature 0.

Run it only when the built-in model itself was made anew, and read what it says before committing.
"""

from __future__ import annotations

import json
from pathlib import Path

from paddock import LLM, GenerationParams

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "demo.json"
TEXTS = [
    "I love Beijing, because",
    "LLaMA is a",
    "Huawei is a company that",
    "Once upon a time, a little fox named Pip",
    "Yesterday Anna and her brother",
]
CHATS = [
    ["hello"],
    ["who are you?"],
    ["What colour is the sky?"],
    ["what is 2 plus 3"],
    ["你好"],
    ["Tell me a story about a cat.", None, "thank you"],
]
MAX_NEW_TOKENS = 100


def main() -> None:
    """Asks everything once; None in a chat stands for the model's own answer."""
    llm = LLM.open(device="cpu", dtype="fp32")
    params = GenerationParams(max_new_tokens=MAX_NEW_TOKENS)
    cases = []
    for prompt in TEXTS:
        cases.append({"prompt": prompt, "text": llm.generate([prompt], params)[0].text})
    for chat in CHATS:
        messages: list[dict[str, str]] = []
        for said in chat:
            role = "assistant" if len(messages) % 2 else "user"
            content = llm.generate([messages], params)[0].text if said is None else said
            messages.append({"role": role, "content": content})
        cases.append({"prompt": messages, "text": llm.generate([messages], params)[0].text})
    GOLDEN.write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
    for case in cases:
        print(f"{case['prompt']}\n  -> {case['text']!r}")


if __name__ == "__main__":
    main()
